"""Our entry put into the files of other programs, taken out, and found again.

Everything else in their files stays as it is, to the character; each change is made at once, with
a copy of the file as it was beside it, unless the file is a project's.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from flex_mcp.clients import claude, files
from flex_mcp.clients.catalog import CLIENTS
from flex_mcp.clients.configs import ClientFile, alike, read
from flex_mcp.clients.entries import Entry, Start, entry, masked, shared_library, started
from flex_mcp.clients.places import ClientName, Machine, Place, Scope, places
from flex_mcp.clients.programs import find
from flex_mcp.errors import ClientCommandError, ClientError, InputError

MARK = "The byte order mark at its beginning, which not every client reads, is taken away."


class Made(StrEnum):
    """What became of a file."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file; `commands` are those of the client that changed it, none where we did.

    `notes` are sentences on what else is odd with the file, or was mended.
    """

    file: Path
    made: Made
    backup: Path | None = None
    commands: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, or with `dry_run` would be; the entry has no values that may be secret."""

    client: ClientName
    scope: Scope
    dry_run: bool
    changes: tuple[Change, ...]
    entry: Entry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file of a client: our entry in it, None where it has none, or why it cannot be read.

    Where that is a byte order mark alone, both are there.
    """

    client: ClientName
    scope: Scope
    file: Path
    entry: Entry | None = None
    problem: str | None = None
    misplaced: bool = False  # our entry is under a key that this client does not read


class Installed(StrEnum):
    """What a client's user has of us."""

    YES = "installed"
    NO = "not installed"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A client that is on this machine: the file that installing would change, and how it is."""

    client: ClientName
    title: str
    file: Path
    state: Installed
    problem: str | None = None
    next: str | None  # the command to run


class Clients:
    """The clients of a machine.

    Args:
        machine: where their files are.
        now: the time, for the names of copies; None is a dry run, which changes nothing.
    """

    def __init__(self, machine: Machine, now: datetime | None = None) -> None:
        self._machine = machine
        self._now = now
        self._dry = now is None

    def install(self, name: ClientName, scope: Scope, start: Start) -> Report:
        """Put our entry into the configuration of a client, unless it is there as it should be.

        Raises:
            ClientError: the file cannot be changed; it is as it was.
            InputError: the client has no such scope.
        """
        file = self._to_change(name, scope)
        if scope is Scope.PROJECT:
            self._check_project(name, file.config)
            start = self._shared(start, file)
        new = entry(name, start, file.ours)
        if alike(file.ours, new) and not file.has_unread_mark:
            change = Change(file=file.config.path, made=Made.UNCHANGED, notes=_unread(file))
        else:
            change = self._change(file, new, name, scope)
        if scope is Scope.PROJECT:
            need = f"Whoever shares this project needs `{start.command}` on the PATH."
            change = replace(change, notes=(*change.notes, need))
        return Report(name, scope, self._dry, (change,), masked(new))

    def uninstall(self, name: ClientName, scope: Scope) -> Report:
        """Take our entry, and nothing else, out of every file of this scope that a client reads.

        Raises:
            ClientError: a file cannot be changed; it is as it was.
            InputError: the client has no such scope.
        """
        usual = self._to_change(name, scope)
        holding = [file for file in self._files(name, scope) if read(name, file).has_ours]
        changes = [self._change(read(name, file), None, name, scope) for file in holding]
        absent = Change(file=usual.config.path, made=Made.ABSENT)
        return Report(name, scope, self._dry, tuple(changes) or (absent,))

    def _check_project(self, name: ClientName, config: files.Config) -> None:
        """See that a project's file is one: a checkout may have a link in its place.

        Raises:
            ClientError: it lies elsewhere, or is the user's own.
        """
        own = self._files(name, Scope.USER)
        if config.path in own:
            raise ClientError(
                f"{config.path} is your own, of all projects: leave out --scope project"
            )
        inside = config.target.is_relative_to(Path(self._machine.folder).resolve())
        if not inside or config.target in {path.resolve() for path in own}:
            raise ClientError(
                f"{config.path} is a link to {config.target}, outside of the project; it was left "
                "as it is: put a file in its place, or leave out --scope project"
            )

    def check_scope(self, name: ClientName, scope: Scope) -> None:
        """Find out whether a client has it.

        Raises:
            InputError: it has not.
        """
        if not places(name, scope, self._machine):
            has = ", ".join(one for one in Scope if places(name, one, self._machine))
            raise InputError(f"{CLIENTS[name].title} has no {scope} scope: take --scope {has}")

    def configured(self) -> Iterator[Found]:
        """All files of all clients that are there."""
        for name in ClientName:
            for scope in Scope:
                for path in self._files(name, scope):
                    try:
                        file = read(name, path)
                    except ClientError as error:
                        yield Found(client=name, scope=scope, file=path, problem=str(error))
                    else:
                        if file.is_there:
                            yield _found(name, scope, file)

    def here(self) -> Iterator[Here]:
        """The clients that are on this machine, as far as their folders and programs show."""
        for name, client in CLIENTS.items():
            own = {self._machine.home, self._machine.programs}  # are there without a client
            files = self._files(name, Scope.USER)
            folders = {place.folder for place in places(name, Scope.USER, self._machine)} - own
            signs = (*files, *map(Path, folders))
            if any(one.exists() for one in signs) or (
                client.program and find(client.program, self._machine.variables)
            ):
                yield self._here(name)

    def _here(self, name: ClientName) -> Here:
        path, state = self._files(name, Scope.USER)[-1], Installed.UNREADABLE
        problem, run = None, None
        try:
            file = self._to_change(name, Scope.USER)
        except ClientError as error:
            problem = str(error)
        else:
            path, run = file.config.path, f"flex-mcp install {name}"
            if file.has_unread_mark:
                problem = _mark(file)
            elif file.has_ours:
                state, run = Installed.YES, "flex-mcp doctor"
            else:
                state = Installed.NO
        title = CLIENTS[name].title
        return Here(client=name, title=title, file=path, state=state, problem=problem, next=run)

    def _shared(self, start: Start, file: ClientFile) -> Start:
        """The same, with the library of an earlier entry as all may name it."""
        before = started(file.ours)
        if start.library is not None or before is None or before.library is None:
            return start
        kept = Path(before.library)
        if not kept.is_absolute():
            return start
        return start._replace(library=shared_library(kept, file.client, self._machine))

    def _change(
        self, file: ClientFile, new: Entry | None, name: ClientName, scope: Scope
    ) -> Change:
        made = Made.REMOVED if new is None else Made.REPLACED if file.has_ours else Made.ADDED
        text = file.changed(new)  # also checks that it can be
        path = file.config.path
        notes = (MARK,) if file.config.has_mark else ()
        notes += () if new is None else _unread(file)
        by_itself = not file.has_unread_mark
        if name is ClientName.CLAUDE_CODE and scope is Scope.USER and by_itself:
            own = claude.command(self._machine)
            commands = [claude.REMOVING] if file.has_ours else []
            commands += [] if new is None else [claude.adding(new)]
            if own and all(claude.can_take(own, words) for words in commands):
                backup = self._by_claude(own, commands, file, new)
                shown = tuple((own, *claude.shown(words)) for words in commands)
                return Change(file=path, made=made, backup=backup, commands=shown, notes=notes)
        shared = scope is Scope.PROJECT
        backup = self._now and files.write(file.config, text, at=self._now, shared=shared)
        return Change(file=path, made=made, backup=backup, notes=notes)

    def _by_claude(
        self, own: str, commands: Sequence[Sequence[str]], file: ClientFile, new: Entry | None
    ) -> Path | None:
        """Let Claude Code change its file; where it fails, our entry is put back as it was."""
        if self._now is None:
            return None
        path = file.config.path
        backup = files.back_up(file.config, at=self._now)
        try:
            for words in commands:
                claude.run(own, words, self._machine)
            _finish(own, path, new)
        except BaseException:  # also Ctrl-C between its commands
            with contextlib.suppress(ClientError):
                after = read(ClientName.CLAUDE_CODE, path)
                if file.ours is not None and not after.has_ours:
                    files.replace(after.config, after.changed(file.ours))
            raise
        files.forget_old_backups(file.config.target)
        return backup

    def _to_change(self, name: ClientName, scope: Scope) -> ClientFile:
        """The file that is written to, as it is."""
        self.check_scope(name, scope)
        found = places(name, scope, self._machine)
        place = next(place for place in found if _folders(place))
        choice = [read(name, _folders(place)[0] / one) for one in place.names]
        there = [file for file in choice if file.is_there]
        holding = [file for file in there if file.has_ours]
        return [*holding, *there, choice[-1]][0]

    def _files(self, name: ClientName, scope: Scope) -> list[Path]:
        """All that a client may read."""
        return [
            folder / one
            for place in places(name, scope, self._machine)
            for folder in _folders(place)
            for one in place.names
        ]


def _found(name: ClientName, scope: Scope, file: ClientFile) -> Found:
    return Found(
        client=name,
        scope=scope,
        file=file.config.path,
        entry=file.ours,
        problem=_mark(file) if file.has_unread_mark else None,
        misplaced=file.is_misplaced,
    )


def _mark(file: ClientFile) -> str:
    return (
        f"{file.config.path} begins with a byte order mark, and {file.client.title} does not read "
        "such a file: save it as UTF-8 without one"
    )


def _unread(file: ClientFile) -> tuple[str, ...]:
    return tuple(
        f"It also has servers under `{key}`, which {file.client.title} does not read: it reads "
        f"those under `{file.client.root}`."
        for key in file.unread
    )


def _finish(own: str, path: Path, new: Entry | None) -> None:
    """See that Claude Code did it; what it left out, since it does not know it, is put back."""
    file = read(ClientName.CLAUDE_CODE, path)
    if alike(file.ours, new):
        return
    if new is None or started(file.ours) != started(new):
        raise ClientCommandError(
            f"`{own}` said that it is done, but {path} does not show it: "
            "check that `claude mcp list` works, then try again"
        )
    files.replace(file.config, file.changed(new))


def _folders(place: Place) -> list[Path]:
    """The folders of a place that count; those with a file in it come first."""
    folder = Path(place.folder)
    if not place.below:
        return [folder]
    there = sorted(one for one in folder.glob(place.below) if one.is_dir())
    return sorted(there, key=lambda one: not any((one / name).exists() for name in place.names))
