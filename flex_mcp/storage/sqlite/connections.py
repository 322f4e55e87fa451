"""Connections to one library file, pooled, and whether it still lies where it was opened.

A file that is deleted, moved or replaced stays open: a commit would go where nobody finds it.
So each transaction compares the files at the path with those that were opened.
"""

import contextlib
import os
import stat
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import apsw

from flex_mcp.errors import LibraryError
from flex_mcp.storage.sqlite import file, migrate
from flex_mcp.storage.sqlite.errors import beside
from flex_mcp.storage.sqlite.search_index import SearchIndex

READERS = 4  # connections kept for snapshots; more are made when needed, and closed after

Inode = tuple[int, int] | None


class Files(NamedTuple):
    """Which files lie at a path, by device and inode; None where there is none."""

    library: Inode
    wal: Inode
    shm: Inode


def _inode(path: Path) -> Inode:
    try:
        found = os.stat(path)  # noqa: PTH116  at each transaction: twice as fast as Path.stat
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise file.unreachable(path, error) from error
    return None if stat.S_ISDIR(found.st_mode) else (found.st_dev, found.st_ino)


class ConnectionPool:
    """The connections to one file: a writer, and readers that are made when needed.

    Opening costs one read: no integrity check, no count, no model, no network.
    """

    def __init__(self, path: Path, *, new: bool = True, readable: bool = True) -> None:
        self._path = path
        self._paths = [beside(path, end) for end in ("", "-wal", "-shm")]
        self._patience = file.Patience()
        self._writer = file.connect(path, self._patience, readable=readable)
        try:
            if not new:
                file.check_not_empty(path, self._writer)
            migrate.migrate(path, self._writer)
            self._files = self._files_now()
        except BaseException:
            file.let_go(path, self._writer)
            raise
        self.read_only = bool(self._writer.readonly("main"))
        self.index = SearchIndex(self.reader)  # one for all connections
        self._idle: list[apsw.Connection] = []
        self._in_use = 0
        self._closed = self._outdated = False
        self._has_changes = False  # in the -wal, when this was last in place
        self._changing = threading.Condition()
        self._write_lock = threading.Lock()

    def _files_now(self) -> Files:
        return Files(*map(_inode, self._paths))

    def is_in_place(self) -> bool:
        """Whether the files at the path are those that are open, as they were."""
        if self._outdated or self._files_now() != self._files:
            return False
        self._has_changes = file.size(self._paths[1]) > 0
        return True

    @contextlib.contextmanager
    def reader(self) -> Generator[apsw.Connection | None]:
        """A connection for a snapshot; None where this was closed meanwhile."""
        with self._changing:
            if self._closed:
                yield None
                return
            connection = self._idle.pop() if self._idle else None
            self._in_use += 1
        try:
            if connection is None:
                connection = file.connect(self._path)
                connection.pragma("query_only", 1)
            yield connection
        finally:
            with self._changing:
                self._in_use -= 1
                if connection is not None:
                    if self._closed or len(self._idle) >= READERS or connection.in_transaction:
                        connection.close()
                    else:
                        self._idle.append(connection)
                self._changing.notify_all()

    @contextlib.contextmanager
    def writer(self) -> Generator[apsw.Connection | None]:
        """The connection that writes, for one thread at a time; None as above.

        What a thread waits for others counts for what it may wait for other processes.
        """
        started = time.monotonic()
        if not self._write_lock.acquire(timeout=file.BUSY_SECONDS):
            raise apsw.BusyError
        try:
            self._patience.spent = time.monotonic() - started
            yield None if self._closed else self._writer
        finally:
            self._write_lock.release()

    def check(self, connection: apsw.Connection) -> None:
        """See in the transaction that has just begun that it is still a library of this version.

        Raises:
            NewerLibraryError: another process has brought it to a newer one.
            NotALibraryError: something else was written over it.
            LibraryError: it was restored from an older version; the next call brings it up to date.
        """
        version = file.check_not_empty(self._path, connection)
        if version < len(file.MIGRATIONS):
            self._outdated = True
            raise LibraryError(
                f"the library {self._path} was restored from an older version a moment ago: "
                "try again"
            )

    def close(self) -> None:
        """Close all connections; the last one of all processes folds the -wal file in."""
        self.index.close()
        with self._changing:
            self._closed = True
            while self._idle:
                self._idle.pop().close()
        with self._write_lock:
            self._writer.close()

    def leave(self) -> None:
        """Close a file that is not in place any more, and write nothing into what is there now.

        What lies in its -wal is folded into the file first, wherever that is by now, while nobody
        else can have taken that -wal on: SQLite takes any that it finds beside a library. So an
        empty one stays as it is, and one that is left behind goes.

        Raises:
            BusyError: a snapshot is still read.
        """
        self.index.close()
        now = self._files_now()
        if now != self._files and not self.read_only:
            self._part(now)
        self.close()

    def _part(self, now: Files) -> None:
        mine = self._files
        with self._changing:
            if not self._changing.wait_for(lambda: not self._in_use, file.BUSY_SECONDS):
                raise apsw.BusyError
            for connection in (*self._idle, self._writer):
                # SQLite would fold in and delete by name what is not this file's any more
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if now.wal not in {None, mine.wal} or now.shm not in {None, mine.shm}:
            return
        if now.library not in {None, mine.library} and not self._has_changes:
            return
        with self._write_lock:
            frames, folded = self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if now.library == mine.library:
            return
        if folded < frames:
            raise apsw.BusyError
        for left in self._paths[1:]:
            with contextlib.suppress(OSError):
                left.unlink()
