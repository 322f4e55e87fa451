"""Trajectories: what was done on a task and how it ended."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from annotated_types import Interval, Len

from flex_mcp.models.experiences import Decision
from flex_mcp.models.vocabulary import (
    CleanDomain,
    Domain,
    OurId,
    Outcome,
    StepKind,
    Strict,
    Task,
    TrajectoryState,
    VerifiedBy,
    about,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a trajectory."""

    kind: StepKind
    content: str
    name: Annotated[str | None, Len(0, 200)] = field(default=None, metadata=about("Tool or actor."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent(Strict):
    """Who did the work."""

    name: Annotated[str | None, Len(0, 200)] = None
    model: Annotated[str | None, Len(0, 200)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory(Strict):
    """What was tried for one task, and how it ended. Of steps and transcript at most one."""

    task: Task = field(metadata=about("The task as it was given."))
    outcome: Outcome = field(metadata=about("How it ended, honestly."))
    steps: tuple[Step, ...] | None = field(
        default=None, metadata=about("What was done, in order, errors and dead ends included.")
    )
    transcript: str | None = field(
        default=None, metadata=about("Instead of steps: the whole text.")
    )
    answer: str | None = field(default=None, metadata=about("The result that was given."))
    feedback: str | None = field(
        default=None, metadata=about("The verdict: test output, the user's words, right answer.")
    )
    score: Annotated[float | None, Interval(ge=0, le=1)] = None
    verified_by: VerifiedBy = field(default=VerifiedBy.NONE, metadata=about("Who says so."))
    domain: Domain | None = field(default=None, metadata=about("A path such as python/packaging."))
    agent: Agent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrajectory(Trajectory):
    """A trajectory as the library holds it."""

    domain: CleanDomain = None
    id: OurId
    key: str
    state: TrajectoryState
    recorded_at: datetime
    retrieval_ids: tuple[str, ...] = ()
    block: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The answer to recording: `new` is False where the same trajectory was there already.

    `changed` is the outcome that it has now, where it came later; `learnt` are the experiences that
    were learnt from it before. `unmatched` are ids that were named and that no search served to it.
    `redacted` is how many secrets were taken out, None where there was none; `held` how many of its
    lessons are quarantined.
    """

    trajectory_id: str
    new: bool
    state: TrajectoryState
    decisions: tuple[Decision, ...] = ()
    unmatched: tuple[str, ...] = ()
    changed: Outcome | None = None
    learnt: tuple[str, ...] = ()
    redacted: int | None = None
    held: int = 0
