"""Commands on copies of a library: making one, and going back to one."""

import sys

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import CALLER, answering, library_option, main, with_library
from flex_mcp.errors import InputError
from flex_mcp.settings import Settings, path_of
from flex_mcp.tools.answers import Answer


@main.command()
@click.argument("file", required=False)
@with_library
def backup(*, file: str | None, app: App) -> Answer:
    """Copy the library to FILE while others write.

    By default it goes beside the library, with the time in its name. The copy is checked, and whole
    or not there. It is a library itself: --library opens it.
    """
    made = app.library.backup(file, client=CALLER.name)
    text = f"Copied and checked: {made}\n`flex-mcp restore` with this file goes back to it."
    return Answer({"file": made, "bytes": made.stat().st_size}, text)


@main.command()
@click.argument("file")
@click.option("--yes", is_flag=True, help="Do not ask.")
@library_option()
@answering
def restore(*, file: str, yes: bool, library: str | None) -> Answer:
    """Go back to the backup FILE; what is there now is kept.

    It is kept beside the library. Programs that have the library open go on with what was
    restored; a library that is damaged or missing must not be open anywhere.
    """
    from flex_mcp.storage.sqlite.restore import restore as restore_from

    path = Settings.from_environment(library).library
    backup = path_of(file, "FILE")
    if not yes and not sys.stdin.isatty():
        raise InputError(f"restoring replaces all of {path}, and nobody is here to ask: add --yes")
    question = f"Put what {backup} holds in the place of all of {path}?"
    if not yes and not click.confirm(question, err=True):
        raise InputError("nothing was restored: you said no")
    restored = restore_from(path, backup)
    lines = [f"Restored {path} from {backup}: {restored.experiences:,} experiences."]
    if restored.copy:
        lines.append(f"What was there before: {restored.copy}")
    if restored.damaged:
        lines.append(f"The file that could not be used: {restored.damaged}")
    content = {"library": path, "backup": backup} | restored._asdict()
    return Answer(content, "\n".join(lines))
