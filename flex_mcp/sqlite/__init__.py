"""SqliteStore: a library in one file, by apsw (its own SQLite), sqlite-vec and FTS5."""

import contextlib
import queue
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from flex_mcp.models import Vectors
from flex_mcp.sqlite import file
from flex_mcp.sqlite.reading import SqliteReading
from flex_mcp.sqlite.writing import SqliteWriting

if TYPE_CHECKING:
    from flex_mcp.sqlite.index import Index

READERS = 4  # connections kept for snapshots; more are made when needed, and closed after


class SqliteStore:
    """See `flex_mcp.store.Store`. Threads may share it: a connection has one user at a time.

    Opening costs one read: no integrity check, no count, no model, no network.

    Raises:
        LibraryError: the file cannot be made, opened or understood; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)
        file.prepare(path)
        self._writer = file.connect(path)
        try:
            file.migrate(path, self._writer)
        except BaseException:
            self._writer.close()
            raise
        self.read_only = bool(self._writer.readonly("main"))
        self._write_lock = threading.Lock()
        self._index = cache(_new_index)  # one for all connections, made when first needed
        self._readers: queue.LifoQueue[apsw.Connection] = queue.LifoQueue()
        self._closed = False

    @contextmanager
    def reading(self) -> Generator[SqliteReading]:
        connection = self._reader()
        try:
            with (
                file.plain_errors(self._path),
                file.named_damage(self._path),
                _transaction(connection, "BEGIN"),
            ):
                yield SqliteReading(connection, self._index)
        finally:
            self._give_back(connection)

    def _reader(self) -> apsw.Connection:
        if self._closed:
            with file.plain_errors(self._path):
                raise apsw.ConnectionClosedError
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            return file.connect(self._path)

    def _give_back(self, connection: apsw.Connection) -> None:
        if self._closed or self._readers.qsize() >= READERS:
            connection.close()
        else:
            self._readers.put(connection)

    @contextmanager
    def writing(self, verb: str, client: str) -> Generator[SqliteWriting]:
        if self.read_only:
            with file.plain_errors(self._path):
                raise apsw.ReadOnlyError
        with (
            self._write_lock,
            file.plain_errors(self._path),
            file.named_damage(self._path),
            _transaction(self._writer, "BEGIN IMMEDIATE"),
        ):
            writing = SqliteWriting(self._writer, self._index)
            yield writing
            writing.sign(verb, client)

    def close(self) -> None:
        """Close all connections; the last one of all processes folds the -wal file in."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()
        with self._write_lock:
            self._writer.close()


class Look(NamedTuple):
    """What a file is: its schema, the newest that we know, and what made its vectors."""

    version: int
    newest: int
    made_by: Vectors | None


def look(path: Path) -> Look:
    """See what a file is, without changing anything.

    Raises:
        LibraryError: it cannot be read, or is no library that we know.
    """
    with contextlib.closing(file.connect_unchanged(path)) as connection, file.plain_errors(path):
        version = file.schema_version(path, connection)
        made_by = SqliteReading(connection, _new_index).vectors_made_by() if version else None
    return Look(version, len(file.MIGRATIONS), made_by)


def _new_index() -> "Index":
    from flex_mcp.sqlite.index import Index  # late: numpy starts slowly

    return Index()


@contextmanager
def _transaction(connection: apsw.Connection, begin: str) -> Generator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have ended it already
            connection.execute("ROLLBACK")
        raise
