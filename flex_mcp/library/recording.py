"""Keeping a trajectory once, and counting its outcomes for the searches that it used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.retrievals import check_named, credited
from flex_mcp.models import (
    Counters,
    Outcome,
    RecordedTrajectory,
    Reported,
    ReportedOutcome,
    Trajectory,
    TrajectoryState,
    VerifiedBy,
    clean_domain,
    clean_project,
    fingerprint,
    new_id,
    values_of,
)
from flex_mcp.safety.redaction import Redactor, spread_private
from flex_mcp.storage.protocol import Transaction

HASHED = "hash:"  # begins the key of a trajectory to which the caller gave none


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
    key: str | None,
    now: datetime,
    redactor: Redactor,
    block: str | None = None,
) -> NewTrajectory:
    """A trajectory that was checked, without secrets.

    Raises:
        SettingError: see `Redactor.clean`.
    """
    given = Trajectory(**values_of(trajectory, Trajectory))
    if given.steps:
        contents = spread_private([step.content for step in given.steps])
        steps = zip(given.steps, contents, strict=True)
        given = replace(given, steps=tuple(replace(step, content=text) for step, text in steps))
    (given, key), redacted = redactor.clean((given, key))
    hashed = content_hash(given)
    values = values_of(given, Trajectory)
    values["domain"] = clean_domain(given.domain)
    values["project"] = clean_project(given.project)
    return NewTrajectory(
        RecordedTrajectory(
            **values,
            id=new_id("t"),
            key=f"key:{key}" if key else own_key(hashed, values["project"]),
            state=TrajectoryState.PENDING,
            recorded_at=now,
            block=block,
        ),
        hashed,
        redacted,
    )


def own_key(hashed: str, project: str | None) -> str:
    """The key of a trajectory to which the caller gave none: the same in two projects is two."""
    return f"{HASHED}{fingerprint(hashed, project) if project else hashed}"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """The searches that some work used, and what it says of their hits.

    `recent` are those to look in for what is named where none of the searches is.
    """

    retrieval_ids: Sequence[str] = ()
    recent: Sequence[str] = ()
    helpful: Sequence[str] = ()
    harmful: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What keeping a trajectory came to; `changed` where it has another outcome now."""

    id: str
    new: bool
    changed: Outcome | None = None
    unmatched: Sequence[str] = ()


def keep(
    writing: Transaction, new: NewTrajectory, used: Used, by: str, *, replacing: bool = False
) -> Kept:
    """Keep a trajectory once, and count its outcome; the same work again may bring another.

    `replacing` puts other work under its key in the place of what is pending and in no open brief.

    Raises:
        InputError: its key is taken by other work; nothing is written then.
    """
    trajectory = new.trajectory
    known = writing.trajectories.by_key(trajectory.key)
    changed, replaced = None, False
    if known is None:
        writing.trajectories.add(trajectory, new.content_hash)
        here = trajectory
    else:
        (here,) = writing.trajectories.get([known[0]])
        other = known[1] != new.content_hash
        replaced = replacing and other and _is_free(writing, here, trajectory)
        if replaced:
            here = _replaced(writing, here, new, by)
        if not trajectory.key.startswith(HASHED):
            changed = _told_again(writing, here, trajectory, by)
        used = replace(used, recent=(*here.retrieval_ids, *used.recent))
    searches, unmatched = matched(writing, used)
    writing.trajectories.link(here.id, list(searches))
    outcome = changed or here.outcome
    for retrieval_id in {
        **dict.fromkeys(here.retrieval_ids if changed or replaced else ()),
        **searches,
    }:
        credit(writing, retrieval_id, outcome, searches.get(retrieval_id))
    return Kept(id=here.id, new=known is None, changed=changed, unmatched=unmatched)


def _is_free(writing: Transaction, here: RecordedTrajectory, now: RecordedTrajectory) -> bool:
    """Whether nothing was learnt from a trajectory yet, and no brief is about it."""
    pending = here.state is TrajectoryState.PENDING
    return pending and not writing.briefs.claims(now.recorded_at, [here.id])


def _replaced(
    writing: Transaction, here: RecordedTrajectory, new: NewTrajectory, by: str
) -> RecordedTrajectory:
    now = replace(new.trajectory, id=here.id)
    writing.trajectories.replace(now, new.content_hash)
    if writing.outcomes.of(here.id):
        writing.outcomes.add(outcome_of(now, by))
    return writing.trajectories.get([here.id])[0]


def outcome_of(one: RecordedTrajectory, by: str) -> ReportedOutcome:
    """The outcome that a trajectory has, as it was told with it."""
    return ReportedOutcome(
        outcome=one.outcome,
        at=one.recorded_at,
        by=by,
        trajectory_id=one.id,
        score=one.score,
        feedback=one.feedback,
        verified_by=one.verified_by,
    )


