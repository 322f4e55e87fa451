"""Commands on the clients' configuration, and on whether this installation is sound."""

import contextlib
import platform
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flex_mcp import open_library, settings
from flex_mcp.cli.commands import before_the_command, fail, json_option, show_answer
from flex_mcp.clients.places import ClientName, Machine, Scope
from flex_mcp.errors import ClientCommandError, FlexError, InputError
from flex_mcp.tools.answers import Answer, plain
from flex_mcp.version import __version__

if TYPE_CHECKING:
    from flex_mcp.clients.installing import Change, Clients, Report
    from flex_mcp.maintenance.doctor import Check
    from flex_mcp.storage.sqlite.repair import Mended

CLIENTS, SCOPES = [*map(str, ClientName)], [*map(str, Scope)]
SAID = {  # by `Made`
    "added": "{0} is added to {1}",
    "replaced": "the entry {0} is made anew in {1}",
    "unchanged": "{0} is there already, as it should be, in {1}",
    "removed": "{0} is taken out of {1}",
    "absent": "{0} is not in {1}",
}


def on_client(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `install` and `uninstall` are asked."""
    for decorate in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
        click.option(
            "--scope",
            type=click.Choice(SCOPES),
            default=str(Scope.USER),
            show_default=True,
            help="For all your projects, or for the current folder.",
        ),
        click.argument("client", type=click.Choice(CLIENTS)),
    ):
        function = decorate(function)
    return function


@click.command()
@on_client
@click.option("--library", metavar="PATH", help="The library that the client gets. Default: yours.")
def install(*, client: str, scope: str, dry_run: bool, as_json: bool, library: str | None) -> None:
    """Put flex-mcp into the configuration of CLIENT.

    All else in the file stays as it is, and a copy of it is kept beside it. What you added to our
    entry (a timeout, a variable) stays, too; so does its library, unless you name another.
    """
    from flex_mcp.clients.entries import start

    named = library or before_the_command()
    path = settings.absolute(named) if named else None
    if path is not None and path.is_dir():
        raise InputError(f"the library {path} is a folder: name a file in it")
    if path is None and (kept := settings.environment().get("FLEX_MCP_LIBRARY")):
        click.echo(
            f"flex-mcp: FLEX_MCP_LIBRARY is set here, and a client is not told of it: "
            f"add --library {shlex.quote(kept)} to give it that library",
            err=True,
        )
    started = start(sys.executable, sys.prefix, settings.environment(), path)
    _show(
        lambda clients: clients.install(ClientName(client), Scope(scope), started),
        dry_run=dry_run,
        as_json=as_json,
    )


@click.command()
@on_client
def uninstall(*, client: str, scope: str, dry_run: bool, as_json: bool) -> None:
    """Take flex-mcp out of the configuration of CLIENT.

    Nothing else is changed, and your library stays where it is.
    """
    _show(
        lambda clients: clients.uninstall(ClientName(client), Scope(scope)),
        dry_run=dry_run,
        as_json=as_json,
    )


def _show(work: "Callable[[Clients], Report]", *, dry_run: bool, as_json: bool) -> None:
    from flex_mcp.clients.installing import Clients

    try:
        report = work(Clients(machine(), None if dry_run else datetime.now(UTC)))
    except ClientCommandError as error:
        fail(str(error), 1)
    show_answer(client_answer(report), as_json=as_json)


def client_answer(report: "Report") -> Answer:
    """What became of a client's files, and how to see that it works."""
    from flex_mcp.clients.configs import CLIENTS as CONFIGS
    from flex_mcp.clients.entries import NAME

    client = CONFIGS[report.client]
    check = client.check
    if report.scope is Scope.PROJECT and client.in_project:
        check += f"; {client.in_project}"
    lines = [line for one in report.changes for line in _change_lines(one, client.title)]
    if report.dry_run:
        lines = ["Dry run, nothing is changed.", *lines]
    if report.entry is not None:
        shown = client.format.put("", (client.root, NAME), report.entry)
        lines += ["", textwrap.indent(shown.rstrip(), "    "), "", f"To check: {check}."]
    elif any(one.made == "removed" for one in report.changes):
        lines.append(f"{client.title} knows it when it is started anew.")
    content = plain(report) | {"check": None if report.entry is None else check}
    return Answer(content, "\n".join(lines))


def _change_lines(change: "Change", title: str) -> list[str]:
    from flex_mcp.clients.entries import NAME

    said = SAID[change.made].format(NAME, f"{title}: {change.file}")
    lines = [said[0].upper() + said[1:] if not said.startswith(NAME) else said]
    lines += [f"By: {shlex.join(words)}" for words in change.commands]
    if change.backup is not None:
        lines.append(f"The file as it was: {change.backup}")
    return lines


@click.command()
@click.option(
    "--library",
    metavar="PATH",
    help="The library's file. Default: FLEX_MCP_LIBRARY, or library.db in your data folder.",
)
@click.option("--repair", is_flag=True, help="Mend the library; no other part is looked at.")
@json_option
def doctor(*, library: str | None, repair: bool, as_json: bool) -> None:
    """Check the installation, the library and the clients.

    Each check says how to mend what is not sound. Nothing is changed, and no network is used. It
    exits with 1 when it finds a fault.

    --repair makes full text and the vectors' index anew from the tables where they do not agree.
    Of a damaged file it puts into a new one what can be read, and keeps the damaged one beside it.
    """
    if repair:
        path = settings.Settings.from_environment(library or before_the_command()).library
        _repair(path, as_json=as_json)
        return
    from flex_mcp.maintenance.doctor import Patient, examine

    patient = Patient(
        machine=machine(),
        executable=sys.executable,
        prefix=sys.prefix,
        version=__version__,
        library=library or before_the_command(),
    )
    answer = doctor_answer(examine(patient))
    show_answer(answer, as_json=as_json)
    if faults := answer.content["faults"]:
        fail(f"the doctor found {faults} fault{'s' if faults > 1 else ''}", 1)


def doctor_answer(checks: "list[Check]") -> Answer:
    """One line a check, and below it how to mend what is not sound."""
    width = max(len(one.name) for one in checks)
    lines: list[str] = []
    for one in checks:
        lines.append(f"{one.state:<7}  {one.name:<{width}}  {one.says}")
        if one.mend is not None:
            lines.append(f"{'':<7}  {'':<{width}}  → {one.mend}")
    counts = {state: sum(one.state == state for one in checks) for state in ("fault", "warning")}
    content: dict[str, Any] = {
        "sound": not counts["fault"],
        "faults": counts["fault"],
        "warnings": counts["warning"],
        "checks": [asdict(one) for one in checks],
    }
    return Answer(content, "\n".join(lines))


def _repair(path: Path, *, as_json: bool) -> None:
    from flex_mcp.search.text import indexed_text
    from flex_mcp.storage.sqlite.repair import mend

    mended = mend(path, indexed_text)
    if mended.found:
        with contextlib.suppress(FlexError), open_library(path) as library:
            library.calibrate()  # what was measured of the library may be lost too
    show_answer(mended_answer(path, mended), as_json=as_json)


def mended_answer(path: Path, mended: "Mended") -> Answer:
    """What was found, what was done about it, and what could not be saved."""
    if not mended.found:
        lines = [f"There is nothing to mend in {path}."]
    elif mended.rebuilt:
        lines = [f"The indexes of {path} are made anew: words of its tables, vectors of its own."]
    else:
        lines = [f"{path} is a new file with what could be read of the damaged one."]
        lines += [f"The damaged one is kept: {mended.damaged}"] if mended.damaged else []
        lines.append(f"Saved: {_counts(mended.saved)}")
        lines.append(f"Lost: {_counts(mended.lost) if mended.lost else 'no row that was seen'}")
        if mended.gaps:
            lines.append(
                f"{mended.gaps:,} places could not be read, and their rows are not counted: "
                "if you have a backup, look whether it holds more."
            )
    if mended.unembedded:
        lines.append(f"{mended.unembedded:,} experiences have no vectors: run `flex-mcp reindex`.")
    lines += [f"Found: {one}" for one in mended.found if one.strip()]
    content = {
        "library": str(path),
        "found": list(mended.found),
        "rebuilt": mended.rebuilt,
        "damaged": None if mended.damaged is None else str(mended.damaged),
        "saved": dict(mended.saved),
        "lost": dict(mended.lost),
        "gaps": mended.gaps,
        "unembedded": mended.unembedded,
    }
    return Answer(content, "\n".join(lines))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def machine() -> Machine:
    """This one."""
    try:
        home, folder = Path.home(), Path.cwd()
    except (OSError, RuntimeError) as error:
        raise InputError("your home or the current folder is gone: change to another") from error
    return Machine(
        system=platform.system().lower(),
        home=home,
        folder=folder,
        variables=settings.environment(),
    )
