"""Commands on copies of a library: making one, and going back to one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    before_the_command,
    json_option,
    library_option,
    show_answer,
    with_library,
)
from flex_mcp.errors import InputError
from flex_mcp.settings import Settings, absolute
from flex_mcp.tools.answers import Answer

if TYPE_CHECKING:
    from flex_mcp.storage.sqlite.restore import Restored


@click.command()
@click.argument("file", required=False)
@with_library
def backup(*, file: str | None, app: App) -> Answer:
    """Copy the library to FILE while others write.

    By default it goes beside the library, with the time in its name. The copy is checked, and whole
    or not there. It is a library itself: --library opens it.
    """
    return backup_answer(app.library.backup(file, client=CALLER.name))


def backup_answer(made: Path) -> Answer:
    text = f"Copied and checked: {made}\n`flex-mcp restore` with this file goes back to it."
    return Answer({"file": str(made), "bytes": made.stat().st_size}, text)


@click.command()
@click.argument("file")
@click.option("--yes", is_flag=True, help="Do not ask.")
@library_option
@json_option
def restore(*, file: str, yes: bool, library: str | None, as_json: bool) -> None:
    """Go back to the backup FILE; what is there now is kept.

    It is kept beside the library. Programs that have the library open go on with what was
    restored; a library that is damaged or missing must not be open anywhere.
    """
    from flex_mcp.storage.sqlite.restore import restore as restored

    path = Settings.from_environment(library or before_the_command()).library
    backup = absolute(file)
    if not yes:
        _ask(path, backup)
    show_answer(restored_answer(path, backup, restored(path, backup)), as_json=as_json)


def _ask(path: Path, backup: Path) -> None:
    if not sys.stdin.isatty():
        raise InputError(f"restoring replaces all of {path}, and nobody is here to ask: add --yes")
    question = f"Put what {backup} holds in the place of all of {path}?"
    if not click.confirm(question, err=True):
        raise InputError("nothing was restored: you said no")


def restored_answer(path: Path, backup: Path, restored: "Restored") -> Answer:
    lines = [f"Restored {path} from {backup}: {restored.experiences:,} experiences."]
    if restored.copy:
        lines.append(f"What was there before: {restored.copy}")
    if restored.damaged:
        lines.append(f"The file that could not be used: {restored.damaged}")
    content = {
        "library": str(path),
        "backup": str(backup),
        "experiences": restored.experiences,
        "copy": _text(restored.copy),
        "damaged": _text(restored.damaged),
    }
    return Answer(content, "\n".join(lines))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
