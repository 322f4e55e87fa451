"""SqliteStore: a library in one file, by apsw (its own SQLite), sqlite-vec and FTS5."""

import contextlib
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from flex_mcp.errors import LibraryError
from flex_mcp.models import Vectors
from flex_mcp.storage.protocol import FORGETTING, OLDER_WORDS
from flex_mcp.storage.sqlite import file
from flex_mcp.storage.sqlite.connections import ConnectionPool
from flex_mcp.storage.sqlite.search_index import SearchIndex
from flex_mcp.storage.sqlite.transaction import SqliteTransaction

if TYPE_CHECKING:
    from flex_mcp.models.forgetting import Cleaned


class SqliteStore:
    """See `storage.protocol.Store`. Threads may share it: a connection has one user at a time.

    A file that is replaced while it is open is opened anew. One that vanishes is waited for: a
    library is only made where there was none when the store was opened.

    Args:
        path: its file.
        new: whether a library is made where there is none.

    Raises:
        LibraryError: the file cannot be made, opened or understood; it is left as it is.
    """

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self._path = path
        self.name = str(path)
        file.prepare(path, new=new)
        self._opened: ConnectionPool | None = ConnectionPool(path)
        self.read_only = self._opened.read_only
        self._opening = threading.Lock()
        self._closed = False

    @contextmanager
    def reading(self) -> Generator[SqliteTransaction]:
        with file.plain_errors(self._path), ExitStack() as stack:
            opened, connection = _taken(stack, self._current, ConnectionPool.reader)
            stack.enter_context(_transaction(connection, "BEGIN"))
            opened.check(connection)
            stack.enter_context(file.named_damage(self._path))
            yield SqliteTransaction(connection, opened.index)

    @contextmanager
    def writing(self, verb: str, client: str) -> Generator[SqliteTransaction]:
        with file.plain_errors(self._path), ExitStack() as stack:
            opened, connection = _taken(stack, self._writable, ConnectionPool.writer)
            with _transaction(connection, "BEGIN IMMEDIATE"):
                opened.check(connection)
                writing = SqliteTransaction(connection, opened.index, writes=True)
                with file.named_damage(self._path):
                    yield writing
                    writing.log.sign(verb, client)
            if not opened.is_in_place():
                raise LibraryError(
                    f"the library {self._path} was deleted, moved or replaced while it was "
                    "written, so this may be lost: do it again"
                )

    def _current(self) -> ConnectionPool:
        """What is open of the file that lies there now."""
        with self._opening:
            if self._closed:
                raise apsw.ConnectionClosedError
            if self._opened is not None and self._opened.is_in_place():
                return self._opened
            return self._anew()

    def _writable(self) -> ConnectionPool:
        """The same, if it can be written; one that could not is tried again."""
        opened = self._current()
        if not opened.read_only:
            return opened
        with self._opening:
            opened = self._anew(readable=False)
        if opened.read_only:
            raise apsw.ReadOnlyError
        return opened

    def _anew(self, *, readable: bool = True) -> ConnectionPool:
        if self._opened is not None:
            self._opened.leave()
            self._opened = None
        file.check_there(self._path)
        self._opened = ConnectionPool(self._path, new=False, readable=readable)
        self.read_only = self._opened.read_only
        return self._opened

    def back_up(self, target: Path | None) -> Path:
        from flex_mcp.storage.sqlite import backups  # late: few need it

        with file.plain_errors(self._path):
            self._current()
            target = target or backups.default_target(self._path)
            with contextlib.closing(file.connect(self._path)) as source:
                backups.back_up(self._path, source, target)
        return target

    def finish(self, seconds: float, say: Callable[[str], None]) -> "Cleaned":
        from flex_mcp.storage.sqlite.purge import Cleaning, Patience  # late: few processes forget

        with file.plain_errors(self._path), ExitStack() as stack:
            _, writer = _taken(stack, self._writable, ConnectionPool.writer)  # our own threads wait
            connection = stack.enter_context(contextlib.closing(file.connect(self._path)))
            cleaned = Cleaning(self._path, connection, Patience(seconds, say)).done()
            writer.pragma("secure_delete", 0)  # deleting set it
            return cleaned

    def close(self) -> None:
        """Close all connections; the last one of all processes folds the -wal file in."""
        with self._opening:
            self._closed = True
            if self._opened is None:
                return
            with contextlib.suppress(LibraryError, apsw.Error):
                if not self._opened.is_in_place():
                    self._opened.leave()
            self._opened.close()


class Look(NamedTuple):
    """What a file is: its schema, the newest that we know, and what made its vectors."""

    version: int
    newest: int
    made_by: Vectors | None
    unfinished: bool = False  # a forgetting
    older_words: bool = False  # made before letters and signs were folded


def look(path: Path) -> Look:
    """See what a file is, without changing anything.

    Raises:
        LibraryError: it cannot be read, or is no library that we know.
    """
    with contextlib.closing(file.connect_unchanged(path)) as connection, file.plain_errors(path):
        version = file.schema_version(path, connection)
        reading = SqliteTransaction(connection, SearchIndex())
        made_by = reading.vectors.made_by() if version else None
        unfinished, older_words = (
            version > 0 and reading.settings.get(name) is not None
            for name in (FORGETTING, OLDER_WORDS)
        )
    return Look(version, len(file.MIGRATIONS), made_by, unfinished, older_words)


Take = Callable[[ConnectionPool], AbstractContextManager[apsw.Connection | None]]


def _taken(
    stack: ExitStack, find: Callable[[], ConnectionPool], take: Take
) -> tuple[ConnectionPool, apsw.Connection]:
    """A connection of what is open now, until the stack ends."""
    while True:
        opened = find()
        if (connection := stack.enter_context(take(opened))) is not None:
            return opened, connection
        stack.pop_all().close()  # another thread has closed it in between: its file was replaced


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
