"""Searches: what is looked for, what was found, and the record of a retrieval."""

from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models.experiences import Experience
from flex_mcp.models.vocabulary import Level, OurId, Outcome, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which experiences a search may serve; None means all."""

    levels: frozenset[Level] | None = None
    zones: frozenset[Zone] | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One experience as served: `score` is 0 to 1, comparable within one answer only."""

    experience: Experience
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one search served. `relevance` 0 to 1: how sure the library is that something fits."""

    retrieval_id: str | None
    hits: tuple[Hit, ...]
    relevance: float
    notices: tuple[str, ...] = ()

    @property
    def nothing_relevant(self) -> bool:
        return not self.hits


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """One search and what it served, by rank; `credits` is what its outcome counted for each."""

    id: OurId
    query: str
    at: datetime
    client: str
    served: tuple[OurId, ...]
    scores: tuple[float, ...]
    credits: tuple[int, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    id: str
    served: int
    successes: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Which embedder made the library's vectors."""

    embedder: str
    version: str
    dimension: int