def _told_again(
    writing: Transaction, here: RecordedTrajectory, again: RecordedTrajectory, by: str
) -> Outcome | None:
    """The outcome that the same work has now, under its key; None where it has it already."""
    parts = ("task", "steps", "transcript", "answer")
    told = {part: getattr(again, part) for part in parts}
    others = [part for part, now in told.items() if now not in {None, getattr(here, part)}]
    if others:
        raise InputError(
            f"the key {again.key.removeprefix('key:')!r} is taken by {here.id}, "
            f"whose {' and '.join(others)} differs: use another key, or leave it out"
        )
    if again.outcome is Outcome.UNKNOWN:
        return None
    said = outcome_of(replace(again, id=here.id), by)
    return again.outcome if append(writing, here, said) else None


def append(writing: Transaction, here: RecordedTrajectory, said: ReportedOutcome) -> bool:
    """Keep another outcome of a trajectory, the first one with it; False where it is no other.

    Where the outcome is the same, what is left out is as it was.
    """
    if said.outcome is here.outcome:
        verified = here.verified_by if said.verified_by is VerifiedBy.NONE else said.verified_by
        said = replace(
            said,
            score=here.score if said.score is None else said.score,
            feedback=here.feedback if said.feedback is None else said.feedback,
            verified_by=verified,
        )
    first = outcome_of(here, "")
    if said == replace(first, at=said.at, by=said.by):
        return False
    if not writing.outcomes.of(here.id):
        writing.outcomes.add(first)
    writing.outcomes.add(said)
    writing.trajectories.set_outcome(said)
    return True


def matched(writing: Transaction, used: Used) -> tuple[dict[str, dict[str, int]], list[str]]:
    """The searches with what is named of each (1 helpful, -1 harmful), and ids that fit none.

    An id counts at each search that served it; without searches, at the recent ones.
    """
    named = dict.fromkeys(used.helpful, 1) | dict.fromkeys(used.harmful, -1)
    both = {*used.helpful} & {*used.harmful}
    asked = list(dict.fromkeys(used.retrieval_ids or (used.recent if named else ())))
    found = {id_: one for id_ in asked if (one := writing.retrievals.get(id_))}
    searches = {
        id_: {hit: named[hit] for hit in one.served if hit in named and hit not in both}
        for id_, one in found.items()
    }
    if not used.retrieval_ids:
        searches = {id_: hits for id_, hits in searches.items() if hits}
    served = {hit for hits in searches.values() for hit in hits}
    lost = [id_ for id_ in used.retrieval_ids if id_ not in found]
    return searches, [*dict.fromkeys((*lost, *(id_ for id_ in named if id_ not in served)))]


def credit(
    writing: Transaction,
    retrieval_id: str,
    outcome: Outcome,
    named: Mapping[str, int] | None = None,
) -> list[Counters]:
    """Set the outcome of a retrieval, in place of an earlier one; without names those stay."""
    retrieval = writing.retrievals.get(retrieval_id)
    if retrieval is None:
        return []  # a bundle may name one that it does not hold
    named = named or {id_: n for id_, n in zip(retrieval.served, retrieval.named, strict=True) if n}
    counted = credited(retrieval, outcome, named)
    return writing.retrievals.set_outcome(retrieval_id, outcome, counted, named)


def report(
    writing: Transaction,
    said: ReportedOutcome,
    helpful: Sequence[str],
    harmful: Sequence[str],
) -> list[Counters]:
    """Say how the task ended that a retrieval served.

    Raises:
        NotFoundError: the retrieval is not known.
        InputError: it did not serve what is named, or that is named both ways.
    """
    retrieval_id = said.retrieval_id or ""
    retrieval = writing.retrievals.get(retrieval_id)
    if retrieval is None:
        raise NotFoundError(
            f"there is no retrieval {retrieval_id!r} (one that was cut off is not kept): "
            "name that of a search_experience answer, or none"
        )
    check_named([retrieval], helpful, harmful)
    writing.outcomes.add(said)
    named = dict.fromkeys(helpful, 1) | dict.fromkeys(harmful, -1)
    return credit(writing, retrieval_id, said.outcome, named)


def report_trajectory(
    writing: Transaction,
    name: str,
    said: ReportedOutcome,
    helpful: Sequence[str],
    harmful: Sequence[str],
) -> Reported:
    """Say how the work of a trajectory ended, by its id or key; it counts for all its searches.

    Raises:
        NotFoundError: there is no such trajectory.
        InputError: none of its searches served what is named, or that is named both ways.
    """
    by_key = writing.trajectories.by_key(f"key:{name}")
    found = writing.trajectories.get([name, *(by_key or ())[:1]])
    if not found:
        raise NotFoundError(
            f"there is no trajectory {name!r}, by id or key: record_trajectory gives ids"
        )
    here = found[0]
    searches = [writing.retrievals.get(id_) for id_ in here.retrieval_ids]
    there = [one for one in searches if one]
    check_named(there, helpful, harmful)
    changed = append(writing, here, replace(said, trajectory_id=here.id))
    named = dict.fromkeys(helpful, 1) | dict.fromkeys(harmful, -1)
    counters: dict[str, Counters] = {}
    for one in there:
        of_it = {id_: n for id_, n in named.items() if id_ in one.served}
        counters |= {c.id: c for c in credit(writing, one.id, said.outcome, of_it)}
    learnt = writing.experiences.evidenced_by([here.id])
    return Reported(
        trajectory_id=here.id,
        updated=tuple(counters.values()),
        learnt=tuple(learnt),
        known=not (changed or named),
    )
