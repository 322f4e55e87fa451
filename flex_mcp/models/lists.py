"""Lists: which experiences and trajectories are wanted, and in which order."""

from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models.searches import Filter
from flex_mcp.models.vocabulary import Outcome, Projects, Status, TrajectoryState, Word


class Sort(Word):
    """What a list of experiences is in the order of: texts from a to z, figures from the most.

    `newest` is the order in which the library got them, the last one first.
    """

    NEWEST = "newest"
    UPDATED = "updated"
    TITLE = "title"
    DOMAIN = "domain"
    ZONE = "zone"
    LEVEL = "level"
    STATUS = "status"
    PRIORITY = "priority"
    SERVED = "served"
    SUCCESSES = "successes"
    FAILURES = "failures"
    HELPFUL = "helpful"
    HARMFUL = "harmful"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperienceFilter(Filter):
    """Which experiences a list holds; None means all.

    `since` keeps those made at that time or later, `text` those whose title, when or lesson holds
    it, in either case.
    """

    statuses: frozenset[Status] | None = None
    since: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryFilter:
    """Which trajectories a list holds; None means all.

    `since` keeps those recorded at that time or later, `text` those whose task holds it, in either
    case.
    """

    state: TrajectoryState | None = None
    outcome: Outcome | None = None
    domain: str | None = None
    projects: Projects = None
    since: datetime | None = None
    text: str | None = None
