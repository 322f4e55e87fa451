"""The search index: vectors, once, in a vec0 table, and the copy of them that a process holds.

Each write gives its chunks a rising change number, by which every process follows the others. Where
the whole table is made anew, it says so by another `vectors_built`.
"""

import contextlib
import dataclasses
import itertools
import json
import math
import struct
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any, cast

import apsw

from flex_mcp.errors import LibraryError, VectorsError
from flex_mcp.models import Experience, Filter, Level, Status, Vectors, Zone, new_id
from flex_mcp.storage.protocol import Scored
from flex_mcp.storage.sqlite.queries import (
    QUERIES,
    Queries,
    Run,
    as_json,
    filter_row,
    first,
    runner,
)

if TYPE_CHECKING:
    from flex_mcp.storage.sqlite.matrix import Matrix, Ranked, Row  # late: numpy starts slowly

Vector = tuple[int, str, str, str, bytes]  # an experience's number, status, zone, level; vector

ZONES, LEVELS = tuple(Zone), tuple(Level)  # vec0 holds their places: they never move
BUILT = "vectors_built"  # the setting that changes when the table is made anew
BESIDE = 13  # bytes of a chunk in memory, beside its vector
DEEPEST = 4096  # vec0 gives no more
AT_ONCE = 2_000  # chunks up to which the first search reads the matrix itself: some milliseconds
LATER = 0.5  # seconds until a larger one is read aside: who searches once has ended then
BATCH = 1_000  # rows that are read together
FREQUENT = 100  # documents of a word from which on its count may be off by one in a hundred
MOST_WORDS = 50_000  # whose frequencies are remembered

Reader = Callable[[], AbstractContextManager[apsw.Connection | None]]


class SearchIndex:
    """What the connections of a process share to search one file; see matrix.py.

    The matrix may be newer than a snapshot, never older: what it proposes is read from the
    snapshot. Until it is there, vec0 compares.
    """

    def __init__(self, reader: Reader = contextlib.nullcontext) -> None:
        self._reader = reader
        self._matrix: Matrix | None = None
        self._aside: threading.Timer | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._frequent: dict[str, tuple[int, int]] = {}  # word: its documents, and when counted

    def nearest(self, run: Run, vector: bytes, depth: int, wanted: Filter) -> list[Scored]:
        """See `storage.protocol.VectorIndex.nearest`; for a snapshot that has changed nothing."""
        matrix = self._current(run)
        if matrix is None:
            return compared(run, vector, depth, wanted)
        return placed(run, matrix.nearest(vector, depth, wanted), depth, wanted)

    def _current(self, run: Run) -> "Matrix | None":
        """The matrix, as new as a snapshot; None while it is read."""
        change, chunks, *built = next(run("index_state"))
        with self._lock:
            matrix = self._matrix
            if matrix is None or matrix.built != built:
                self._matrix = matrix = None
                self._frequent.clear()
                if chunks > AT_ONCE:
                    self._begin_reading()
                else:
                    self._matrix = matrix = read(run)
            elif matrix.change < change:
                follow(run, matrix)
            return matrix

    def known(self, built: Sequence[str | None]) -> "Matrix | None":
        """The matrix as it is, if it is of this building of the table."""
        matrix = self._matrix
        return matrix if matrix and matrix.built == built else None

    def _begin_reading(self) -> None:
        if self._aside is None and not self._closed.is_set():
            self._aside = threading.Timer(LATER, self._read_aside)
            self._aside.daemon = True
            self._aside.start()

    def _read_aside(self) -> None:
        try:
            with contextlib.suppress(apsw.Error, LibraryError), self._reader() as connection:
                if connection is not None:
                    with connection:  # one snapshot
                        self._matrix = read(runner(connection), self._closed.is_set)
        finally:
            self._aside = None

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        if (aside := self._aside) is not None:
            aside.cancel()
            aside.join()

    def documents(self, run: Run, stems: Sequence[str]) -> Mapping[str, int]:
        """How many experiences hold each word.

        Counting a common one reads all its postings, so its count is kept while it cannot be far
        off: a write changes it by one at most. A rare one has to be exact, and is fast.
        """
        change = next(run("index_state"))[0]
        found = {stem: self._frequent[stem] for stem in stems if stem in self._frequent}
        known = {
            stem: documents
            for stem, (documents, counted_at) in found.items()
            if abs(change - counted_at) <= documents // FREQUENT
        }
        rest = [stem for stem in stems if stem not in known]
        found_now = cast("Iterator[tuple[str, int]]", run("documents", terms=as_json(rest)))
        counted = dict(found_now)
        if len(self._frequent) > MOST_WORDS:
            self._frequent.clear()
        common = {stem: number for stem, number in counted.items() if number >= FREQUENT}
        self._frequent |= {stem: (number, change) for stem, number in common.items()}
        return known | counted


