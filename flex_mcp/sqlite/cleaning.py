"""Cleaning the file of what was forgotten, and proving it: words, free pages, the -wal file.

Until the file was cleaned and searched for what went, the mark of a forgetting stays, and any later
run goes on from there.
"""

import json
import random
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from string import Template
from typing import NamedTuple, cast

import apsw

from flex_mcp.analysis import expanded
from flex_mcp.forgotten import BLOCK, WIDTH, Cleaned, Pieces, Proof, encoded
from flex_mcp.sqlite import file, rows
from flex_mcp.sqlite.copies import copies_of
from flex_mcp.sqlite.file import QUERIES, runner
from flex_mcp.sqlite.forgetting import Mark, inflated, mark_in
from flex_mcp.sqlite.opened import new_index
from flex_mcp.sqlite.reading import TOKENIZER
from flex_mcp.sqlite.writing import SqliteWriting
from flex_mcp.store import BACKUPS, FORGETTING

LOOKS = 3  # at what is left, while others write
ATTEMPT = 0.5  # seconds that one try may hold off others
SAID = 5  # seconds between two words to whoever waits
FIRST = 1  # seconds before the first
IN_MEMORY = 256 * 1024 * 1024  # bytes of a file up to which VACUUM works in memory
GATHERED = 1 << 20  # bytes of rows that are looked at together
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
        time.sleep(random.uniform(0.02, 0.1))  # noqa: S311  no secret
        return False


class Cleaning(NamedTuple):
    """The end of the job on one file: `connection` writes it, and is in no transaction."""

    path: Path
    connection: apsw.Connection
    patience: Patience

    def done(self) -> Cleaned:
        """Clean the file and prove it; nothing to do where there is no mark."""
        mark = mark_in(runner(self.connection))
        if mark is None:
            return Cleaned(proof=None)
        copies = tuple(map(str, copies_of(self.path)))
        backups = self._backups()
        for copy in copies:
            Path(copy).unlink(missing_ok=True)
        steps = (self._renew_words, self._rewrite, self._fold)
        if not all(map(self._held_off, steps)):
            unfinished = BUSY + self._finishing()
            return Cleaned(proof=None, unfinished=unfinished, copies=copies, backups=backups)
        proof = self._proof(mark)
        left = tuple(str(one) for one in copies_of(self.path) if str(one) in copies)
        if proof.found or left:
            found = f"{FOUND}{', '.join((*proof.found, *left))}: {self._finishing()}"
            return Cleaned(proof=proof, unfinished=found, copies=copies, backups=backups)
        self._held_off(self._unmark)
        self._held_off(self._fold)
        return Cleaned(proof=proof, copies=copies, backups=backups)

    def _proof(self, mark: Mark) -> Proof:
        """What is found is looked for again: another process may have written it in between."""
        proving = Proving(self.path, self.connection, mark)
        proof = proving.proof()
        for _ in range(LOOKS - 1):
            if proof.found:
                proof = proving.proof()
        return proof

    def _backups(self) -> tuple[str, ...]:
        found = next(runner(self.connection)("setting", name=BACKUPS), None)
        return tuple(json.loads(found[0])) if found else ()

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

    def _renew_words(self) -> None:
        """Older versions kept other words of a text, which a proof would take for remnants."""
        if not strange_words(self.connection)[1]:
            return
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            SqliteWriting(self.connection, new_index).rebuild_words()
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

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
        """Fold the -wal file in, and leave nothing of it."""
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _unmark(self) -> None:
        value = next(runner(self.connection)("setting", name=FORGETTING))[0]
        runner(self.connection)("forget_setting", name=FORGETTING, value=value)


BUSY = (
    "another program is reading the library, so what was forgotten may still lie in its free "
    "pages or its -wal file: close the other programs and "
)
FOUND = "something of what was forgotten was still found, "


