"""History and statistics: writes, changes, moments, costs and counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from flex_mcp.models.experiences import Revision
from flex_mcp.models.searches import Vectors
from flex_mcp.models.vocabulary import Road


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One transaction: who wrote what, and when.

    `verb` is the Library's or a message batch's; `ids` are the first of what was touched, in order,
    and `touched` is how many there were. `process` is the id that the system gave it.
    """

    number: int
    at: datetime
    client: str
    process: int
    verb: str
    ids: tuple[str, ...]
    touched: int


class Place(NamedTuple):
    """Where a page of experiences ends, in the order of their time."""

    created_at: datetime
    id: str


class Moment(NamedTuple):
    """A point in a library's history: the number of its last change.

    A restore begins another epoch: numbers of different ones are not of one history.
    """

    epoch: str | None = None
    number: int = 0


class Changes(NamedTuple):
    """What happened after some moment; `whole` is False where it was too much to list."""

    last: Moment
    revisions: Sequence[Revision]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was asked of one model by one road; tokens are None where nobody counts them."""

    road: Road
    model: str
    questions: int
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts of a library, or of some projects in it; but searches, revisions and costs are of all.

    The keys of `by_domain` are whole paths, "" for none; so is "" in `by_project` for general.
    `by_zone`, `by_level`, `by_domain` and `by_project` count what is active.
    """

    library_id: str
    schema_version: int
    vectors: Vectors | None
    experiences: int
    by_status: Mapping[str, int]
    by_zone: Mapping[str, int]
    by_level: Mapping[str, int]
    by_domain: Mapping[str, int]
    by_project: Mapping[str, int]
    trajectories: int
    by_state: Mapping[str, int]
    retrievals: int
    revisions: int
    last_change: datetime | None
    spent: tuple[Spent, ...] = ()
    held: int = 0  # bytes that each process which searches holds in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What happened in seven days from a Monday on, by UTC.

    `experiences` were made, whatever became of them, `by_zone` and `by_level`. `active` counts, by
    the zone that each has now, those that were active at the end. `trajectories` were recorded,
    `by_outcome` as it is now. `serving` are those of the `searches` that served something;
    `helpful` and `harmful` count what was named so of what they served.
    """

    first_day: date
    experiences: int
    by_zone: Mapping[str, int]
    by_level: Mapping[str, int]
    active: Mapping[str, int]
    trajectories: int
    by_outcome: Mapping[str, int]
    searches: int
    serving: int
    helpful: int
    harmful: int
