"""The vectors of a library as one float32 matrix in memory: exact nearest neighbours by cosine."""

from collections.abc import Callable, Collection, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from flex_mcp.models import Filter, Level, Status, Zone

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 8192  # rows that are allocated together: the system gives memory as they are filled
KINDS: dict[tuple[str | None, str | None], int] = {
    kind: number for number, kind in enumerate(product(Zone, Level), start=1)
}
NEVER = 0  # the kind of what is never near: not active, damaged, without experience or direction

# Chunk, its change, the number of its experience, that one's status, zone, level, domain, project;
# vector.
Row = tuple[int, int, int, str | None, str | None, str | None, str | None, str | None, bytes]
Place = tuple[str | None, str | None]  # domain and project
Ranked = list[tuple[int, float]]  # numbers of experiences with their cosine, best first


class Matrix:
    """A row for each chunk, in the order of their numbers, which begin at 1 and have few gaps.

    Threads may search it while one adds or changes rows.
    """

    def __init__(self, dimension: int, built: object) -> None:
        self.built = built  # which building of the table it was read from
        self.change = 0  # the last change that it knows
        self._dimension = dimension
        self._rows = 0
        self._blocks: list[NDArray[np.float32]] = []
        self._kinds = np.zeros(0, np.uint8)
        self._owners = np.zeros(0, np.int64)
        self._places = np.zeros(0, np.int32)  # by their codes
        self._codes: dict[Place, int] = {(None, None): 0}
        self._has_projects = False

    def take(self, rows: Sequence[Row]) -> None:
        """Add or replace rows, in the order of their changes."""
        if not rows:
            return
        chunks, changes, owners, statuses, zones, levels, *where, vectors = zip(*rows, strict=True)
        places = np.array(chunks) - 1
        held = np.frombuffer(b"".join(vectors), np.float32).reshape(-1, self._dimension)
        lengths = np.linalg.norm(held, axis=1)
        kinds = [
            KINDS.get((zone, level), NEVER) if status == Status.ACTIVE else NEVER
            for status, zone, level in zip(statuses, zones, levels, strict=True)
        ]
        codes = [
            self._codes.setdefault(place, len(self._codes)) for place in zip(*where, strict=True)
        ]
        self._has_projects |= any(project is not None for project in where[1])
        self._lengthen(int(places.max()) + 1)
        self._owners[places] = owners
        self._places[places] = codes
        self._put(places, (held / np.where(lengths, lengths, 1)[:, None]).astype(np.float32))
        self._kinds[places] = np.where(lengths, kinds, NEVER)
        self._rows = max(self._rows, int(places.max()) + 1)
        self.change = changes[-1]

    def _lengthen(self, rows: int) -> None:
        while len(self._blocks) * BLOCK < rows:
            self._blocks.append(np.zeros((BLOCK, self._dimension), np.float32))
            more = len(self._blocks) * BLOCK
            self._kinds = _longer(self._kinds, more)
            self._owners = _longer(self._owners, more)
            self._places = _longer(self._places, more)

    def _put(self, places: "NDArray[np.int64]", vectors: "NDArray[np.float32]") -> None:
        for number in {*(places // BLOCK).tolist()}:  # np.unique would import numpy.ma
            own = places // BLOCK == number
            self._blocks[number][places[own] % BLOCK] = vectors[own]

    @property
    def memory_bytes(self) -> int:
        """What its rows take; the room that it has for more is none until it is used."""
        beside = self._kinds.itemsize + self._owners.itemsize + self._places.itemsize
        return self._rows * (4 * self._dimension + beside)

    @property
    def owners(self) -> frozenset[int]:
        """The experiences whose chunks it holds."""
        return frozenset(self._owners[: self._rows].tolist())

    def nearest(
        self, vector: bytes, depth: int, wanted: Filter, without: Collection[int] = ()
    ) -> Ranked:
        """The `depth` nearest experiences, best first, but for some of them."""
        rows, kinds = self._rows, self._kinds
        owners = self._owners[:rows]
        query = np.frombuffer(vector, np.float32)
        query = (query / (np.linalg.norm(query) or 1)).astype(np.float32)
        parts = [block[: max(0, rows - n * BLOCK)] @ query for n, block in enumerate(self._blocks)]
        scores: NDArray[np.float32] = np.concatenate([*parts, np.zeros(0, np.float32)])
        wanted_rows = _kinds(wanted)[kinds[:rows]]
        apart = wanted.projects is not None and (self._has_projects or None not in wanted.projects)
        if wanted.domain is not None or apart:
            codes = self._places[:rows].copy()  # a thread may add some
            wanted_rows &= self._allowed(wanted)[codes]
        if without:
            wanted_rows &= ~np.isin(owners, list(without))
        own = np.flatnonzero(wanted_rows)
        return _best(scores[own], owners[own], depth)

    def _allowed(self, wanted: Filter) -> "NDArray[np.bool_]":
        """By code of domain and project, whether the filter lets it pass."""
        domain, projects = wanted.domain, wanted.projects
        return np.array(
            [
                (domain is None or f"{known or ''}/".startswith(f"{domain}/"))
                and (projects is None or project in projects)
                for known, project in list(self._codes)
            ]
        )


def _longer(array: "NDArray[Any]", length: int) -> "NDArray[Any]":
    return np.concatenate([array, np.zeros(length - len(array), array.dtype)])


def _kinds(wanted: Filter) -> "NDArray[np.bool_]":
    """By kind, whether the filter lets it pass."""
    table = np.zeros(1 + len(KINDS), np.bool_)
    for (zone, level), kind in KINDS.items():
        table[kind] = zone in (wanted.zones or Zone) and level in (wanted.levels or Level)
    return table


def _best(scores: "NDArray[np.float32]", owners: "NDArray[np.int64]", depth: int) -> Ranked:
    def ask(k: int) -> Ranked:
        best = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(len(scores))
        best = best[np.lexsort((owners[best], -scores[best]))]
        return list(zip(owners[best].tolist(), scores[best].tolist(), strict=True))

    return by_best_chunk(ask, depth, most=len(scores))


def by_best_chunk(ask: Callable[[int], Ranked], depth: int, most: int) -> Ranked:
    """The best `depth` experiences, each once: where chunks of one take places, it looks deeper.

    `ask` gives the best chunks, as many as it is told, and at most `most`.
    """
    k = min(2 * depth, most)  # most have two chunks: the text's and the heading's
    while True:
        ranked = ask(k)
        best: dict[int, float] = {}
        for number, score in ranked:
            best.setdefault(number, score)
        if len(best) >= depth or len(ranked) < k or k >= most:
            return list(best.items())[:depth]
        k = min(k * 4, most)
