"""The tools' arguments, as their published schemas say them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from flex_mcp.learning.briefing import Lessons
from flex_mcp.models import (
    Body,
    Curation,
    Domain,
    Fields,
    Id,
    Level,
    Named,
    Outcome,
    Project,
    Strict,
    Task,
    VerifiedBy,
    Work,
    Zone,
    about,
)

Detail = Literal["concise", "detailed"]
Ids = tuple[Id, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchArguments(Strict):
    query: Task = field(metadata=about("The task at hand, in as many words as you have."))
    domain: Domain | None = field(
        default=None, metadata=about("Only this path and what lies below it.")
    )
    project: Project | None = field(default=None, metadata=about("Default: where you work."))
    all_projects: bool = field(default=False, metadata=about("Other projects' lessons too."))
    zones: Annotated[frozenset[Zone] | None, Len(1)] = None
    levels: Annotated[frozenset[Level] | None, Len(1)] = None
    limit: Annotated[int, Interval(ge=1, le=20)] = field(
        default=5, metadata=about("At most so many, 1 to 20; default: 5.")
    )
    detail: Detail = field(
        default="concise", metadata=about("detailed: whole lessons; default: concise.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GetArguments(Strict):
    ids: Annotated[Ids, Len(1, 10)] = field(metadata=about("Up to 10, such as e_k3x5u2m7qa4c."))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordArguments(Work):
    lessons: Lessons | None = field(
        default=None, metadata=about("What it taught: few, each for other tasks of its kind.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillArguments(Strict):
    trajectory_ids: Annotated[Ids, Len(1, 50)] | None = field(
        default=None, metadata=about("Default: those pending.")
    )
    limit: Annotated[int, Interval(ge=1, le=5)] = field(
        default=5, metadata=about("Trajectories in this brief, 1 to 5; default: 5.")
    )
    project: Project | None = field(default=None, metadata=about("Default: where you work."))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportArguments(Strict):
    outcome: Outcome = field(metadata=about("How the task ended."))
    retrieval_id: Id | None = field(default=None, metadata=about("The search that served it, or"))
    trajectory: Annotated[str, Len(0, 200)] | None = field(
        default=None, metadata=about("the id or key of the recorded work.")
    )
    helpful: Named | None = field(default=None, metadata=about("Experiences that helped."))
    harmful: Named | None = field(default=None, metadata=about("Those that misled."))
    feedback: Body | None = field(default=None, metadata=about("With trajectory: the verdict."))
    score: Annotated[float, Interval(ge=0, le=1)] | None = field(
        default=None, metadata=about("0 to 1.")
    )
    verified_by: VerifiedBy | None = None

    @classmethod
    def clashes(cls, given: Mapping[str, Any], /) -> Iterator[str]:
        has_search, has_work = (name in given for name in ("retrieval_id", "trajectory"))
        if has_search == has_work:
            yield "give retrieval_id or trajectory: one of the two"
        elif has_search and not given.keys().isdisjoint({"feedback", "score", "verified_by"}):
            yield "feedback, score and verified_by go with a trajectory, not a search"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateArguments(Strict):
    id: Id
    action: Curation
    reason: Annotated[Task, Len(0, 2_000)] = field(metadata=about("For history."))
    into: Id | None = field(default=None, metadata=about("For merge: the experience that stays."))
    fields: Fields | None = field(
        default=None, metadata=about("For edit, merge: whole new values.")
    )
