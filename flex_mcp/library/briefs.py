"""Briefs: which trajectories one may be about, claiming them, and what closes it."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from flex_mcp.arguments import adapter
from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.lessons import RawLesson
from flex_mcp.models import Brief, Lesson, RecordedTrajectory, TrajectoryState, fingerprint
from flex_mcp.store import Reading, Writing

CLAIM = timedelta(minutes=30)  # how long a brief keeps its trajectories from other briefs


def known_trajectories(reading: Reading, ids: Sequence[str]) -> list[RecordedTrajectory]:
    """The trajectories of these ids.

    Raises:
        NotFoundError: one of them is not here.
    """
    found = reading.trajectories(ids)
    if missing := sorted(set(ids) - {trajectory.id for trajectory in found}):
        raise NotFoundError(
            f"there is no trajectory {', '.join(missing)}: record_trajectory gives ids"
        )
    return found


def claimable(
    reading: Reading, ids: Sequence[str] | None, now: datetime
) -> list[RecordedTrajectory]:
    """See `Library.claimable`."""
    if ids is None:
        return reading.trajectories(reading.pending(now))
    found = known_trajectories(reading, ids)
    claims = reading.claimed(ids, now)
    free = [one for one in found if one.state is not TrajectoryState.DISTILLED]
    free = [one for one in free if one.id not in claims]
    if not free:
        reasons = [
            f"{one.id} is claimed by {claims[one.id]} (answer that with save_lessons)"
            if one.id in claims
            else f"{one.id} is distilled, its lessons are in the library"
            for one in found
        ]
        raise InputError(f"there is nothing to distil: {'; '.join(reasons)}")
    return free


def opened(
    writing: Writing, brief_id: str, ids: Sequence[str], rendered: str, now: datetime
) -> Brief | None:
    """See `Library.open_brief`."""
    states = {one.state for one in known_trajectories(writing, ids)}
    if writing.claimed(ids, now) or TrajectoryState.DISTILLED in states:
        return None
    brief = Brief(
        id=brief_id,
        trajectory_ids=tuple(ids),
        rendered=rendered,
        created_at=now,
        expires_at=now + CLAIM,
    )
    writing.add_brief(brief)
    return brief


def open_for(reading: Reading, brief_id: str, answer_hash: str) -> Brief:
    """The brief, if this answer may still be given to it, or was given before.

    Raises:
        NotFoundError: there is no such brief.
        InputError: it was answered differently, or its trajectories were distilled meanwhile.
    """
    brief = reading.brief(brief_id)
    if brief is None:
        raise NotFoundError(f"there is no brief {brief_id!r}: distill gives one")
    if brief.answer_hash is not None:
        if brief.answer_hash != answer_hash:
            raise InputError(
                f"{brief_id} was answered already, with other lessons: "
                "call distill for the next one, or curate_experience to change what it made"
            )
        return brief
    taken = [
        one.id
        for one in reading.trajectories(brief.trajectory_ids)
        if one.state is TrajectoryState.DISTILLED
    ]
    if taken:
        raise InputError(
            f"{', '.join(taken)} of {brief_id} was distilled meanwhile: "
            "call distill for what is left"
        )
    return brief


def answer_hash(lessons: Sequence[RawLesson]) -> str:
    """What tells one answer to a brief from another."""
    plain = [
        adapter(Lesson).dump_python(one, mode="json") if isinstance(one, Lesson) else one
        for one in lessons
    ]
    return fingerprint(json.dumps(plain, sort_keys=True, default=str))
