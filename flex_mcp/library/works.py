"""Works: trajectories with what belongs to each; made ready first, then kept, one or many."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, ParamSpec, TypeVar

from flex_mcp.errors import InputError
from flex_mcp.library import recording
from flex_mcp.library.lessons import PreparedLessons, RawLesson, any_accepted, place
from flex_mcp.library.recording import NewTrajectory, Used
from flex_mcp.models import (
    Origin,
    Recorded,
    Road,
    Status,
    Trajectory,
    TrajectoryState,
    Work,
    values_of,
)
from flex_mcp.safety.redaction import Redactor
from flex_mcp.storage.protocol import Transaction
from flex_mcp.validation import checked

RawWork = Trajectory | Mapping[str, object]
BATCH = 100  # works in one transaction
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReadyWork:
    """A work that was checked, without secrets but in its lessons, which are prepared apart."""

    new: NewTrajectory
    used: Used
    lessons: Sequence[RawLesson]


def whole(given: RawWork, **beside: Any) -> Work:
    """A work, checked; what is named beside it takes the place of what it holds.

    Raises:
        InputError: all that is wrong with it.
    """
    beside = {name: value for name, value in beside.items() if value is not None and value != ()}
    if not isinstance(given, Trajectory):
        given = checked(Work, given)
        if not beside:
            return given
    held = values_of(given, Work if isinstance(given, Work) else Trajectory)
    return checked(Work, Work(**(held | beside)))


def ready(
    work: Work,
    now: datetime,
    redactor: Redactor,
    *,
    block: str | None = None,
    recent: Sequence[str] = (),
) -> ReadyWork:
    """A work as it will be kept.

    Args:
        work: which was checked.
        now: when it is recorded.
        redactor: takes its secrets out.
        block: the session's stretch of work.
        recent: the session's searches, where what is named is looked for without `retrieval_ids`.

    Raises:
        SettingError: see `Redactor.clean`.
    """
    used = Used(
        retrieval_ids=work.retrieval_ids or (),
        recent=recent,
        helpful=work.helpful or (),
        harmful=work.harmful or (),
    )
    new = recording.recorded(work, work.key, now, redactor, block)
    return ReadyWork(new, used, work.lessons or ())


def apart(prepared: PreparedLessons, works: Iterable[ReadyWork]) -> Iterator[PreparedLessons]:
    """The lessons of many works, which were prepared together, work by work."""
    lessons = iter(prepared.lessons)
    for one in works:
        yield replace(prepared, lessons=list(islice(lessons, len(one.lessons))))


def kept(
    writing: Transaction,
    work: ReadyWork,
    lessons: PreparedLessons,
    *,
    by: str,
    now: datetime,
    replacing: bool = False,
) -> Recorded:
    """Keep a work, once, and place its lessons.

    Raises:
        InputError: its key is taken by other work; nothing is written then.
        EmbedderError: the library was reindexed since its lessons were prepared.
    """
    agent = work.new.trajectory.agent
    origin = Origin(kind="distilled", by=by, road=Road.AGENT, model=agent and agent.model)
    made = recording.keep(writing, work.new, work.used, by, replacing=replacing)
    id_, learnt = made.id, writing.experiences.evidenced_by([made.id])
    (here,) = writing.trajectories.get([id_])
    decisions = place(writing, lessons, [here], origin=origin, now=now)
    if accepted := any_accepted(decisions):
        writing.trajectories.set_state([id_], TrajectoryState.DISTILLED)
    placed = [one.experience_id for one in decisions if one.experience_id]
    there = writing.experiences.get([*{*placed, *learnt}])
    return Recorded(
        trajectory_id=id_,
        new=made.new,
        state=TrajectoryState.DISTILLED if accepted else here.state,
        decisions=tuple(decisions),
        unmatched=tuple(made.unmatched),
        changed=made.changed,
        learnt=tuple(learnt) if made.changed else (),
        redacted=work.new.redacted + lessons.redacted or None,
        held=sum(one.status is Status.QUARANTINED for one in there),
    )


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Some items, so many at a time."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def or_error(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | InputError:
    """What is made; or the error that says what is wrong with this one."""
    try:
        return make(*args, **kwargs)
    except InputError as error:
        return error
