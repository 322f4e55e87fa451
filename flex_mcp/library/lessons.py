"""Lessons on their way in: checked and embedded first, then placed in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from flex_mcp.embedder import Embedder
from flex_mcp.errors import EmbedderError, FlexError, InputError
from flex_mcp.library.embedders import Embedders
from flex_mcp.library.evidence import starting_priority
from flex_mcp.library.placing import Placing, Proposal
from flex_mcp.library.quarantine import from_outside, names, screened, screened_lesson
from flex_mcp.models import (
    Decision,
    DecisionKind,
    Lesson,
    Origin,
    RecordedTrajectory,
    Snapshot,
)
from flex_mcp.redaction import Redactor, told
from flex_mcp.store import Store, Writing
from flex_mcp.validation import checked

if TYPE_CHECKING:
    from flex_mcp.screening import Screened

RawLesson = Lesson | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One lesson with its vectors (None: words alone), or why it is refused.

    `redacted` is how many secrets it came with.
    """

    lesson: Lesson | FlexError
    vectors: Sequence[bytes] | None = None
    redacted: int = 0
    screened: "Screened | None" = None


@dataclass(frozen=True, slots=True)
class PreparedLessons:
    """The lessons of a call, made ready outside any transaction."""

    lessons: Sequence[Prepared]
    embedder: Embedder | None

    @property
    def redacted(self) -> int:
        return sum(one.redacted for one in self.lessons)


def prepare(
    lessons: Sequence[RawLesson], store: Store, embedders: Embedders, redactor: Redactor
) -> PreparedLessons:
    if not lessons:
        return PreparedLessons((), None)
    try:
        with store.reading() as reading:
            made_by = reading.vectors_made_by()
        embedder, _ = embedders.serving(made_by)
    except EmbedderError as error:
        return PreparedLessons([Prepared(error)] * len(lessons), None)
    clean = [_clean(raw, redactor) for raw in lessons]
    good = [one for one, _ in clean if isinstance(one, Lesson)]
    vectors = iter(embedder.passages([_text(one) for one in good]) if embedder else ())
    prepared = [
        Prepared(one, next(vectors, None), redacted, screened_lesson(one))
        if isinstance(one, Lesson)
        else Prepared(one)
        for one, redacted in clean
    ]
    return PreparedLessons(prepared, embedder)


def _clean(raw: RawLesson, redactor: Redactor) -> tuple[Lesson | InputError, int]:
    """Without secrets before it is checked: a refusal quotes none either."""
    try:
        clean, redacted = redactor.clean(raw)
        return checked(Lesson, clean), redacted
    except InputError as error:
        return error, 0


def _text(lesson: Lesson) -> str:
    """What its vector is made of, as the experience will have it."""
    return Snapshot(
        zone=lesson.zone,
        level=lesson.level,
        title=lesson.title.strip(),
        when=lesson.when.strip(),
        lesson=lesson.lesson.strip(),
    ).text


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the lessons of a call come from, and who wrote them.

    `evidence` holds the trajectories by their ids; `seen` the fingerprints of the experiences that
    the lessons were compared with: one that changed since is not changed again unseen.
    """

    evidence: Mapping[str, RecordedTrajectory]
    actor: str
    origin: Origin
    now: datetime
    seen: Mapping[str, str] = field(default_factory=dict[str, str])


def source(
    trajectories: Sequence[RecordedTrajectory],
    origin: Origin,
    now: datetime,
    seen: Mapping[str, str] | None = None,
) -> Source:
    """What lessons of these trajectories have in common."""
    return Source(
        evidence={trajectory.id: trajectory for trajectory in trajectories},
        actor=origin.by,
        origin=origin,
        now=now,
        seen=seen or {},
    )


def place(writing: Writing, prepared: PreparedLessons, source: Source) -> list[Decision]:
    """Decide on every lesson; a malformed one is refused alone."""
    embedder = prepared.embedder
    if embedder is not None and any(isinstance(one.lesson, Lesson) for one in prepared.lessons):
        name_embedder(writing, embedder)
    placing = Placing(
        writing=writing,
        embedder=embedder,
        actor=source.actor,
        origin=source.origin,
        now=source.now,
        seen=source.seen,
    )
    decisions: list[Decision] = []
    for index, one in enumerate(prepared.lessons):
        try:
            decided = placing.decide(_proposal(index, one, source))
            decisions.append(_told(decided, one.redacted))
        except (InputError, EmbedderError) as error:
            refused = Decision(index=index, decision=DecisionKind.REFUSED, reason=str(error))
            decisions.append(refused)
    return decisions


def _told(decision: Decision, redacted: int) -> Decision:
    """The decision, saying how many secrets its lesson came with."""
    if not redacted:
        return decision
    said = told(redacted)
    return replace(decision, reason=f"{decision.reason}; {said}" if decision.reason else said)


def name_embedder(writing: Writing, embedder: Embedder) -> None:
    """Before new vectors go in: they must be of the library's own kind.

    Raises:
        EmbedderError: a reindex ended since they were made.
    """
    made_by = writing.vectors_made_by()
    if made_by is None:
        writing.use_vectors(embedder.vectors)
    elif made_by != embedder.vectors:
        raise EmbedderError("this library was reindexed a moment ago: try again")


def _proposal(index: int, one: Prepared, source: Source) -> Proposal:
    if isinstance(one.lesson, FlexError):
        raise one.lesson
    named = one.lesson.trajectory_ids
    evidence = tuple(dict.fromkeys(source.evidence if named is None else named))
    if strangers := [id_ for id_ in evidence if id_ not in source.evidence]:
        raise InputError(
            f"trajectory_ids names {', '.join(strangers)}, which is none of "
            f"{', '.join(source.evidence) or 'the trajectories of this call'}"
        )
    trajectories = [source.evidence[id_] for id_ in evidence]
    domains = {trajectory.domain for trajectory in trajectories}
    domain = domains.pop() if len(domains) == 1 else None
    outside = any(map(from_outside, source.evidence.values()))  # whatever the lesson names
    beside = screened(domain or "", *names(source.origin))
    within = one.screened.held(outside=outside) if one.screened else None
    return Proposal(
        index=index,
        lesson=one.lesson,
        evidence=evidence,
        vectors=one.vectors,
        domain=domain,
        priority=starting_priority(trajectories),
        held=within or beside.held(outside=outside),
    )
