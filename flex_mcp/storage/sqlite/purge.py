"""Purge of the file after forgetting: the words' index, free pages and the -wal file.

What is deleted is overwritten (secure_delete), the index of words is merged, and the file is
written anew (VACUUM). Then it is checked: no table names an id of what went, there is no free page,
and the -wal is empty. Until all is well, the mark of the forgetting stays, and any later run goes
on from there.
"""

import json
import random
import shlex
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import apsw

from flex_mcp.models.forgetting import Checked, Cleaned
from flex_mcp.storage.protocol import BACKUPS, FORGETTING
from flex_mcp.storage.sqlite import file
from flex_mcp.storage.sqlite.backups import copies_of
from flex_mcp.storage.sqlite.errors import beside
from flex_mcp.storage.sqlite.forgetting import ID, mark_in
from flex_mcp.storage.sqlite.queries import QUERIES, first, runner

TRIES = 3  # at cleaning the file, while others write
ATTEMPT = 0.5  # seconds that one try may hold off others
SAID = 5  # seconds between two words to whoever waits
FIRST = 1  # seconds before the first
IN_MEMORY = 256 * 1024 * 1024  # bytes of a file up to which VACUUM works in memory
QUOTING = {"trajectories": 1, "experiences": 1, "revisions": 1, "retrievals": 0}
# Tables whose texts may quote an id, with the column of whose they are.
SHOWN = 10  # remnants named


class Patience:
    """How long others are waited for, and who hears of it."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        self._deadline = time.monotonic() + seconds
        self._say = say
        self._said = time.monotonic() - SAID + FIRST

    def ended(self) -> bool:
        """Whether it has; else a moment has passed."""
        now = time.monotonic()
        if now >= self._deadline:
            return True
        if now - self._said >= SAID:
            self._said = now
            self._say(f"waiting for another program to let go ({self._deadline - now:.0f} s left)")
        time.sleep(random.uniform(0.02, 0.1))
        return False


class Cleaning(NamedTuple):
    """The end of the job on one file: `connection` writes it, and is in no transaction."""

    path: Path
    connection: apsw.Connection
    patience: Patience

    def done(self) -> Cleaned:
        """Clean the file and check it; nothing to do where there is no mark."""
        ids = mark_in(runner(self.connection))
        if ids is None:
            return Cleaned(checked=None)
        self.connection.pragma("secure_delete", 1)
        copies = tuple(map(str, copies_of(self.path)))
        backups = first(runner(self.connection), "setting", name=BACKUPS) or "[]"
        for copy in copies:
            Path(copy).unlink(missing_ok=True)
        checked, unfinished = self._checked(ids), None
        left = [str(one) for one in copies_of(self.path) if str(one) in copies]
        if checked is None:
            unfinished = BUSY + self._finishing()
        elif checked.found or left:
            unfinished = f"{FOUND}{', '.join((*checked.found, *left))}: {self._finishing()}"
        else:
            self._held_off(self._unmark)
            self._held_off(self._fold)
        return Cleaned(
            checked=checked,
            unfinished=unfinished,
            copies=copies,
            backups=tuple(json.loads(backups)),
        )

    def _checked(self, ids: frozenset[str]) -> Checked | None:
        """What is found once the file is clean; None where others are in the way.

        Another process may have written in between: then it is cleaned again.
        """
        checked = None
        for _ in range(TRIES):
            if not all(map(self._held_off, (self._rewrite, self._fold))):
                return None
            checked = check(self.connection, ids)
            if not checked.found:
                break
        return checked

    def _held_off(self, work: Callable[[], None]) -> bool:
        """Do it as soon as no other process is in the way; False where that lasts too long."""
        self.connection.set_busy_timeout(int(ATTEMPT * 1000))
        try:
            while True:
                try:
                    work()
                except (apsw.BusyError, apsw.LockedError):
                    if self.patience.ended():
                        return False
                else:
                    return True
        finally:
            self.connection.set_busy_timeout(file.BUSY_SECONDS * 1000)

    def _finishing(self) -> str:
        return f"run `flex-mcp forget --finish --library {shlex.quote(str(self.path))}`"

    def _rewrite(self) -> None:
        """Merge the words, then write what stays in new pages."""
        self.connection.execute(QUERIES["optimize_words"])
        small = self.path.stat().st_size <= IN_MEMORY
        try:
            self.connection.pragma("temp_store", "memory" if small else "file")
            self.connection.execute("VACUUM")
        finally:
            self.connection.pragma("temp_store", "memory")

    def _fold(self) -> None:
        """Fold the -wal file in, and see that nothing of it is left.

        Raises:
            BusyError: others read or write it.
        """
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if beside(self.path, "-wal").stat().st_size:
            raise apsw.BusyError

    def _unmark(self) -> None:
        run = runner(self.connection)
        value = first(run, "setting", name=FORGETTING)
        run("forget_setting", name=FORGETTING, value=value)


BUSY = (
    "another program is reading the library, so what was forgotten may still lie in its free "
    "pages or its -wal file: close the other programs and "
)
FOUND = "something of what was forgotten was still found, "


def check(connection: apsw.Connection, ids: frozenset[str]) -> Checked:
    """Look for ids of what was forgotten in all tables, and for free pages."""
    count = 0
    tables, found, named = list[str](), list[str](), list[str]()
    with connection:  # one snapshot
        tables = [name for (name,) in runner(connection)("source_tables")]
        if free := int(connection.pragma("freelist_count")):
            found.append(f"{free:,} free pages")
        for table in tables:
            for row in connection.execute(Template(QUERIES["rows_of"]).substitute(table=table)):
                count += 1
                is_mark = table == "meta" and row[0] == FORGETTING
                if is_mark or ids.isdisjoint(_ids_in(row)):
                    continue
                if table in QUOTING:
                    named.append(str(row[QUOTING[table]]))
                else:
                    found.append(f"an id in the table {table}")
    return Checked(
        tables=len(tables),
        rows=count,
        found=tuple(dict.fromkeys(found)),
        named=tuple(dict.fromkeys(named))[:SHOWN],
    )


def _ids_in(row: tuple[Any, ...]) -> Iterator[str]:
    """All ids that stand in a row, in what is compressed as well."""
    for value in row:
        text = _inflated(value) if isinstance(value, bytes) else value
        if isinstance(text, str):
            yield from ID.findall(text)


def _inflated(value: bytes) -> str:
    try:
        content = zlib.decompress(value)
    except zlib.error:
        content = value
    return content.decode("latin-1")  # an id is ASCII
