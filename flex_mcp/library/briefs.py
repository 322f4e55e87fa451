"""Briefs: which trajectories one may be about, claiming them, and what closes it."""

import contextlib
import functools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flex_mcp.errors import AnswerError, InputError, NotFoundError, StaleError
from flex_mcp.library import curating
from flex_mcp.library.lessons import RawLesson, any_accepted, place, prepare
from flex_mcp.models import (
    Brief,
    Curation,
    Decision,
    DecisionKind,
    Fields,
    Lesson,
    Origin,
    Outcome,
    Placement,
    Projects,
    RecordedTrajectory,
    Road,
    TrajectoryState,
    Wanted,
    fingerprint,
)
from flex_mcp.safety.redaction import Redactor
from flex_mcp.search.embedder_choice import Embedders
from flex_mcp.storage.protocol import Store, Transaction
from flex_mcp.validation import adapter, glances


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBrief:
    """A brief to be opened: it claims its trajectories for `claim`."""

    id: str
    trajectory_ids: Sequence[str]
    road: Road = Road.ASSISTANT
    prompts: str | None = None
    rendered: str = ""
    claim: timedelta = timedelta(minutes=30)


def known_trajectories(reading: Transaction, ids: Sequence[str]) -> list[RecordedTrajectory]:
    """The trajectories of these ids.

    Raises:
        NotFoundError: one of them is not here.
    """
    found = reading.trajectories.get(ids)
    if missing := sorted(set(ids) - {trajectory.id for trajectory in found}):
        raise NotFoundError(
            f"there is no trajectory {glances(missing)}: record_trajectory gives ids"
        )
    return found


def _claimable(reading: Transaction, wanted: Wanted, now: datetime) -> list[RecordedTrajectory]:
    if wanted.ids is None:
        return reading.trajectories.get(_pending(reading, wanted, now))
    found = known_trajectories(reading, list(dict.fromkeys(wanted.ids)))
    claims = {one.trajectory_id: one.brief_id for one in reading.briefs.claims(now, wanted.ids)}
    free = [one for one in found if one.state is not TrajectoryState.DISTILLED]
    free = [one for one in free if one.id not in claims]
    if not free:
        reasons = [f"{one.id} {_taken(reading, claims.get(one.id))}" for one in found]
        raise InputError(f"there is nothing to distil: {'; '.join(reasons)}")
    first = free[0].task
    if wanted.alike:
        free = [one for one in free if one.task == first]
    nth: Counter[tuple[str, Outcome]] = Counter()
    order: dict[str, tuple[bool, int]] = {}
    for one in free:  # of one task a failure and a success before two failures
        order[one.id] = (one.task != first, nth[one.task, one.outcome])
        nth[one.task, one.outcome] += 1
    return sorted(free, key=lambda one: order[one.id])[: wanted.limit]


def check_free(reading: Transaction, ids: Sequence[str], now: datetime) -> None:
    """Find out whether lessons of these trajectories may come without a brief.

    Raises:
        InputError: a brief claims one of them.
    """
    if claims := reading.briefs.claims(now, ids):
        reasons = [f"{one.trajectory_id} {_taken(reading, one.brief_id)}" for one in claims]
        raise InputError("; ".join(reasons))


def _taken(reading: Transaction, brief_id: str | None) -> str:
    brief = reading.briefs.get(brief_id) if brief_id else None
    if brief is None:
        return "is distilled, its lessons are in the library"
    if brief.road is Road.ASSISTANT:
        return f"is claimed by {brief.id} (answer that with save_lessons)"
    return f"is in work ({brief.id}, claimed until {brief.expires_at:%Y-%m-%d %H:%M} UTC)"


def _pending(reading: Transaction, wanted: Wanted, now: datetime) -> list[str]:
    limit, skip = wanted.limit, wanted.skip
    pending = functools.partial(reading.trajectories.pending, now, skip=skip)
    first = reading.trajectories.get(pending(limit=1, projects=wanted.projects))
    if not first:
        return []
    of_it = frozenset({first[0].project})
    oldest = pending(limit=limit, projects=of_it)
    chosen = pending(limit=limit, like=first[0].id, projects=of_it)
    chosen += [] if wanted.alike else [id_ for id_ in oldest if id_ not in chosen]
    return chosen[:limit]