class OwnChanges:
    """Searching inside a transaction: the shared matrix, and above it what it does not know yet."""

    def __init__(self, shared: SearchIndex) -> None:
        self._shared = shared
        self._changed: Matrix | None = None
        self._rows: dict[int, int] = {}  # of the changed chunks, which are few and far apart

    def nearest(self, run: Run, vector: bytes, depth: int, wanted: Filter) -> list[Scored]:
        """See `storage.protocol.VectorIndex.nearest`."""
        _, _, *built = next(run("index_state"))
        matrix = self._shared.known(built)
        if matrix is None:
            return compared(run, vector, depth, wanted)
        changed = self._changed
        if changed is None or changed.built != built:
            self._changed = changed = new_matrix(run)
            self._rows.clear()
            changed.change = matrix.change
        written = [
            (self._rows.setdefault(chunk, len(self._rows) + 1), *row)
            for chunk, *row in run("changed_vectors", since=changed.change)
        ]
        changed.take(cast("list[Row]", written))
        found = matrix.nearest(vector, depth, wanted, changed.owners)
        found += changed.nearest(vector, depth, wanted)
        found.sort(key=lambda row: (-row[1], row[0]))
        return placed(run, found, depth, wanted)


@dataclass(slots=True)
class VectorIndex:
    """See `storage.protocol.VectorIndex`."""

    queries: Queries
    index: SearchIndex | OwnChanges

    def made_by(self) -> Vectors | None:
        return made_by(self.queries.tuples)

    def use(self, vectors: Vectors) -> None:
        create(self.queries.connection, vectors.dimension)
        name_maker(self.queries.tuples, vectors)

    def nearest(self, vector: bytes, *, depth: int, wanted: Filter) -> list[Scored]:
        if self.made_by() is None:
            return []
        with sound_vectors():
            return self.index.nearest(self.queries.tuples, vector, depth, wanted)

    def of(self, ids: Sequence[str]) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        if self.made_by() is None:
            return found
        with sound_vectors():
            for id_, vector in self.queries.tuples("vectors", ids=as_json(ids)):
                found.setdefault(id_, []).append(vector)
        return found


# Reading


def made_by(run: Run) -> Vectors | None:
    """What made the vectors; None while there are none."""
    found = next(run("vectors_made_by"), None)
    return vectors_of(found[0]) if found else None


def vectors_of(setting: str) -> Vectors:
    """What made the vectors, as the setting says it."""
    return Vectors(**json.loads(setting))


def new_matrix(run: Run) -> "Matrix":
    from flex_mcp.storage.sqlite.matrix import Matrix  # late: numpy starts slowly

    _, _, *built = next(run("index_state"))
    return Matrix(vectors_of(next(run("vectors_made_by"))[0]).dimension, built)


def read(run: Run, stopped: Callable[[], bool] = lambda: False) -> "Matrix | None":
    """The whole matrix; None where it was stopped."""
    matrix = new_matrix(run)
    return follow(run, matrix, stopped)


def follow(
    run: Run, matrix: "Matrix", stopped: Callable[[], bool] = lambda: False
) -> "Matrix | None":
    """Take what was written since the last look."""
    changed = run("changed_vectors", since=matrix.change)
    while batch := cast("list[Row]", list(itertools.islice(changed, BATCH))):
        if stopped():
            return None
        matrix.take(batch)
    return matrix