class Proving(NamedTuple):
    """Looking for what was forgotten, in tables, vocabulary and bytes."""

    path: Path
    connection: apsw.Connection
    mark: Mark

    def proof(self) -> Proof:
        tables = [name for (name,) in runner(self.connection)("source_tables")]
        common, quoted, found, count = set[int](), dict[str, set[int]](), list[str](), 0
        for table in tables:
            for content, number in self._gathered(table):
                count += number
                common.update(place for place, _ in self.mark.pieces.within(content))
                ids = {place for place, _ in self.mark.ids.within(content)}
                if ids and table in QUOTING:
                    quoted.setdefault(table, set()).update(ids)
                elif ids:
                    found.append(f"an id in the table {table}")
        terms, strangers = strange_words(self.connection)
        found += [f"{len(strangers)} words in the full-text index"] if strangers else []
        unquoted = self.mark.ids.without(set[int]().union(*quoted.values()))
        distinct = self.mark.pieces.without(common) | unquoted
        size, places = self._bytes(distinct)
        return Proof(
            tables=len(tables),
            rows=count,
            terms=terms,
            size=size,
            pieces=len(distinct),
            common=len(common),
            found=(*dict.fromkeys(found), *places),
            named=tuple(dict.fromkeys(self._naming(quoted)))[:SHOWN],
        )

    def _naming(self, tables: Iterable[str]) -> Iterator[str]:
        """Whose rows of these tables quote an id."""
        for table in tables:
            for row in self.connection.execute(_rows_of(table)):
                values = encoded(row)
                texts = (*values, *inflated(values))
                if any(True for text in texts for _ in self.mark.ids.within(text)):
                    yield str(row[QUOTING[table]])

    def _gathered(self, table: str) -> Iterator[tuple[bytes, int]]:
        """The rows of a table as bytes, many at a time, with everything decoded."""
        gathered, count = bytearray(), 0
        for row in self.connection.execute(_rows_of(table)):
            values = encoded(row)
            if table == "meta" and row[0] == FORGETTING:
                continue
            if table in {"embeddings", "staged"}:
                values = [*values, rows.single(cast("bytes", row[-1]))]
            count += 1
            gathered += b"".join(values)  # as they lie in the row
            gathered += b"\xff".join((b"", *inflated(values), b""))
            if len(gathered) >= GATHERED:
                yield bytes(gathered), count
                gathered, count = bytearray(), 0
        yield bytes(gathered), count

    def _bytes(self, wanted: Pieces) -> tuple[int, list[str]]:
        """How many bytes were searched, and where something was found."""
        size, found = 0, list[str]()
        for one in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            for start, block in _blocks(one):
                found += [f"byte {start + at:,} of {one}" for _, at in wanted.within(block)]
            size += one.stat().st_size if one.exists() else 0
        return size, found[:SHOWN]


def _rows_of(table: str) -> str:
    return Template(QUERIES["rows_of"]).substitute(table=table)


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """A file in parts, each with its place, that overlap by what a piece needs.

    Read as SQLite reads it: closing a file otherwise would take this process's locks on it away.
    """
    if not path.exists():
        return
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    content = apsw.VFSFile("", str(path), flags)
    try:
        size, tail = content.xFileSize(), b""
        for start in range(0, size, BLOCK):
            part = content.xRead(min(BLOCK, size - start), start)
            yield start - len(tail), tail + part
            tail = (tail + part)[1 - WIDTH :]
    finally:
        content.xClose()


def strange_words(connection: apsw.Connection) -> tuple[int, set[str]]:
    """How many terms the full-text index has, and those that no active experience holds."""
    run = runner(connection)
    listed = {term for (term,) in run("all_terms")}
    left = set(listed)
    tokenizer = connection.fts5_tokenizer(*TOKENIZER)
    for text in _indexed(connection):
        found = tokenizer(text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None)
        left.difference_update(term for _, _, *terms in found for term in terms)
    return len(listed), left


def _indexed(connection: apsw.Connection) -> Iterator[str]:
    query = Template(QUERIES["rows_of"]).substitute(table="experiences")
    cursor = connection.execute(query)
    for row in cursor:
        named = dict(zip((name for name, _ in cursor.get_description()), row, strict=True))
        if named["status"] == "active":
            listed = (*rows.texts(named["examples"]), *rows.texts(named["tags"]))
            texts = (named["title"], named["when"], named["lesson"], named["domain"] or "")
            yield expanded("\n".join((*texts, *listed)))
