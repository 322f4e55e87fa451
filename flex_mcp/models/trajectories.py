"""Trajectories: what was done on a task and how it ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, NamedTuple, cast

from annotated_types import Interval, Len

from flex_mcp.models.experiences import Decision, Experience
from flex_mcp.models.outcomes import ReportedOutcome
from flex_mcp.models.searches import Retrieval
from flex_mcp.models.vocabulary import (
    LESSONS_LIMIT,
    STEPS_LIMIT,
    TRAJECTORY_LIMIT,
    Body,
    CleanDomain,
    CleanProject,
    Domain,
    Id,
    Named,
    OurId,
    Outcome,
    Project,
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
    content: Body
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
    transcript: Body | None = field(
        default=None, metadata=about("Instead of steps: the whole text.")
    )
    answer: Body | None = field(default=None, metadata=about("The result that was given."))
    feedback: Body | None = field(
        default=None, metadata=about("The verdict: test output, the user's words, right answer.")
    )
    score: Annotated[float | None, Interval(ge=0, le=1)] = field(
        default=None, metadata=about("0 to 1.")
    )
    verified_by: VerifiedBy = field(default=VerifiedBy.NONE, metadata=about("Who says so."))
    domain: Domain | None = field(default=None, metadata=about("A path such as python/packaging."))
    project: Project | None = field(default=None, metadata=about("Default: where you work."))
    agent: Agent | None = None

    @classmethod
    def clashes(cls, given: Mapping[str, Any], /) -> Iterator[str]:
        steps, transcript = given.get("steps") or (), given.get("transcript")
        if "steps" in given and "transcript" in given:
            yield "give steps or transcript, not both: they are two forms of the same text"
        if len(steps) > STEPS_LIMIT:
            yield (
                f"steps has {len(steps):,} items; the limit is {STEPS_LIMIT:,}: "
                "put short ones together, or send a transcript"
            )
        texts = [transcript, given.get("answer"), given.get("feedback")]
        texts += [_of(step, name) for step in steps for name in ("name", "content")]
        size = sum(len(text.encode(errors="replace")) for text in texts if isinstance(text, str))
        if size > TRAJECTORY_LIMIT:
            yield (
                f"the trajectory has {size:,} bytes; the limit is {TRAJECTORY_LIMIT:,} (5 MiB): "
                "leave out long outputs that taught nothing"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Trajectory):
    """A trajectory with what belongs to it: what it used, what helped, what it taught, its key."""

    retrieval_ids: Annotated[tuple[Id, ...], Len(0, 100)] | None = field(
        default=None, metadata=about("The searches that this work used.")
    )
    helpful: Named | None = field(default=None, metadata=about("Experiences that helped."))
    harmful: Named | None = field(default=None, metadata=about("Those that misled."))
    # each is checked by itself: one bad lesson never refuses the others
    lessons: Annotated[tuple[Any, ...], Len(0, LESSONS_LIMIT)] | None = None
    key: Annotated[str, Len(1, 200)] | None = field(
        default=None, metadata=about("Your own name for it; the same key is stored once.")
    )


def _of(step: object, name: str) -> object:
    """A part of a step, which may not be one yet."""
    if isinstance(step, Mapping):
        return cast("Mapping[str, object]", step).get(name)
    return getattr(step, name, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrajectory(Trajectory):
    """A trajectory as the library holds it."""

    domain: CleanDomain = None
    project: CleanProject = None
    id: OurId
    key: str
    state: TrajectoryState
    recorded_at: datetime
    retrieval_ids: tuple[str, ...] = ()
    block: str | None = None


class WholeTrajectory(NamedTuple):
    """A trajectory with what came before and after it, each in the order of time.

    The searches that it worked with, how it ended as often as somebody said so later, and the
    experiences that it is evidence for.
    """

    trajectory: RecordedTrajectory
    searches: Sequence[Retrieval]
    outcomes: Sequence[ReportedOutcome]
    learnt: Sequence[Experience]


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
