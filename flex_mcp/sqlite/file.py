"""Opening a library file: who may read it, which kind it is, PRAGMAs, migrations, plain errors."""

import contextlib
import os
import random
import time
from collections.abc import Callable, Generator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import sqlite_vec  # pyright: ignore[reportMissingTypeStubs]

from flex_mcp.errors import (
    BusyLibraryError,
    FullDiskError,
    InputError,
    LibraryError,
    NewerLibraryError,
    NotALibraryError,
    ReadOnlyLibraryError,
)
from flex_mcp.models import new_id
from flex_mcp.store import migrations, named_queries

APPLICATION_ID = 0x464C4558  # "FLEX": tells a library from any other SQLite file
BUSY_SECONDS = 10
SQL = files("flex_mcp") / "sql" / "sqlite"
MIGRATIONS = migrations(SQL)
QUERIES = named_queries(SQL)
PAGES = 4  # the migration that made the pages table, which SQL alone cannot fill


@contextlib.contextmanager
def plain_errors(path: Path) -> Generator[None]:
    """SQLite's errors as sentences of ours."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise BusyLibraryError(
            f"the library {path} is locked by another process (waited {BUSY_SECONDS} s): "
            "try again in a moment"
        ) from error
    except apsw.FullError as error:
        raise FullDiskError(
            f"no room is left on the disk of {path}: free some space and try again; "
            "nothing was stored"
        ) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise ReadOnlyLibraryError(
            f"the library {path} cannot be written: make the file and its folder writable, "
            "or name another with --library or FLEX_MCP_LIBRARY"
        ) from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise NotALibraryError(_damaged(path)) from error
    except UnicodeEncodeError as error:
        raise InputError("a text holds half of a surrogate pair: send valid Unicode") from error
    except apsw.ConnectionClosedError as error:
        raise LibraryError(f"the library {path} is closed: open it again") from error
    except (apsw.CantOpenError, apsw.IOError) as error:
        raise LibraryError(
            f"the library {path} cannot be opened: check that it and its folder can be read "
            "and written"
        ) from error


@contextlib.contextmanager
def named_damage(path: Path) -> Generator[None]:
    """What our own queries meet in a damaged file only, as a sentence of ours."""
    try:
        yield
    except (apsw.SQLError, UnicodeDecodeError) as error:
        raise NotALibraryError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return (
        f"{path} is damaged or no library of flex-mcp; it was left as it is: "
        "name another with --library or FLEX_MCP_LIBRARY, or restore a copy"
    )


def prepare(path: Path) -> None:
    """Make the folders (0700) and the empty file (0600) of a library that is not there yet.

    Raises:
        LibraryError: where that is not possible.
    """
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.is_dir():
            raise LibraryError(f"the library {path} is a folder: name a file in it")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be the name of a file"
        raise LibraryError(
            f"the library {str(path)[:300]!r} cannot be made ({why}): "
            "name another place with --library or FLEX_MCP_LIBRARY"
        ) from error
    if path.stat().st_size == 1:  # SQLite takes a file of one byte for an empty one
        with plain_errors(path):
            raise apsw.NotADBError


def connect(path: Path) -> apsw.Connection:
    """A connection with our PRAGMAs, and sqlite-vec loaded.

    A library that was closed cleanly in a folder that cannot be written is opened as immutable:
    WAL needs a writable folder otherwise.
    """
    with plain_errors(path):
        try:
            return _opened(str(path), apsw.SQLITE_OPEN_READWRITE)
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            wal = path.with_name(path.name + "-wal")
            if os.access(path.parent, os.W_OK) or (wal.exists() and wal.stat().st_size):
                raise
            uri = f"file:{quote(str(path))}?immutable=1"
            return _opened(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def connect_unchanged(path: Path) -> apsw.Connection:
    """A connection that changes nothing: not even a -wal beside the file is made."""
    wal = path.with_name(path.name + "-wal")
    lives = wal.exists() and wal.stat().st_size > 0  # else there is nothing that it would miss
    with plain_errors(path):
        if path.stat().st_size == 1:
            raise apsw.NotADBError
        uri = f"file:{quote(str(path))}?{'mode=ro' if lives else 'immutable=1'}"
        return _opened(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _opened(name: str, flags: int) -> apsw.Connection:
    connection = apsw.Connection(name, flags=flags)
    try:
        _configure(connection)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except BaseException:
        connection.close()  # and its -wal and -shm go
        raise
    return connection


def _configure(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_SECONDS * 1000)
    connection.enable_load_extension(True)  # noqa: FBT003  apsw's own signature
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)  # noqa: FBT003
    connection.execute(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
        "PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY;"
    )


def runner(connection: apsw.Connection) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """Named queries on this connection: rows as tuples, as they come."""

    def run(query: str, /, **values: Any) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  bound
        return connection.execute(QUERIES[query], values)

    return run


def migrate(path: Path, connection: apsw.Connection) -> None:
    """Bring the file to this version's schema; a new one gets all of it.

    Safe when several processes open a new file at once: each waits for the write lock and looks
    again (storage measurements: without the retry, 9 of 64 opens failed).

    Raises:
        NotALibraryError: the file holds something else.
        NewerLibraryError: it was written by a newer version.
    """
    with plain_errors(path):
        version = schema_version(path, connection)
        read_only = connection.readonly("main")
        if not read_only and connection.pragma("journal_mode") != "wal":
            _use_wal(connection)  # a new file, or a copy by VACUUM INTO, which is not in WAL mode
        if version == len(MIGRATIONS):
            return
        if read_only:
            raise apsw.ReadOnlyError
        connection.execute("BEGIN IMMEDIATE")
        try:
            _upgrade(connection, schema_version(path, connection))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk may have ended it already
                connection.execute("ROLLBACK")
            raise


def _upgrade(connection: apsw.Connection, old: int) -> None:
    for number in range(old, len(MIGRATIONS)):
        connection.execute(MIGRATIONS[number])
        connection.pragma("user_version", number + 1)
    if old == 0:
        _begin_library(connection)
    elif old < PAGES:
        from flex_mcp.sqlite import pages  # late: numpy starts slowly, and few files are this old

        pages.rebuild(runner(connection))


def schema_version(path: Path, connection: apsw.Connection) -> int:
    """The schema of a library, 0 for an empty file.

    Raises:
        NotALibraryError: the file holds something else.
        NewerLibraryError: it was written by a newer version.
    """
    if not connection.pragma("schema_version"):
        return 0  # nothing in it yet
    if connection.pragma("application_id") != APPLICATION_ID:
        raise NotALibraryError(
            f"{path} is an SQLite file of another program; it was left as it is: "
            "name another with --library or FLEX_MCP_LIBRARY"
        )
    version = int(connection.pragma("user_version"))
    if version > len(MIGRATIONS):
        raise NewerLibraryError(
            f"the library {path} has schema {version} and this flex-mcp knows up to "
            f"{len(MIGRATIONS)}: upgrade flex-mcp"
        )
    return version


def _use_wal(connection: apsw.Connection) -> None:
    """The switch to WAL ignores the busy timeout: retry, with jitter, as long as we wait anyway."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.pragma("page_size", 8192)
            connection.pragma("journal_mode", "wal")
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  no secret
        else:
            return


def _begin_library(connection: apsw.Connection) -> None:
    connection.pragma("application_id", APPLICATION_ID)
    connection.execute("INSERT INTO meta (name, value) VALUES ('library_id', ?)", (new_id("l"),))
