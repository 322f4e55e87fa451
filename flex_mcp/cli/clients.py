"""Commands on the clients' configuration, and on whether this installation is sound."""

import contextlib
import platform
import shlex
import sys
import textwrap
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flex_mcp import open_library, settings
from flex_mcp.cli.commands import WorkFailedError, answering, fail, library_option, main, say
from flex_mcp.clients.places import ClientName, Machine, Scope
from flex_mcp.errors import (
    ClientCommandError,
    FlexError,
    InputError,
    LibraryError,
    SettingError,
)
from flex_mcp.tools.answers import Answer, plain

if TYPE_CHECKING:
    from flex_mcp.clients.entries import Start
    from flex_mcp.clients.installing import Here, Report
    from flex_mcp.storage.sqlite.repair import Mended

SAID = {  # by `Made`
    "added": "{0} is added to {1}",
    "replaced": "The entry {0} is made anew in {1}",
    "unchanged": "{0} is there already, as it should be, in {1}",
    "removed": "{0} is taken out of {1}",
    "absent": "{0} is not in {1}",
}


SCOPE = click.option(
    "--scope",
    type=click.Choice([*map(str, Scope)]),
    default=str(Scope.USER),
    show_default=True,
    help="For all your projects, or for the current folder.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
CHOICE = click.Choice([*map(str, ClientName)])


@main.command()
@click.argument("client", type=CHOICE, required=False)
@SCOPE
@DRY_RUN
@click.option("--print", "printed", is_flag=True, help="Only print the entry, for any client.")
@library_option("The library that the client gets. Default: yours.")
@answering
def install(
    client: str | None, scope: str, *, dry_run: bool, printed: bool, library: str | None
) -> Answer:
    """Put flex-mcp into the configuration of CLIENT.

    Without CLIENT it lists the clients that are on this machine, and changes nothing.

    All else in the file stays as it is, and a copy of it is kept beside it, unless it is a
    project's. What you added to our entry (a timeout, a variable) stays, too; so does its library,
    unless you name another. A project's file gets no path of yours: it names the command.
    """
    from flex_mcp.clients.installing import Clients

    name = ClientName(client) if client else None
    clients = Clients(machine(), None if dry_run else datetime.now(UTC))
    if name is None and not printed:
        return here_answer([*clients.here()])
    if name is not None:
        clients.check_scope(name, Scope(scope))
    path = _library(library)
    started = _start(name, Scope(scope), path)
    if printed or name is None:
        return entry_answer(name, started)
    with _own_command():
        report = clients.install(name, Scope(scope), started)
    if more := _advice(path):
        say(more)
    return client_answer(report)


def _library(library: str | None) -> Path | None:
    """The library that a client is to get, None for the usual one."""
    path = None if library is None else settings.path_of(library, "--library")
    if path is not None and path.is_dir():
        raise InputError(f"the library {path} is a folder: name a file in it")
    if path is None and (kept := settings.environment().get("FLEX_MCP_LIBRARY")):
        say(
            f"FLEX_MCP_LIBRARY is set here, and a client is not told of it: "
            f"add --library {shlex.quote(kept)} to give it that library"
        )
    return path


def _start(name: ClientName | None, scope: Scope, library: Path | None) -> "Start":
    """How a client is to start us."""
    from flex_mcp.clients.catalog import CLIENTS, Client
    from flex_mcp.clients.entries import shared_library, shared_start, start

    here = machine()
    if scope is Scope.USER:
        return start(sys.executable, sys.prefix, here.variables, library)
    client = CLIENTS[name] if name else Client("a client", check="")
    return shared_start(here, library and shared_library(library, client, here))


def _advice(path: Path | None) -> str | None:
    """What another embedder would bring the library, where there is one that can be read."""
    from flex_mcp.search.embedder_choice import advice
    from flex_mcp.storage.sqlite.store import look

    with contextlib.suppress(LibraryError, SettingError):
        library = path or settings.Settings().library
        return advice(look(library).made_by, library) if library.is_file() else None
    return None


@main.command()
@click.argument("client", type=CHOICE)
@SCOPE
@DRY_RUN
@answering
def uninstall(client: str, scope: str, *, dry_run: bool) -> Answer:
    """Take flex-mcp out of the configuration of CLIENT.

    Nothing else is changed, and your library stays where it is.
    """
    from flex_mcp.clients.installing import Clients

    clients = Clients(machine(), None if dry_run else datetime.now(UTC))
    with _own_command():
        return client_answer(clients.uninstall(ClientName(client), Scope(scope)))


@contextlib.contextmanager
def _own_command() -> Generator[None]:
    """A client's own command that fails is no fault of what was asked for."""
    try:
        yield
    except ClientCommandError as error:
        fail(str(error), 1)


def entry_answer(name: ClientName | None, started: "Start") -> Answer:
    """Our entry in the form of a client; that of most where it is none that we know."""
    from flex_mcp.clients.catalog import CLIENTS
    from flex_mcp.clients.entries import NAME, entry

    name = name or ClientName.CLAUDE_DESKTOP
    client, made = CLIENTS[name], entry(name, started)
    text = client.format.put("", (client.root, NAME), made)
    return Answer({client.root: {NAME: made}}, text.rstrip())


def here_answer(rows: Sequence["Here"]) -> Answer:
    """The clients of this machine as a table, and what to run next."""
    found = {one.client for one in rows}
    others = [str(name) for name in ClientName if name not in found]
    text = [*_table(rows)] or ["No client that flex-mcp knows is on this machine."]
    text += [f"{one.client}: {one.problem}" for one in rows if one.problem]
    if others:
        text += ["", f"Not found here, but known: {', '.join(others)}."]
    text.append("For any other client, `flex-mcp install --print` gives the entry.")
    clients = [plain(one) for one in rows]
    return Answer({"clients": clients, "others": others}, "\n".join(text))


def _table(rows: Sequence["Here"]) -> Iterator[str]:
    home = machine().home
    lines = [("client", "flex-mcp", "file", "next")]
    for one in rows:
        near = one.file.is_relative_to(home)
        file = Path("~") / one.file.relative_to(home) if near else one.file
        lines.append((str(one.client), str(one.state), str(file), one.next or "mend the file"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if rows else ():
        cells = zip(line, widths, strict=True)
        yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()


def client_answer(report: "Report") -> Answer:
    """What became of a client's files, and how to see that it works."""
    from flex_mcp.clients.catalog import CLIENTS
    from flex_mcp.clients.entries import NAME

    client = CLIENTS[report.client]
    lines = ["Dry run, nothing is changed."] if report.dry_run else []
    for change in report.changes:
        lines.append(SAID[change.made].format(NAME, f"{client.title}: {change.file}"))
        lines += [f"By: {shlex.join(words)}" for words in change.commands]
        if change.backup is not None:
            lines.append(f"The file as it was: {change.backup}")
        lines += change.notes
    check = None
    if report.entry is not None:
        check = client.check
        if report.scope is Scope.PROJECT and client.in_project:
            check += f"; {client.in_project}"
        shown = client.format.put("", (client.root, NAME), report.entry)
        lines += ["", textwrap.indent(shown.rstrip(), "    "), "", f"To check: {check}."]
    elif any(one.made == "removed" for one in report.changes):
        lines.append(f"{client.title} knows it when it is started anew.")
    return Answer(plain(report) | {"check": check}, "\n".join(lines))


@main.command()
@library_option()
@click.option("--repair", is_flag=True, help="Mend the library; no other part is looked at.")
@answering
def doctor(*, library: str | None, repair: bool) -> Answer:
    """Check the installation, the library and the clients.

    Each check says how to mend what is not sound. Nothing is changed, and no network is used. It
    exits with 1 when it finds a fault.

    --repair makes full text and the vectors' index anew from the tables where they do not agree.
    Of a damaged file it puts into a new one what can be read, and keeps the damaged one beside it.
    """
    if repair:
        return _repaired(settings.Settings.from_environment(library).library)
    from flex_mcp.maintenance.doctor import Patient, examine

    checks = examine(Patient(machine=machine(), library=library))
    width = max(len(one.name) for one in checks)
    lines: list[str] = []
    for one in checks:
        lines.append(f"{one.state:<7}  {one.name:<{width}}  {one.says}")
        if one.mend is not None:
            lines.append(f"{'':<7}  {'':<{width}}  → {one.mend}")
    faults, warnings = (sum(one.state == state for one in checks) for state in ("fault", "warning"))
    content: dict[str, Any] = {"sound": not faults, "faults": faults, "warnings": warnings}
    content["checks"] = [asdict(one) for one in checks]
    answer = Answer(content, "\n".join(lines))
    if faults:
        found = f"the doctor found {faults} fault{'s' if faults > 1 else ''}"
        raise WorkFailedError(answer, found)
    return answer


def _repaired(path: Path) -> Answer:
    from flex_mcp.search.text import indexed_text
    from flex_mcp.storage.sqlite.repair import mend

    mended = mend(path, indexed_text)
    if mended.found:
        with contextlib.suppress(FlexError), open_library(path) as library:
            library.calibrate()  # what was measured of the library may be lost too
    content = {"library": path} | plain(mended)
    return Answer(content, "\n".join(_mended_lines(path, mended)))


def _mended_lines(path: Path, mended: "Mended") -> Iterator[str]:
    """What was found, what was done about it, and what could not be saved."""
    if not mended.found:
        yield f"There is nothing to mend in {path}."
    elif mended.rebuilt:
        yield f"The indexes of {path} are made anew: words of its tables, vectors of its own."
    else:
        yield f"{path} is a new file with what could be read of the damaged one."
        if mended.damaged:
            yield f"The damaged one is kept: {mended.damaged}"
        yield f"Saved: {_counts(mended.saved)}"
        yield f"Lost: {_counts(mended.lost) if mended.lost else 'no row that was seen'}"
        if mended.gaps:
            yield (
                f"{mended.gaps:,} places could not be read, and their rows are not counted: "
                "if you have a backup, look whether it holds more."
            )
    if mended.unembedded:
        yield f"{mended.unembedded:,} experiences have no vectors: run `flex-mcp reindex`."
    yield from (f"Found: {one}" for one in mended.found if one.strip())


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def machine() -> Machine:
    """This one."""
    try:
        home, folder = Path.home(), Path.cwd()
    except (OSError, RuntimeError) as error:
        raise InputError("your home or the current folder is gone: change to another") from error
    system, variables = platform.system().lower(), settings.environment()
    return Machine(system=system, home=home, folder=folder, variables=variables)