def compared(run: Run, vector: bytes, depth: int, wanted: Filter) -> list[Scored]:
    """The nearest by vec0, which compares all of them."""
    from flex_mcp.storage.sqlite.matrix import by_best_chunk  # late: numpy starts slowly

    filters = filter_row(wanted)
    few = wanted.domain is not None or (wanted.projects is not None and first(run, "has_projects"))
    query = "nearest_among" if few else "nearest"
    zones = as_json(ZONES.index(zone) for zone in wanted.zones or Zone)
    levels = as_json(LEVELS.index(level) for level in wanted.levels or Level)
    values: dict[str, Any] = {"vector": vector, "zones": zones, "levels": levels}
    values |= {name: filters[name] for name in ("domain", "projects") if few}

    def ask(k: int) -> "Ranked":
        return [(number, score) for number, score in run(query, k=k, **values)]

    return placed(run, by_best_chunk(ask, depth, DEEPEST), depth, wanted)


def placed(run: Run, found: "Ranked", depth: int, wanted: Filter) -> list[Scored]:
    """Of candidates, best first, the first `depth` that a snapshot has and the filter lets pass."""
    filters = filter_row(wanted)
    best: list[Scored] = []
    for start in range(0, len(found), 2 * depth):
        batch = found[start : start + 2 * depth]
        numbers = as_json(number for number, _ in batch)
        there = dict(run("candidates", numbers=numbers, **filters))
        best += (Scored(there[number], score) for number, score in batch if number in there)
        if len(best) >= depth:
            break
    return best[:depth]


@contextlib.contextmanager
def sound_vectors() -> Generator[None]:
    """What vec0 or SQLite says of damaged vectors, as a sentence of ours.

    Raises:
        VectorsError: they cannot be read.
    """
    try:
        yield
    except (apsw.SQLError, apsw.CorruptError) as error:
        raise VectorsError(
            "this library's vectors are damaged, so search goes by words alone: "
            "run `flex-mcp reindex`"
        ) from error


# Writing


def create(connection: apsw.Connection, dimension: int) -> None:
    """Make the table, for vectors of this dimension."""
    made = Template(QUERIES["create_vectors"]).substitute(dimension=int(dimension))
    connection.execute(made)


def name_maker(run: Run, vectors: Vectors) -> None:
    """Say what made the vectors."""
    run("set_setting", name="vectors", value=json.dumps(dataclasses.asdict(vectors)))


def put(run: Run, number: int, experience: Experience, vectors: Sequence[bytes] | None) -> None:
    """Give an experience its vectors, one a chunk; None: those that it has, in its new place."""
    chunks = [chunk for (chunk,) in run("chunks_of", number=number)]
    if vectors is None:
        vectors = [vector for chunk in chunks for (vector,) in run("vector", chunk=chunk)]
    place = experience.status, experience.zone, experience.level
    for chunk, vector in zip(chunks, vectors, strict=False):
        run("set_vector", chunk=chunk, **_values(*place, vector))
        run("touch_chunk", chunk=chunk, number=number)
    for vector in vectors[len(chunks) :]:
        (chunk,) = next(run("add_chunk", number=number))
        run("add_vector", chunk=chunk, **_values(*place, vector))
    for chunk in chunks[len(vectors) :]:
        run("clear_vector", chunk=chunk)
        run("touch_chunk", chunk=chunk, number=None)


def _values(status: str, zone: str, level: str, vector: bytes) -> dict[str, Any]:
    return {
        "active": int(status == Status.ACTIVE and any(vector)),
        "zone": ZONES.index(Zone(zone)),
        "level": LEVELS.index(Level(level)),
        "vector": vector,
    }


