"""The pages table: fixed rows of all experiences and chunks, packed, so that they load fast.

Each write puts a rising `change` on its pages; who holds an older one reads just these again.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flex_mcp.models import Filter, Level, Status, Zone
from flex_mcp.sqlite import signatures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.void]
    Floats = NDArray[np.float32]

Run = Callable[..., Iterator[tuple[Any, ...]]]  # a named query with its values

ROWS = 128  # of a page: a write rewrites a few KB
EXPERIENCES, CHUNKS = "experiences", "chunks"
EXPERIENCE = np.dtype([("id", "S14"), ("key", "u1"), ("domain", "<i4")])
ZONES, LEVELS = tuple(Zone), tuple(Level)
NOWHERE = 0  # the key of what is not active, the code of no domain, the experience of no chunk


def chunk(size: int) -> np.dtype[np.void]:
    """A chunk's row, for signatures of this many bytes."""
    return np.dtype([("experience", "<i8"), ("signature", "u1", (size,))])


KINDS = tuple(product(ZONES, LEVELS))


def key(zone: str, level: str) -> int:
    """Zone and level of an active experience in one byte."""
    return 1 + KINDS.index((Zone(zone), Level(level)))


class Kept(NamedTuple):
    """What the page of an experience says of it."""

    number: int
    id: str
    zone: str
    level: str
    status: str
    domain: str | None

    def passes(self, wanted: Filter) -> bool:
        """Whether it is active and the filter lets it through."""
        return (
            self.status == Status.ACTIVE
            and self.zone in (wanted.zones or ZONES)
            and self.level in (wanted.levels or LEVELS)
            and (wanted.domain is None or f"{self.domain}/".startswith(f"{wanted.domain}/"))
        )


class Chunk(NamedTuple):
    """One chunk of an experience, or of none any more."""

    number: int
    experience: int
    vector: "Floats"


def put_experiences(run: Run, kept: Iterable[Kept], *, anew: bool = False) -> None:
    """In rising order of their numbers; `anew` drops what else their pages say."""
    for page, group in groupby(kept, lambda row: row.number // ROWS):
        rows = _page(run, EXPERIENCES, page, EXPERIENCE, anew=anew)
        for row in group:
            active = row.status == Status.ACTIVE
            where = key(row.zone, row.level) if active else NOWHERE
            rows[row.number % ROWS] = (row.id.encode(), where, _code(run, row.domain))
        run("put_page", kind=EXPERIENCES, page=page, rows=rows.tobytes())


def put_chunks(run: Run, chunks: Iterable[Chunk], *, anew: bool = False) -> None:
    """As above."""
    for page, group in groupby(chunks, lambda row: row.number // ROWS):
        found = list(group)
        vectors = np.stack([row.vector for row in found])
        dtype = chunk(signatures.size(vectors.shape[1]))
        rows = _page(run, CHUNKS, page, dtype, anew=anew)
        places = [row.number % ROWS for row in found]
        rows["experience"][places] = [row.experience for row in found]
        rows["signature"][places] = signatures.signatures(vectors)
        run("put_page", kind=CHUNKS, page=page, rows=rows.tobytes())


def clear(run: Run, numbers: Iterable[int], chunks: Iterable[int]) -> None:
    """Leave nothing of these, nor of chunks that are nobody's any more."""
    for page, group in groupby(sorted(numbers), lambda number: number // ROWS):
        rows = _page(run, EXPERIENCES, page, EXPERIENCE, anew=False)
        rows[[number % ROWS for number in group]] = np.zeros(1, EXPERIENCE)
        run("put_page", kind=EXPERIENCES, page=page, rows=rows.tobytes())
    gone = set(chunks)
    for page, held in list(run("chunk_pages")):
        rows = np.frombuffer(held, chunk(len(held) // ROWS - 8)).copy()
        nobodys = rows["experience"] == NOWHERE
        nobodys[[number % ROWS for number in gone if number // ROWS == page]] = True
        rows[nobodys] = np.zeros(1, rows.dtype)
        if rows.tobytes() != held:
            run("put_page", kind=CHUNKS, page=page, rows=rows.tobytes())


def rebuild(run: Run) -> None:
    """Make all pages anew from the tables."""
    before = next(run("last_page_change"))[0]
    put_experiences(run, (Kept(*row) for row in run("kept_experiences")), anew=True)
    halves = ((number, owner, half) for number, owner, half in run("kept_chunks"))
    chunks = (Chunk(number, owner, floats(half)) for number, owner, half in halves)
    put_chunks(run, chunks, anew=True)
    run("drop_pages", before=before)


def mistakes(run: Run) -> int:
    """How many pages do not say what the tables say, and how many lack."""
    wrong = 0
    known = {domain: code for code, domain in run("all_domains")}
    rows = (Kept(*row) for row in run("kept_experiences"))
    for page, group in groupby(rows, lambda row: row.number // ROWS):
        expected = np.zeros(ROWS, EXPERIENCE)
        for row in group:
            where = key(row.zone, row.level) if row.status == Status.ACTIVE else NOWHERE
            code = NOWHERE if row.domain is None else known.get(row.domain, -1)
            expected[row.number % ROWS] = (row.id.encode(), where, code)
        wrong += not np.array_equal(_page(run, EXPERIENCES, page, EXPERIENCE, anew=False), expected)
    chunks = ((chunk, owner, len(half) // 2) for chunk, owner, half in run("kept_chunks"))
    for page, group in groupby(chunks, lambda row: row[0] // ROWS):
        found = list(group)
        kept = _page(run, CHUNKS, page, chunk(signatures.size(found[0][2])), anew=False)
        owners = np.zeros(ROWS, np.int64)
        owners[[number % ROWS for number, *_ in found]] = [owner for _, owner, _ in found]
        wrong += not np.array_equal(kept["experience"], owners)
    return wrong


def floats(half: bytes) -> "Floats":
    """A vector as the tables keep it."""
    return np.frombuffer(half, np.float16).astype(np.float32)


def _page(run: Run, kind: str, page: int, dtype: np.dtype[np.void], *, anew: bool) -> "Rows":
    found = [] if anew else list(run("page", kind=kind, page=page))
    if found and len(found[0][0]) == ROWS * dtype.itemsize:
        return np.frombuffer(found[0][0], dtype).copy()
    return np.zeros(ROWS, dtype)


def _code(run: Run, domain: str | None) -> int:
    if domain is None:
        return NOWHERE
    known = next(run("domain_code", domain=domain), None) or next(run("add_domain", domain=domain))
    return int(known[0])
