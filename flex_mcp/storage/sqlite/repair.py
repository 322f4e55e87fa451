"""Mending a library: what is derived is made anew; a damaged file's rows go into a new one."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from flex_mcp.errors import InputError, NotALibraryError
from flex_mcp.models import Snapshot
from flex_mcp.storage.protocol import IndexedText
from flex_mcp.storage.sqlite import backups, file, migrate
from flex_mcp.storage.sqlite.health import Health, health
from flex_mcp.storage.sqlite.locking import check_unused
from flex_mcp.storage.sqlite.queries import first, runner
from flex_mcp.storage.sqlite.restore import put_instead
from flex_mcp.storage.sqlite.salvage import is_ours, rescue
from flex_mcp.storage.sqlite.search_index import SearchIndex
from flex_mcp.storage.sqlite.store import SqliteStore
from flex_mcp.storage.sqlite.transaction import SqliteTransaction

Indexed = Callable[[Snapshot], IndexedText]

HEADLESS = "its first page cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What was done to a library: nothing, what is derived made anew, or its rows rescued.

    `damaged` is where the damaged file is kept.
    """

    found: tuple[str, ...] = ()
    rebuilt: bool = False
    damaged: Path | None = None
    saved: Mapping[str, int] = field(default_factory=dict[str, int])
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    gaps: int = 0
    unembedded: int = 0


def mend(path: Path, indexed: Indexed) -> Mended:
    """Mend a library, if anything is wrong with it; `indexed` makes what words find of a text.

    Raises:
        InputError: there is no file.
        NotALibraryError: it is no library, or nothing can be read from it; it is
            left as it is.
        BusyLibraryError: its file would have to be replaced, and a process has it open.
    """
    if not path.is_file():
        raise InputError(f"there is no library {path} to repair: name one with --library")
    try:
        found = health(path)
    except NotALibraryError:
        found = Health(damage=(HEADLESS,))
    if found.damage:
        return _renewed(path, found.damage, indexed)
    if not found.unlike:
        return Mended()
    with (
        contextlib.closing(SqliteStore(path)) as store,
        store.writing("repair", "command line") as writing,
    ):
        writing.rebuild(indexed)
    with contextlib.closing(file.connect_unchanged(path)) as mended:
        return Mended(found=found.unlike, rebuilt=True, unembedded=_unembedded(mended))


def wrong_with(path: Path) -> tuple[str, ...]:
    """What `mend` would find; nothing is changed.

    Raises:
        LibraryError: it cannot be opened, and there is nothing that `mend` could do.
    """
    try:
        found = health(path)
    except NotALibraryError:
        if is_ours(path):
            return (HEADLESS,)
        raise
    return found.damage or found.unlike


def _renewed(path: Path, found: tuple[str, ...], indexed: Indexed) -> Mended:
    """Put a new library, with what can be read of the damaged one, in its place."""
    if not is_ours(path):
        raise NotALibraryError(
            f"{path} is no library of flex-mcp; it was left as it is: name another with --library"
        )
    check_unused(path)
    with backups.temporary(path) as made, file.plain_errors(made):
        with contextlib.closing(file.connect(made)) as new:
            migrate.migrate(made, new)
            rescued = rescue(path, new)
            if not rescued.saved["experiences"] + rescued.saved["trajectories"]:
                raise NotALibraryError(
                    f"nothing can be read from {path}; it was left as it is: "
                    "`flex-mcp restore FILE` puts a backup in its place"
                )
            migrate.complete(new)
            new.execute("BEGIN IMMEDIATE")
            SqliteTransaction(new, SearchIndex(), writes=True).rebuild(indexed)
            new.execute("COMMIT")
            unembedded = _unembedded(new)
            new.pragma("journal_mode", "delete")
        backups.check_whole(made, made)
        damaged = put_instead(made, path)
    return Mended(
        found=found,
        damaged=damaged,
        saved=+rescued.saved,
        lost=+rescued.lost,
        gaps=rescued.gaps,
        unembedded=unembedded,
    )


def _unembedded(connection: apsw.Connection) -> int:
    """How many active experiences have no vectors."""
    return int(first(runner(connection), "count_unembedded"))
