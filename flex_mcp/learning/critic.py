"""The critic: what a model is asked about trajectories, and what its answer must be (FLEX §3).

Pure functions. It writes lessons from one trajectory, or from several of the same task: failures
and successes side by side, and what made the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Len

from flex_mcp.errors import AnswerError, InputError
from flex_mcp.learning.excerpts import (
    SHORTEST,
    BriefTrajectory,
    domains_text,
    roomiest,
    shown,
    trajectory_text,
)
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import (
    LESSONS_LIMIT,
    Lesson,
    Level,
    Outcome,
    RecordedTrajectory,
    Strict,
    Zone,
    values_of,
)
from flex_mcp.models.briefs import Prompt
from flex_mcp.validation import checked, parsed

FRAME = 1_000  # characters that the question has besides the trajectories


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredLesson(Strict):
    """A lesson as the critic answers it: every field is there, empty where it says nothing."""

    zone: Zone
    level: Level
    title: str
    when: str
    lesson: str
    examples: tuple[str, ...]
    domain: str
    tags: tuple[str, ...]
    trajectory_ids: tuple[str, ...]
    project: bool = False  # a model that does not know of it says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticAnswer(Strict):
    """What a model answers."""

    lessons: Annotated[tuple[AnsweredLesson, ...], Len(0, LESSONS_LIMIT)]


def instructions(prompts: Prompts, chosen: Sequence[RecordedTrajectory]) -> str:
    """The fixed part, which looks at success, failure or both, as these trajectories ended."""
    return prompts.render("critic", attention=prompts.render(attention(chosen)))


def attention(chosen: Sequence[RecordedTrajectory]) -> str:
    """The prompt that says what to look for."""
    outcomes = {one.outcome for one in chosen} - {Outcome.UNKNOWN}
    if not outcomes:
        return "critic_unknown"
    if outcomes == {Outcome.SUCCESS}:
        return "critic_success"
    return "critic_failure" if outcomes == {Outcome.FAILURE} else "critic_contrast"


def excerpts(
    prompts: Prompts, chosen: Sequence[RecordedTrajectory], window: int
) -> tuple[BriefTrajectory, ...]:
    """The trajectories as the critic sees them, cut to fit a window of so many characters."""
    most = window - len(instructions(prompts, chosen)) - FRAME

    def make(room: int) -> tuple[BriefTrajectory, ...] | None:
        made = tuple(shown(one, room) for one in chosen)
        return made if sum(len(trajectory_text(one)) for one in made) <= most else None

    return roomiest(make, tuple(shown(one, SHORTEST) for one in chosen), most)


def question(
    prompts: Prompts,
    chosen: Sequence[RecordedTrajectory],
    window: int,
    domains: Sequence[str] = (),
) -> Prompt:
    """What the critic is asked; system and question together take at most about `window`.

    `domains` are those that the library has, the most used first.
    """
    system = instructions(prompts, chosen)
    texts = map(trajectory_text, excerpts(prompts, chosen, window))
    text = prompts.render(
        "critic_question", trajectories="\n\n".join(texts), domains=domains_text(domains)
    )
    return prompts.question(system, text, CriticAnswer)


def lessons(
    text: str, trajectory_ids: Sequence[str], *, of_project: bool = False
) -> tuple[Lesson, ...]:
    """The lessons of an answer about these trajectories.

    Where these are of no project that is known, no lesson is of one.

    Raises:
        AnswerError: it is malformed, or a lesson is; the sentence names what is wrong.
    """
    answered = parsed(CriticAnswer, text).lessons
    if not of_project:
        answered = tuple(replace(one, project=False) for one in answered)
    return tuple(_lesson(n, one, set(trajectory_ids)) for n, one in enumerate(answered))


def _lesson(number: int, answered: AnsweredLesson, known: set[str]) -> Lesson:
    if strangers := [id_ for id_ in answered.trajectory_ids if id_ not in known]:
        raise AnswerError(
            f"lesson {number} names {', '.join(map(repr, strangers))[:200]} in trajectory_ids: "
            f"it can be {', '.join(sorted(known))}"
        )
    values = values_of(answered, AnsweredLesson) | {"project": answered.project or None}
    try:
        return checked(Lesson, values | {"trajectory_ids": answered.trajectory_ids or None})
    except InputError as error:
        raise AnswerError(f"lesson {number}: {error}") from error
