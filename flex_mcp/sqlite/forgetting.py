"""Forgetting in the file: rows and what is made of them, free pages, and the proof.

The rows go in one transaction, which leaves a mark: fingerprints of what went. Until the file was
cleaned and searched for these, the mark stays, and any later run goes on from there.
"""

import contextlib
import itertools
import json
import random
import re
import shlex
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any, NamedTuple, cast

import apsw

from flex_mcp.analysis import expanded
from flex_mcp.forgotten import BLOCK, WIDTH, Cleaned, Held, Kind, Pieces, Proof, Stems, encoded
from flex_mcp.sqlite import file, rows
from flex_mcp.sqlite.copies import copies_of
from flex_mcp.sqlite.file import QUERIES, runner
from flex_mcp.store import BACKUPS, FORGETTING

Run = Callable[..., Iterator[tuple[Any, ...]]]

ID = re.compile(r"(?=([a-z]_[a-z2-7]{12}))")
LOOKS = 3  # at what is left, while others write
ATTEMPT = 0.5  # seconds that one try may hold off others
SAID = 5  # seconds between two words to whoever waits
FIRST = 1  # seconds before the first
IN_MEMORY = 256 * 1024 * 1024  # bytes of a file up to which VACUUM works in memory
GATHERED = 1 << 20  # bytes of rows that are looked at together
FEW = 8  # ids up to which a text is searched for one after the other
QUOTING = {"trajectories": 1, "experiences": 1, "revisions": 1, "retrievals": 0}
# Tables whose texts may quote an id, with the column of whose they are.
SHOWN = 10  # remnants named

TOKENIZER = "porter", ["unicode61"]  # as the words table has it


# What is held


def held(run: Run, kind: Kind) -> Iterator[Held]:
    """All rows of a kind, decoded."""
    if kind is Kind.TRAJECTORY:
        for id_, at, domain, body, compressed, text in run("held_trajectory"):
            whole = zlib.decompress(body) if compressed else body or b"[]"
            texts = f"{_decoded(text)}\n{_decoded(whole)}"
            yield Held(id_, texts, domain, datetime.fromisoformat(at))
        return
    for id_, at, domain, text in run(f"held_{kind}"):
        yield Held(id_, _decoded(text), domain, datetime.fromisoformat(at) if at else None)


def _decoded(text: str | bytes) -> str:
    try:
        return "\n".join(_strings(json.loads(text)))
    except ValueError:
        return text if isinstance(text, str) else text.decode(errors="replace")


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in cast("list[object]", value):
                yield from _strings(item)
        case dict():
            for key, item in cast("dict[str, object]", value).items():
                yield key
                yield from _strings(item)
        case _:
            pass


def naming(run: Run, kind: Kind, ids: Collection[str]) -> set[str]:
    """Whose rows of this kind name one of the ids."""
    wanted = frozenset(ids)

    def is_named(text: str) -> bool:
        if len(wanted) <= FEW:
            return any(id_ in text for id_ in wanted)
        return not wanted.isdisjoint(ID.findall(text))

    return {id_ for id_, text in run(f"naming_{kind}") if is_named(text)}


# The rows


def forget(connection: apsw.Connection, stems: Stems) -> None:
    """Delete what goes, and leave the mark; `connection` is in a transaction."""
    connection.pragma("secure_delete", 1)
    run = runner(connection)
    numbers = [number for (number,) in run("numbers", ids=rows.as_json(stems.experiences))]
    texts = itertools.chain(_texts(run, stems, numbers), encoded(stems.clients))
    gone = Pieces.of(texts, len(stems.ids | stems.cleaned | stems.clients))
    ids = Pieces.of(encoded(stems.ids))
    _forget_indexed(run, numbers)
    for verb, chosen in (
        ("empty_entries", stems.entries),
        ("forget_experiences", stems.experiences),
        ("forget_trajectories", stems.trajectories),
        ("forget_links", stems.retrievals),
        ("forget_retrievals", stems.retrievals),
        ("forget_briefs", stems.briefs),
        ("forget_writes", stems.ids),
        ("forget_clients", stems.clients),
    ):
        run(verb, ids=rows.as_json(chosen))
    run("forget_emptied_entries")
    run("forget_domains")
    if stems.document:
        run(
            "forget_setting",
            name="flex_document",
            value=next(run("setting", name="flex_document"))[0],
        )
    earlier = _mark(run)
    _put_mark(run, Mark(ids | earlier.ids, gone | earlier.pieces) if earlier else Mark(ids, gone))


def _forget_indexed(run: Run, numbers: Collection[int]) -> None:
    """What is made of experiences and does not go with them."""
    from flex_mcp.sqlite import pages  # late: numpy starts slowly

    chunks = [chunk for (chunk,) in run("chunks_of", numbers=rows.as_json(numbers))]
    for number in numbers:
        run("clear_words", number=number)
    for chunk in chunks:
        run("clear_vector", chunk=chunk)
    pages.clear(run, numbers, chunks)


def _texts(run: Run, stems: Stems, numbers: Collection[int]) -> Iterator[bytes]:
    """All texts and bytes of the rows that go, as the file holds them and decoded."""
    rewritten = stems.experiences | stems.cleaned
    for query, chosen in (
        ("gone_trajectories", stems.trajectories),
        ("gone_experiences", rewritten),
        ("gone_revisions", rewritten),
        ("gone_retrievals", stems.retrievals),
        ("gone_briefs", stems.briefs),
        ("gone_entries", stems.entries),
    ):
        for row in run(query, ids=rows.as_json(chosen)):
            values = encoded(row)
            yield from (*values, *_inflated(values))
    for (half,) in run("gone_vectors", numbers=rows.as_json(numbers)):
        yield from (half, rows.single(half))
    for (kept,) in run("gone_tokens", numbers=rows.as_json(numbers)):
        yield kept
    if stems.document:
        yield from encoded(next(run("setting", name="flex_document")))


def _inflated(values: Iterable[bytes]) -> Iterator[bytes]:
    """What is in those of the values that are compressed."""
    for value in values:
        if value[:1] == b"\x78":  # zlib's
            with contextlib.suppress(zlib.error):
                yield zlib.decompress(value)


class Mark(NamedTuple):
    """What is looked for: ids, which may stand nowhere, and pieces of what went."""

    ids: Pieces
    pieces: Pieces


def _mark(run: Run) -> Mark | None:
    found = next(run("setting", name=FORGETTING), None)
    return Mark(*map(Pieces.loads, json.loads(found[0]))) if found else None


def _put_mark(run: Run, mark: Mark) -> None:
    value = json.dumps([pieces.dumps() for pieces in mark])
    run("set_setting", name=FORGETTING, value=value)


# The file


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
        mark = _mark(runner(self.connection))
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
        from flex_mcp.sqlite.opened import new_index
        from flex_mcp.sqlite.writing import SqliteWriting

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
                texts = (*values, *_inflated(values))
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
            gathered += b"\xff".join((b"", *_inflated(values), b""))
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