def build(connection: apsw.Connection, dimension: int, vectors: Iterable[Vector]) -> None:
    """Make the table anew, of these, in their order; those of another dimension are left out.

    vec0 never uses the room of deleted rows again, and a table of it cannot be renamed.
    """
    run = runner(connection)
    run("drop_vectors")
    run("clear_chunks")
    create(connection, dimension)
    sound = (row for row in vectors if len(row[-1]) == 4 * dimension)
    for chunk, (number, status, zone, level, vector) in enumerate(sound, start=1):
        run("put_chunk", chunk=chunk, number=number)
        run("add_vector", chunk=chunk, **_values(status, zone, level, vector))
    run("set_setting", name=BUILT, value=new_id("x"))


def take_staged(connection: apsw.Connection, vectors: Vectors) -> None:
    """Make the table anew of what a reindex has put aside."""
    run = runner(connection)
    build(connection, vectors.dimension, _later(run, "staged_vectors"))
    name_maker(run, vectors)


def forget(connection: apsw.Connection) -> None:
    """Make the table anew of what there is still an experience of, so that no more is in it."""
    run = runner(connection)
    if (made_of := made_by(run)) is not None:
        build(connection, made_of.dimension, list(_later(run, "kept_vectors")))


def _later(run: Run, query: str) -> Iterator[Vector]:
    """The rows of a query that is run when the first is taken: a table that is read stays."""
    yield from cast("Iterator[Vector]", run(query))


def single(half: bytes) -> bytes:
    """A vector of float32 of one of float16, as schemas before 7 have them."""
    import numpy as np

    return np.frombuffer(half, np.float16).astype(np.float32).tobytes()


def carry_over(connection: apsw.Connection) -> None:
    """Fill the table from those of a library before schema 7, which held halves of floats."""
    run = runner(connection)
    for chunk, half in list(run("staged_halves")):
        run("set_staged", chunk=chunk, vector=single(half))
    if (made_of := made_by(run)) is not None:
        carried = ((*row, single(half)) for *row, half in _later(run, "carried_vectors"))
        build(connection, made_of.dimension, cast("Iterator[Vector]", carried))
    run("drop_carried")


def rebuild(connection: apsw.Connection, damaged: apsw.Connection | None = None) -> None:
    """Make the table anew of what can be read of it, or of that of a damaged library."""
    run = runner(connection)
    if (made_of := made_by(run)) is None:
        run("drop_vectors")
        return
    places = {number: place for number, *place in run("places")}
    found = list(readable(runner(damaged or connection)))
    vectors = ((number, *places[number], vector) for number, vector in found if number in places)
    build(connection, made_of.dimension, cast("Iterator[Vector]", vectors))


# Looking after it


def memory_bytes(run: Run) -> int:
    """What a process holds of the vectors once it has read them."""
    if (made_of := made_by(run)) is None:
        return 0
    return int(next(run("count_chunks"))[0]) * (4 * made_of.dimension + BESIDE)


def mistakes(run: Run) -> int:
    """Places in which vectors and tables differ, or where a vector cannot be used."""
    expected = {
        chunk: (status, zone, level) for chunk, status, zone, level in run("expected_vectors")
    }
    if next(run("vectors_table"), None) is None:
        return len(expected)
    try:
        wrong = 0
        for chunk, active, zone, level, vector in run("indexed_vectors"):
            if (place := expected.pop(chunk, None)) is None:
                wrong += active  # of no experience
                continue
            said = {"active": active, "zone": zone, "level": level, "vector": vector}
            wrong += said != _values(*place, vector) or not _is_finite(vector)
        return wrong + len(expected)
    except apsw.Error:
        return max(1, len(expected))  # its own tables are damaged


def _is_finite(vector: bytes) -> bool:
    return all(map(math.isfinite, struct.unpack(f"{len(vector) // 4}f", vector)))


def readable(run: Run) -> Iterator[tuple[int, bytes]]:
    """Experience's number and vector of each chunk that can be read, in a library of any schema."""
    with contextlib.suppress(apsw.Error):
        for chunk, number in list(run("all_chunks")):
            with contextlib.suppress(apsw.Error):
                for (vector,) in run("vector", chunk=chunk):
                    if _is_finite(vector):
                        yield number, vector
    with contextlib.suppress(apsw.Error):
        for number, half in run("old_vectors"):
            vector = single(half)
            if _is_finite(vector):
                yield number, vector