def open_for(reading: Transaction, brief_id: str, answer_hash: str) -> Brief:
    """The brief, if this answer may still be given to it, or was given before.

    Raises:
        NotFoundError: there is no such brief.
        InputError: it was answered differently, or its trajectories were distilled meanwhile.
    """
    brief = reading.briefs.get(brief_id)
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
        for one in reading.trajectories.get(brief.trajectory_ids)
        if one.state is TrajectoryState.DISTILLED
    ]
    if taken:
        raise InputError(
            f"{', '.join(taken)} of {brief_id} was distilled meanwhile: "
            "call distill for what is left"
        )
    return brief


def close(
    writing: Transaction, brief: Brief, answer_hash: str, decisions: Sequence[Decision]
) -> None:
    """End a brief: its trajectories are distilled, or skipped where nothing was to be learnt."""
    state = TrajectoryState.DISTILLED if decisions else TrajectoryState.SKIPPED
    writing.trajectories.set_state(brief.trajectory_ids, state)
    writing.briefs.close(brief.id, answer_hash, decisions)
    writing.conversations.clear(brief.id)


def without_new(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions of a dry run: what they would add has no id."""
    new = {DecisionKind.ADD, DecisionKind.SUPERSEDE}
    return [replace(one, experience_id=None) if one.decision in new else one for one in decisions]


def check_unchanged(reading: Transaction, placement: Placement) -> None:
    """Find out whether the experiences that a placement changes are still as they were shown.

    Raises:
        StaleError: one of them is not.
    """
    named = {one.into for one in placement.lessons if one.into} | placement.narrowed.keys()
    changed = [
        one.id
        for one in reading.experiences.get(sorted(named))
        if placement.seen.get(one.id, one.fingerprint) != one.fingerprint
    ]
    if changed:
        raise StaleError(f"{', '.join(changed)} was changed since it was shown: add")


def refusals(decisions: Sequence[Decision]) -> str:
    """What is wrong with the lessons that were refused, in one sentence; empty where none was."""
    return "; ".join(
        f"lesson {one.index}: {one.reason}"
        for one in decisions
        if one.decision is DecisionKind.REFUSED
    )


def hash_of_answer(lessons: Sequence[RawLesson]) -> str:
    """What tells one answer to a brief from another."""
    plain = [
        adapter(Lesson).dump_python(one, mode="json") if isinstance(one, Lesson) else one
        for one in lessons
    ]
    return fingerprint(json.dumps(plain, sort_keys=True, default=str))


class _DryRunEnded(Exception):
    """Everything was decided; nothing shall stay."""


@dataclass(frozen=True, slots=True)
class Briefs:
    """A library's briefs: which trajectories a model is asked about, and what it answered.

    Each verb is one transaction; `writing` opens one, in the name of a client.
    """

    _store: Store
    _writing: Callable[[str, str], AbstractContextManager[Transaction]]
    _embedders: Embedders
    _now: Callable[[], datetime]
    _redactor: Redactor

    def claimable(self, wanted: Wanted) -> list[RecordedTrajectory]:
        """The trajectories that a brief may be about.

        Raises:
            NotFoundError: one that is named is not here.
            InputError: all those named are distilled or claimed by another brief.
        """
        with self._store.reading() as reading:
            return _claimable(reading, wanted, self._now())

    def remaining(self, projects: Projects = None) -> int:
        """How many trajectories are pending and not claimed by a brief, of these projects."""
        with self._store.reading() as reading:
            return reading.trajectories.count_pending(self._now(), projects)

    def now(self) -> datetime:
        """The library's time, by which claims end."""
        return self._now()

    def in_work(self, road: Road | None = None) -> tuple[int, datetime | None]:
        """How many pending trajectories open briefs (of one road) claim now, and until when."""
        with self._store.reading() as reading:
            claims = reading.briefs.claims(self._now())
        of_road = [one for one in claims if road in {None, one.road}]
        claimed = {one.trajectory_id for one in of_road}
        return len(claimed), max((one.until for one in of_road), default=None)

    def check_embedder(self) -> None:
        """Find out whether lessons can be placed.

        Raises:
            EmbedderError: as in `search`.
        """
        with self._store.reading() as reading:
            made_by = reading.vectors.made_by()
        self._embedders.serving(made_by)

    def open(self, question: NewBrief, *, client: str = "python") -> Brief | None:
        """Store a brief, which claims its trajectories.

        None where another brief claimed or distilled one of them meanwhile.

        Raises:
            NotFoundError: a trajectory is not here.
        """
        with self._writing("brief", client) as writing:
            now = self._now()  # not before: what was claimed while this waited is in the past
            states = {one.state for one in known_trajectories(writing, question.trajectory_ids)}
            claimed = writing.briefs.claims(now, question.trajectory_ids)
            if claimed or TrajectoryState.DISTILLED in states:
                return None
            brief = Brief(
                id=question.id,
                trajectory_ids=tuple(question.trajectory_ids),
                rendered=question.rendered,
                created_at=now,
                expires_at=now + question.claim,
                road=question.road,
                prompts=question.prompts,
            )
            writing.briefs.add(brief)
            return brief

    def answer(
        self,
        brief_id: str,
        lessons: Sequence[RawLesson],
        *,
        project: str | None = None,
        client: str = "python",
    ) -> list[Decision]:
        """Place the lessons that the calling assistant answers a brief with, and close it.

        Its trajectories are distilled once a lesson is accepted, skipped where the list is empty;
        where all are refused it stays open. The same answer again gets the first decisions.
        `project` is where they are written, for those whose work names none.

        Raises:
            NotFoundError: there is no such brief.
            InputError: it was answered differently, or its trajectories were distilled meanwhile.
            EmbedderError: lessons cannot be placed with this embedder.
        """
        answer_hash = hash_of_answer(self._redactor.value(lessons))
        brief = self._answerable(brief_id, answer_hash)
        if brief.road is not Road.ASSISTANT:
            raise InputError(f"{brief_id} was put to a model, not to you: call distill for a brief")
        if brief.answer_hash is not None:
            return list(brief.decisions)
        if lessons:
            self.check_embedder()
        prepared = prepare(lessons, self._store, self._embedders, self._redactor)
        origin = Origin(kind="distilled", by=client, road=Road.ASSISTANT, prompts=brief.prompts)
        with self._writing("save lessons", client) as writing:
            brief = open_for(writing, brief_id, answer_hash)
            if brief.answer_hash is not None:
                return list(brief.decisions)
            found = writing.trajectories.get(brief.trajectory_ids)
            now = self._now()
            decisions = place(writing, prepared, found, origin=origin, now=now, here=project)
            if any_accepted(decisions) or not lessons:
                close(writing, brief, answer_hash, decisions)
            return decisions

    def settle(
        self, brief_id: str, placement: Placement, *, origin: Origin, dry_run: bool = False
    ) -> list[Decision]:
        """Place the lessons that a model answers a brief with, all of them or none, and close it.

        The same placement again gets the first decisions. A dry run decides and changes nothing.

        Raises:
            AnswerError: a lesson is refused; the sentence says which and why.
            StaleError: an experience that it changes has changed since it was shown.
            InputError: the brief was settled differently, or its trajectories were distilled
                meanwhile.
            EmbedderError: lessons cannot be placed with this embedder.
        """
        answer_hash = hash_of_answer(self._redactor.value(placement.lessons))
        brief = self._answerable(brief_id, answer_hash)
        if brief.answer_hash is not None:
            return list(brief.decisions)
        self.check_embedder()
        now, seen = self._now(), placement.seen
        prepared = prepare(placement.lessons, self._store, self._embedders, self._redactor)
        narrowed = self._narrowed(placement, origin, now)
        decisions: list[Decision] = []
        with contextlib.suppress(_DryRunEnded), self._writing("distill", origin.by) as writing:
            brief = open_for(writing, brief_id, answer_hash)
            if brief.answer_hash is not None:
                return list(brief.decisions)
            check_unchanged(writing, placement)
            found = writing.trajectories.get(brief.trajectory_ids)
            decisions += place(writing, prepared, found, origin=origin, now=now, seen=seen)
            for change in narrowed:
                curating.narrowed(writing, change, seen)
            if problems := refusals(decisions):
                raise AnswerError(problems)
            if dry_run:
                decisions = without_new(decisions)
                raise _DryRunEnded
            close(writing, brief, answer_hash, decisions)
        return decisions

    def _narrowed(
        self, placement: Placement, origin: Origin, now: datetime
    ) -> list[curating.PreparedChange]:
        """Its changes of other experiences; one whose new text is held back stays as it is."""
        change = curating.Change(
            action=Curation.EDIT,
            fields=Fields(),
            reason="it holds more narrowly beside a new lesson",
            actor=origin.by,
            now=now,
            origin=origin,
        )
        narrower = self._redactor.value(placement.narrowed).items()
        asked = ((id_, replace(change, fields=Fields(when=when))) for id_, when in narrower)
        changes = (curating.prepare(self._store, self._embedders, *one) for one in asked)
        return [one for each in changes for one in each if not one.held]

    def _answerable(self, brief_id: str, answer_hash: str) -> Brief:
        with self._store.reading() as reading:
            return open_for(reading, brief_id, answer_hash)
