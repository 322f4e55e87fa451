"""The tools' arguments, as their published schemas say them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, Len

from flex_mcp.briefing import Lessons
from flex_mcp.models import (
    Curation,
    Domain,
    Fields,
    Id,
    Level,
    Outcome,
    Strict,
    Task,
    Trajectory,
    Zone,
)

Detail = Literal["concise", "detailed"]
Ids = tuple[Id, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchArguments(Strict):
    query: Task = field(metadata={"description": "The task at hand, in as many words as you have."})
    domain: Domain | None = field(
        default=None, metadata={"description": "Only this path and what lies below it."}
    )
    zones: Annotated[frozenset[Zone] | None, Len(1)] = None
    levels: Annotated[frozenset[Level] | None, Len(1)] = None
    limit: Annotated[int, Interval(ge=1, le=10)] = field(
        default=3, metadata={"description": "Hits a level."}
    )
    detail: Detail = field(default="concise", metadata={"description": "detailed: whole lessons."})


@dataclass(frozen=True, slots=True, kw_only=True)
class GetArguments(Strict):
    ids: Annotated[Ids, Len(1, 10)] = field(metadata={"description": "Such as e_k3x5u2m7qa4c."})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordArguments(Trajectory):
    retrieval_ids: Annotated[Ids, Len(0, 100)] | None = field(
        default=None, metadata={"description": "The searches that this work used."}
    )
    lessons: Lessons | None = field(
        default=None, metadata={"description": "Lessons, where you have them already."}
    )
    key: Annotated[str, Len(1, 200)] | None = field(
        default=None, metadata={"description": "Your own name for it; the same key is stored once."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillArguments(Strict):
    trajectory_ids: Annotated[Ids, Len(1, 50)] | None = field(
        default=None, metadata={"description": "Default: those pending."}
    )
    limit: Annotated[int, Interval(ge=1, le=5)] = field(
        default=5, metadata={"description": "Trajectories in this brief."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportArguments(Strict):
    retrieval_id: Id
    outcome: Outcome = field(metadata={"description": "How the task ended that it served."})
    helpful: Annotated[Ids, Len(0, 100)] | None = field(
        default=None, metadata={"description": "Experiences that helped."}
    )
    harmful: Annotated[Ids, Len(0, 100)] | None = field(
        default=None, metadata={"description": "Those that misled."}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateArguments(Strict):
    id: Id
    action: Curation
    reason: Annotated[Task, Len(0, 2_000)] = field(metadata={"description": "For history."})
    fields: Fields | None = field(default=None, metadata={"description": "For edit: new values."})
