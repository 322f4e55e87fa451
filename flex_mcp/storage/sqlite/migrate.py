"""Bringing a file to this version's schema, with a copy of what it was."""

import contextlib
import logging
import os
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import apsw

from flex_mcp.models import new_id
from flex_mcp.storage.sqlite import experiences, file, search_index
from flex_mcp.storage.sqlite.queries import QUERIES, runner
from flex_mcp.version import __version__

VECTORS = 7  # the migration that made chunks, which SQL alone cannot fill
IDENTITY = 10  # the one since which fingerprints keep what carries meaning


def migrate(path: Path, connection: apsw.Connection, *, copying: bool = True) -> None:
    """Bring the file to this version's schema: a new one gets all of it, an old one a copy first.

    Safe when several processes open a new file at once: each waits for the write lock and looks
    again (storage measurements: without the retry, 9 of 64 opens failed).

    Raises:
        NotALibraryError: the file holds something else.
        NewerLibraryError: it was written by a newer version.
    """
    with file.plain_errors(path):
        version = file.schema_version(path, connection)
        read_only = connection.readonly("main")
        if not read_only and connection.pragma("journal_mode") != "wal":
            _use_wal(connection)  # a new file, or a copy by VACUUM INTO, which is not in WAL mode
        if version == len(file.MIGRATIONS):
            return
        if read_only:
            raise apsw.ReadOnlyError
        connection.execute("BEGIN IMMEDIATE")
        try:
            old = file.schema_version(path, connection)  # another process may have been first
            with _copied_before(path, old) if copying else contextlib.nullcontext():
                _upgrade(connection, old)
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk may have ended it already
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def _copied_before(path: Path, old: int) -> Generator[None]:
    """Keep a copy of what a migration will change, by a connection that sees it as it was."""
    if old in {0, len(file.MIGRATIONS)}:  # new, or brought up to date by another process
        yield
        return
    from flex_mcp.storage.sqlite import backups  # late: few files are older

    kept = backups.before(path, f"schema-{old}")
    try:
        yield
    except BaseException:
        kept.unlink(missing_ok=True)  # nothing changed; many tries would push older copies out
        raise
    backups.drop_old(path, backups.MIGRATED)
    logging.getLogger("flex_mcp").info(
        "the library %s was brought from schema %d to %d; a copy of it as it was is %s",
        *(path, old, len(file.MIGRATIONS), kept),
    )


def _upgrade(connection: apsw.Connection, old: int) -> None:
    if old == len(file.MIGRATIONS):
        return
    for number in range(old, len(file.MIGRATIONS)):
        connection.execute(file.MIGRATIONS[number])
        connection.pragma("user_version", number + 1)
        if number + 1 == VECTORS:
            search_index.carry_over(connection)
        if number + 1 == IDENTITY:
            experiences.renew_fingerprints(runner(connection))
    if old == 0:
        connection.pragma("application_id", file.APPLICATION_ID)
    if old:
        _log_upgrade(connection, old)
    complete(connection)


def _log_upgrade(connection: apsw.Connection, old: int) -> None:
    at = datetime.now(UTC).isoformat()
    verb = f"upgrade from schema {old}"
    row = {"at": at, "client": f"flex-mcp {__version__}", "process": os.getpid(), "verb": verb}
    connection.execute(QUERIES["add_write"], row | {"ids": "[]", "touched": 0}).fetchall()


def complete(connection: apsw.Connection) -> None:
    """Say who made the schema, and give the library an id if it has none."""
    values = {"name": file.MADE_BY_VERSION, "value": __version__}
    connection.execute(QUERIES["set_setting"], values)
    values = {"name": "library_id", "value": new_id("l")}
    connection.execute(QUERIES["keep_setting"], values)


def _use_wal(connection: apsw.Connection) -> None:
    """The switch to WAL ignores the busy timeout."""
    switch = f"PRAGMA page_size = {file.PAGE_SIZE}; PRAGMA journal_mode = wal"
    file.persist(lambda: connection.execute(switch).get)
