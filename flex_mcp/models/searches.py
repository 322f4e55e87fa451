"""Searches: what is looked for, what was found, and the record of a retrieval."""

from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models.experiences import Experience
from flex_mcp.models.vocabulary import Level, OurId, Outcome, Projects, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which experiences a search may serve; None means all.

    `projects` are those whose lessons it may; None among them stands for general lessons.
    """

    levels: frozenset[Level] | None = None
    zones: frozenset[Zone] | None = None
    domain: str | None = None
    projects: Projects = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One experience as served.

    `fit` is the probability, 0 to 1, that it helps with the task (calibrated, docs/retrieval.md);
    `contradicts` is the id of another hit that says the opposite.
    """

    experience: Experience
    fit: float
    contradicts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one search served; `relevance` is the probability, 0 to 1, that anything fits."""

    retrieval_id: str | None
    hits: tuple[Hit, ...]
    relevance: float
    notices: tuple[str, ...] = ()

    @property
    def nothing_relevant(self) -> bool:
        return not self.hits


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """One search and what it served, by rank.

    `credits` is what its outcome counted for each, `named` is 1 for what was named helpful, -1 for
    what was named harmful. `block` is the stretch of work that it belongs to; `stratum` the first
    segment of the best hit's domain, `origin` where that hit is from ("own", or the name of a
    bundle), `size` the library's active experiences: what a comparison has to know later.
    """

    id: OurId
    query: str
    at: datetime
    client: str
    served: tuple[OurId, ...]
    scores: tuple[float, ...]
    credits: tuple[int, ...] = ()
    named: tuple[int, ...] = ()
    outcome: Outcome | None = None
    block: str | None = None
    relevance: float | None = None
    stratum: str | None = None
    origin: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    id: str
    served: int
    successes: int
    failures: int
    helpful: int
    harmful: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Which embedder made the library's vectors."""

    embedder: str
    version: str
    dimension: int
