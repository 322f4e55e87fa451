"""What a process holds of a library while it searches: where each experience is, and signatures.

One for all connections of a store. It is loaded when first needed and follows what any process
writes. It may be newer than a snapshot, never older: what it proposes is read from the snapshot.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flex_mcp.models import Filter
from flex_mcp.sqlite import pages, signatures
from flex_mcp.sqlite.pages import KINDS, LEVELS, NOWHERE, ZONES, Run
from flex_mcp.store import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

FIRST = 600  # chunks of each level that signatures put in front, at least
SHARE = 100  # and one in so many of all chunks
EXACT = 200  # chunks of each level compared exactly, at least
ESTIMATED = 2  # and so many for each place of a list
FREQUENT = 100  # documents of a word from which on its count may be off by one in a hundred
MOST_KEPT = 50_000  # words
UNWANTED = len(LEVELS)  # the group of what no list wants
GROUPS = np.full(256, UNWANTED, np.uint8)  # of each key: the place of its level
GROUPS[1 : 1 + len(KINDS)] = [LEVELS.index(level) for _, level in KINDS]


class Index:
    """Arrays by experience number and by chunk; see pages.py for the rows that they come from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = 0
        self._epoch: str | None = None
        self._ids: NDArray[np.bytes_] = np.zeros(1, "S14")
        self._keys = np.zeros(1, np.uint8)  # number 0 is nobody's, and nowhere
        self._domains = np.zeros(1, np.int32)
        self._owners = np.zeros(0, np.int64)
        self._signatures = np.zeros((0, 0), np.uint64)
        self._frequent: dict[str, tuple[int, int]] = {}  # word: its documents, and when counted

    @property
    def seen(self) -> int:
        """The last change of a page that it knows."""
        return self._seen

    @property
    def active(self) -> int:
        """How many experiences are active."""
        return int(np.count_nonzero(self._keys))

    def frequencies(self, stems: Sequence[str]) -> dict[str, int]:
        """How many experiences hold these, for those that are known and not far off by now.

        A write changes a frequency by one at most. Counting a common word reads all its postings.
        """
        found = {stem: self._frequent[stem] for stem in stems if stem in self._frequent}
        return {
            stem: documents
            for stem, (documents, seen) in found.items()
            if self._seen - seen <= documents // FREQUENT
        }

    def keep_frequencies(self, counted: Mapping[str, int]) -> None:
        """Remember the common words among these; a rare one has to be exact, and is fast."""
        if len(self._frequent) > MOST_KEPT:
            self._frequent.clear()
        common = {stem: number for stem, number in counted.items() if number >= FREQUENT}
        self._frequent |= {stem: (number, self._seen) for stem, number in common.items()}

    def refresh(self, run: Run) -> None:
        """Read the pages that were written since the last look; all of them at the first."""
        change, epoch = next(run("last_page_change"))
        if change <= self._seen and epoch == self._epoch:
            return
        with self._lock:
            if epoch != self._epoch:
                self._begin_anew(epoch)
            for kind, page, change, rows in run("changed_pages", since=self._seen):
                if kind == pages.EXPERIENCES:
                    self._take_experiences(page * pages.ROWS, np.frombuffer(rows, pages.EXPERIENCE))
                else:
                    size = len(rows) // pages.ROWS - np.dtype(np.int64).itemsize
                    self._take_chunks(page * pages.ROWS, np.frombuffer(rows, pages.chunk(size)))
                self._seen = change

    def _begin_anew(self, epoch: str | None) -> None:
        """After a restore. No array gets shorter: others may be looking at them."""
        self._ids, self._keys = np.zeros_like(self._ids), np.zeros_like(self._keys)
        self._domains, self._owners = np.zeros_like(self._domains), np.zeros_like(self._owners)
        self._signatures = np.zeros_like(self._signatures)
        self._frequent = {}
        self._seen, self._epoch = 0, epoch

    def _take_experiences(self, start: int, rows: "NDArray[np.void]") -> None:
        end = start + len(rows)
        self._ids, self._keys, self._domains = (
            _as_long_as(end, array) for array in (self._ids, self._keys, self._domains)
        )
        self._ids[start:end] = rows["id"]
        self._keys[start:end] = rows["key"]
        self._domains[start:end] = rows["domain"]

    def _take_chunks(self, start: int, rows: "NDArray[np.void]") -> None:
        end, words = start + len(rows), rows["signature"].shape[1] // 8
        if len(self._signatures) != words:  # a reindex for another dimension wrote all of them
            self._owners = np.zeros(0, np.int64)
            self._signatures = np.zeros((words, 0), np.uint64)
        self._owners = _as_long_as(end, self._owners)
        self._signatures = _as_long_as(end, self._signatures)
        self._owners[start:end] = rows["experience"]
        self._signatures[:, start:end] = np.ascontiguousarray(rows["signature"]).view(np.uint64).T

    def keys(
        self, numbers: "Ints", wanted: Filter, domains: Collection[int]
    ) -> "NDArray[np.uint8]":
        """The key of each one, NOWHERE where a filter leaves it out.

        `domains` are the codes that the filter lets through.
        """
        keys, domain_of = self._keys, self._domains  # a refresh may put longer ones in place
        numbers = np.where(numbers < min(len(keys), len(domain_of)), numbers, 0)
        found = _table(wanted)[keys[numbers]]  # one look: it may change
        if wanted.domain is not None:
            inside = np.zeros(max((*domains, int(domain_of.max()))) + 1, np.bool_)
            inside[list(domains)] = True
            found[~inside[domain_of[numbers]]] = NOWHERE
        return found

    def best(
        self,
        numbers: "Ints",
        scores: "NDArray[np.floating[Any]]",
        depth: int,
        wanted: Filter,
        domains: Collection[int],
    ) -> list[Scored]:
        """The best `depth` of each level, best first; of equal ones the older."""
        order = np.lexsort((numbers, -scores))
        keys = self.keys(numbers[order], wanted, domains)
        groups = GROUPS[keys]
        lists = [np.flatnonzero(groups == group)[:depth] for group in range(UNWANTED)]
        places = np.sort(np.concatenate(lists))
        chosen = order[places]
        rows: Iterator[tuple[bytes, int, float]] = zip(
            self._ids[numbers[chosen]].tolist(),
            keys[places].tolist(),
            scores[chosen].tolist(),
            strict=True,
        )
        return [Scored(id_.decode(), *KINDS[key - 1], score) for id_, key, score in rows]

    def near(
        self, vector: "NDArray[np.float32]", depth: int, wanted: Filter, domains: Collection[int]
    ) -> list[int]:
        """The chunks to compare exactly: the likely `depth` nearest experiences of each level."""
        owners, held = self._owners, self._signatures  # a refresh may put longer ones in place
        length = min(len(owners), held.shape[1])
        owners, held = owners[:length], held[:, :length]
        groups = GROUPS[self.keys(owners, wanted, domains)]
        far = signatures.distances(held, signatures.signatures(vector[None])[0])
        per_level = max(FIRST, length // SHARE)
        bits = 64 * len(held) + 1
        counts = np.bincount(groups * np.uint32(bits) + far, minlength=bits * (UNWANTED + 1))
        reached = counts.reshape(UNWANTED + 1, bits).cumsum(axis=1) >= per_level
        limits = np.where(reached.any(axis=1), reached.argmax(axis=1), bits).astype(np.int32)
        limits[UNWANTED] = -1
        first = np.flatnonzero(far <= limits[groups])
        estimates = signatures.estimates(held[:, first], vector)
        spread = max(1.0, np.count_nonzero(owners) / max(1, np.count_nonzero(self._keys)))
        places = round(max(EXACT, depth * ESTIMATED) * min(spread, 4.0))
        chosen: list[int] = []
        for group in range(UNWANTED):
            own = first[groups[first] == group]
            best = np.argsort(-estimates[groups[first] == group], kind="stable")[:places]
            chosen += own[best].tolist()
        return chosen


def _as_long_as(end: int, array: "NDArray[Any]") -> "NDArray[Any]":
    """The array, or a longer one that begins with it; the last axis grows."""
    length = array.shape[-1]
    if end <= length:
        return array
    longer = np.zeros((*array.shape[:-1], end + length // 4), array.dtype)
    longer[..., :length] = array
    return longer


def _table(wanted: Filter) -> "NDArray[np.uint8]":
    """Each key that is wanted, by itself."""
    table = np.full(256, NOWHERE, np.uint8)
    for zone in wanted.zones or ZONES:
        for level in wanted.levels or LEVELS:
            key = pages.key(zone, level)
            table[key] = key
    return table
