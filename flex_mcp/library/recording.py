"""Keeping a trajectory once, and counting its outcome for the searches that it used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.retrievals import credited
from flex_mcp.models import (
    Counters,
    Outcome,
    RecordedTrajectory,
    Trajectory,
    TrajectoryState,
    clean_domain,
    fingerprint,
    new_id,
    values_of,
)
from flex_mcp.safety.redaction import Redactor, spread_private
from flex_mcp.storage.protocol import Transaction
from flex_mcp.validation import checked


@dataclass(frozen=True, slots=True)
class NewTrajectory:
    """A trajectory on its way in, with the hash that tells its content from others.

    `redacted` is how many secrets it came with.
    """

    trajectory: RecordedTrajectory
    content_hash: str
    redacted: int


def recorded(
    trajectory: Trajectory,
    retrieval_ids: Sequence[str],
    key: str | None,
    now: datetime,
    redactor: Redactor,
) -> NewTrajectory:
    """The trajectory, checked, without secrets.

    Raises:
        InputError: it is malformed.
        SettingError: see `Redactor.clean`.
    """
    given = checked(Trajectory, Trajectory(**values_of(trajectory, Trajectory)))
    if given.steps:
        contents = spread_private([step.content for step in given.steps])
        steps = zip(given.steps, contents, strict=True)
        given = replace(given, steps=tuple(replace(step, content=text) for step, text in steps))
    (given, key), redacted = redactor.clean((given, key))
    hashed = content_hash(given)
    values = values_of(given, Trajectory)
    values["domain"] = clean_domain(given.domain)
    return NewTrajectory(
        RecordedTrajectory(
            **values,
            id=new_id("t"),
            key=f"key:{key}" if key else f"hash:{hashed}",
            state=TrajectoryState.PENDING,
            recorded_at=now,
            retrieval_ids=tuple(dict.fromkeys(retrieval_ids)),
        ),
        hashed,
        redacted,
    )


def content_hash(trajectory: Trajectory) -> str:
    steps = [(str(step.kind), step.name, step.content) for step in trajectory.steps or ()]
    return fingerprint(
        trajectory.task,
        steps,
        trajectory.transcript,
        trajectory.answer,
        str(trajectory.outcome),
        trajectory.feedback,
    )


def keep(writing: Transaction, new: NewTrajectory) -> tuple[str, bool]:
    """The id under which the library has it, and whether it is new; counts its outcome.

    Raises:
        InputError: its key is taken by another content, or a retrieval is not known.
    """
    trajectory = new.trajectory
    known = writing.trajectories.by_key(trajectory.key)
    if known and known[1] != new.content_hash:
        raise InputError(
            f"the key {trajectory.key.removeprefix('key:')!r} is taken by {known[0]}, "
            "whose content differs: use another key, or leave it out"
        )
    if known is None:
        writing.trajectories.add(trajectory, new.content_hash)
    id_ = known[0] if known else trajectory.id
    writing.trajectories.link(id_, trajectory.retrieval_ids)
    for retrieval_id in trajectory.retrieval_ids:
        credit(writing, retrieval_id, trajectory.outcome)
    return id_, known is None


def credit(
    writing: Transaction,
    retrieval_id: str,
    outcome: Outcome,
    helpful: Sequence[str] = (),
    harmful: Sequence[str] = (),
) -> list[Counters]:
    """Set the outcome of a retrieval, in place of an earlier one.

    Raises:
        InputError: the retrieval is not known, or did not serve what is named.
    """
    retrieval = writing.retrievals.get(retrieval_id)
    if retrieval is None:
        raise NotFoundError(
            f"there is no retrieval {retrieval_id!r} (one that was cut off is not kept): "
            "name that of a search_experience answer, or none"
        )
    counted = credited(retrieval, outcome, helpful, harmful)
    return writing.retrievals.set_outcome(retrieval_id, outcome, counted)
