"""What is held back: kept, with the reason, and not served until a person approves it.

Screening is pure and happens before any transaction; here is what a library makes of it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flex_mcp.models import (
    Experience,
    Lesson,
    Origin,
    RecordedTrajectory,
    Revision,
    RevisionKind,
    Snapshot,
    Status,
    StepKind,
)

if TYPE_CHECKING:
    from flex_mcp.safety.screening import Screened


def screened(*texts: str) -> "Screened":
    from flex_mcp.safety import screening  # late: most processes only search

    return screening.screened(texts)


def screened_lesson(lesson: Lesson) -> "Screened":
    return screened(lesson.title, lesson.when, lesson.lesson, *_beside(lesson), lesson.reason or "")


def screened_snapshot(one: Snapshot) -> "Screened":
    """With who made it, where that is known."""
    made = names(one.origin) if isinstance(one, Experience) else ()
    return screened(one.title, one.when, one.lesson, *_beside(one), *made)


def names(origin: Origin) -> tuple[str, ...]:
    """What others call themselves and their models, which is served with a lesson."""
    return (origin.by, origin.model or "")


def _beside(one: Lesson | Snapshot) -> tuple[str, ...]:
    return (*one.examples, one.domain or "", str(one.project or ""), " ".join(one.tags))


def from_outside(trajectory: RecordedTrajectory) -> bool:
    """Whether words of others may be in it: what tools and pages gave, or a whole transcript."""
    steps = trajectory.steps or ()
    return trajectory.transcript is not None or any(
        step.kind is StepKind.OBSERVATION for step in steps
    )


def quarantine_reason(why: str) -> str:
    """The reason in the history."""
    return f"held back: {why}"


def quarantine_note(experience_id: str, why: str, instead: str = "") -> str:
    """The reason in a decision."""
    return (
        f"held back as quarantined{instead}: {why}; a person approves it with "
        f"`flex-mcp curate {experience_id} approve`"
    )


def waits_for_a_person(history: Sequence[Revision]) -> bool:
    """Whether it was quarantined, and no person has approved it since."""
    for revision in reversed(history):
        if revision.kind is RevisionKind.APPROVE:
            return False
        if revision.after.status is Status.QUARANTINED:
            return True
    return False


def approved(one: Snapshot, history: Sequence[Revision]) -> bool:
    """Whether a person approved this very text."""
    return any(
        revision.kind is RevisionKind.APPROVE and same(revision.after, one) for revision in history
    )


def same(one: Snapshot, other: Snapshot) -> bool:
    """Whether all that is screened of them is the same."""
    return (one.text, one.examples, one.domain, one.tags) == (
        other.text,
        other.examples,
        other.domain,
        other.tags,
    )


def needs_consent(now: Snapshot, after: Snapshot, history: Sequence[Revision]) -> bool:
    """Whether a change would serve what is held back, or ought to be."""
    if after.status is not Status.ACTIVE:
        return False
    served = now.status is Status.ACTIVE
    if served and same(now, after):
        return False
    if not served and waits_for_a_person(history):
        return True
    return not approved(after, history) and screened_snapshot(after).held(outside=True) is not None
