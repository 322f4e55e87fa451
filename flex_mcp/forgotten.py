"""What is forgotten: who chooses it, what goes with it, and how its traces are looked for.

Traces are found by fingerprints of short pieces of bytes: one pass over a file looks for thousands
of pieces at once, and the fingerprints may be kept until the job is done, which texts may not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np  # late where it is used: it starts slowly
    from numpy.typing import NDArray

    Prints = NDArray[np.uint64]

WIDTH = 12  # bytes of a piece: an id has 14
VARIED = 6  # different bytes in it, at least
OF_EACH = 64  # pieces of one text, at least where it is long enough
STRIDE = 256  # bytes from a piece to the next one, at most: no longer remnant is overlooked
MOST = 50_000  # pieces in all: beyond, fewer of each text
TEXTS = 10  # of an owner, or so
BASE = 0x9E3779B97F4A7C15  # odd; what is kept in a file was made with it
BLOCK = 1 << 20  # bytes that are fingerprinted at a time
TABLE = 20  # bits of a fingerprint that the first look goes by


class Kind(StrEnum):
    """Whose texts the file holds; revisions and turns belong to their experience and brief."""

    TRAJECTORY = "trajectory"
    EXPERIENCE = "experience"
    HISTORY = "history"
    RETRIEVAL = "retrieval"
    BRIEF = "brief"
    ENTRY = "entry"
    DOCUMENT = "document"
    CLIENT = "client"  # a name in the log of writes


class Held(NamedTuple):
    """One row with all its text, decoded; `at` is when it was recorded."""

    owner: str
    text: str
    domain: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person wants forgotten: these ids, or what fits all of the others that are given.

    `domain` is a path with what lies below it, `text` stands anywhere (case folded), `before` is
    a time of recording.
    """

    ids: tuple[str, ...] = ()
    domain: str | None = None
    text: str | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stems:
    """All that goes, by ids, and what stays with a new beginning.

    `shared` are experiences that have other evidence too; they are among `experiences` unless they
    are kept. `cleaned` stay, and lose the history that names what goes; so do `entries` their JSON,
    and the log the names of `clients`.
    """

    trajectories: frozenset[str] = frozenset()
    experiences: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    cleaned: frozenset[str] = frozenset()
    retrievals: frozenset[str] = frozenset()
    briefs: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    document: bool = False

    @property
    def ids(self) -> frozenset[str]:
        """The ids that may stand nowhere any more."""
        return self.trajectories | self.experiences | self.retrievals | self.briefs

    def __bool__(self) -> bool:
        rest = self.cleaned or self.entries or self.clients or self.document
        return bool(self.ids or rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was looked at after forgetting, and where something was found: nowhere, if all is well.

    `pieces` were looked for in `size` bytes; `common` more occur in what stays as well, and so
    prove nothing. `named` are the first trajectories, experiences and searches that stay and quote
    an id of what went, and perhaps more of it.
    """

    tables: int
    rows: int
    terms: int
    size: int
    pieces: int
    common: int
    found: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """How the cleaning of the file ended: proved, or why it is unfinished."""

    proof: Proof | None
    unfinished: str | None = None
    copies: tuple[str, ...] = ()
    backups: tuple[str, ...] = ()


class Pieces:
    """Fingerprints of pieces, and the search for them."""

    def __init__(self, prints: "Prints") -> None:
        self.prints = prints  # sorted, each once

    @classmethod
    def of(cls, texts: Iterable[bytes], owners: int = 1) -> "Pieces":
        """A few pieces of each text that is long enough; of many owners' fewer."""
        import numpy as np

        thinned = max(1, min(OF_EACH // 4, owners * OF_EACH * TEXTS // MOST))
        sampled = (_sampled(text, thinned) for text in texts if len(text) >= WIDTH)
        prints = np.unique(fingerprints(b"".join(sampled))[::WIDTH])
        return cls(prints[:: -(-len(prints) // MOST)] if len(prints) > MOST else prints)

    @classmethod
    def loads(cls, kept: str) -> "Pieces":
        import numpy as np

        return cls(np.frombuffer(bytes.fromhex(kept), np.uint64))

    def dumps(self) -> str:
        return self.prints.tobytes().hex()

    def __len__(self) -> int:
        return len(self.prints)

    def __or__(self, other: "Pieces") -> "Pieces":
        import numpy as np

        return Pieces(np.union1d(self.prints, other.prints))

    def without(self, places: Iterable[int]) -> "Pieces":
        """All but those at these places."""
        import numpy as np

        return Pieces(np.delete(self.prints, sorted(places)))

    @cached_property
    def _table(self) -> "NDArray[np.bool_]":
        """Whether any print begins so: most of what is looked at ends here."""
        import numpy as np

        table = np.zeros(1 << TABLE, np.bool_)
        table[self.prints >> np.uint64(64 - TABLE)] = True
        return table

    def within(self, content: bytes) -> Iterator[tuple[int, int]]:
        """Where pieces stand in some bytes: which, and at which offset."""
        if not len(self):
            return
        for start in range(0, len(content) - WIDTH + 1, BLOCK):
            part = content[start : start + BLOCK + WIDTH - 1]
            yield from ((piece, start + place) for piece, place in self._within(part))

    def _within(self, part: bytes) -> Iterator[tuple[int, int]]:
        import numpy as np

        seen = fingerprints(part)
        likely = np.flatnonzero(self._table[seen >> np.uint64(64 - TABLE)])
        pieces = np.searchsorted(self.prints, seen[likely])
        pieces = np.minimum(pieces, len(self) - 1)
        hits = self.prints[pieces] == seen[likely]
        yield from zip(pieces[hits].tolist(), likely[hits].tolist(), strict=True)


def fingerprints(content: bytes) -> "Prints":
    """One for the piece that begins at each byte: a polynomial of its bytes, mixed."""
    import numpy as np

    if len(content) < WIDTH:
        return np.zeros(0, np.uint64)
    x = np.frombuffer(content, np.uint8).astype(np.uint64)
    one, two, four = (np.uint64(pow(BASE, power, 1 << 64)) for power in (1, 2, 4))
    pairs = x[:-1] * one + x[1:]
    quads = pairs[:-2] * two + pairs[2:]
    eights = quads[:-4] * four + quads[4:]
    prints = eights[:-4] * four + quads[8:]
    prints ^= prints >> np.uint64(32)
    prints *= np.uint64(0xD6E8FEB86659FD93)
    return prints ^ (prints >> np.uint64(32))


def _sampled(text: bytes, thinned: int) -> bytes:
    """Some pieces of a text, the first and the last among them, one after another.

    Nothing is told by zeros and other monotony: it may stand anywhere.
    """
    last = len(text) - WIDTH
    step = max(1, min(STRIDE, last // OF_EACH)) * thinned
    pieces = (text[at : at + WIDTH] for at in (*range(0, last, step), last))
    return b"".join(piece for piece in pieces if len(set(piece)) >= VARIED)


def encoded(values: Iterable[object]) -> list[bytes]:
    """The texts and bytes among some values."""
    return [
        value.encode() if isinstance(value, str) else value
        for value in values
        if isinstance(value, str | bytes)
    ]
