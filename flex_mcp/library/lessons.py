"""Lessons on their way in: checked and embedded first, then placed in one transaction."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from flex_mcp.errors import EmbedderError, FlexError, InputError
from flex_mcp.library.domains import stray
from flex_mcp.library.placing import Placing, Proposal, drafted
from flex_mcp.library.quarantine import from_outside, names, screened, screened_lesson
from flex_mcp.models import (
    Decision,
    DecisionKind,
    Lesson,
    Origin,
    Outcome,
    RecordedTrajectory,
    VerifiedBy,
    clean_project,
    named_project,
)
from flex_mcp.safety.redaction import Redactor, redaction_note
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.embedder_choice import Embedders
from flex_mcp.search.text import indexed_text, texts_of
from flex_mcp.storage.protocol import Store, Transaction
from flex_mcp.validation import checked

RawLesson = Lesson | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PreparedLessons:
    """The lessons of a call, made ready outside any transaction; or why one is refused."""

    lessons: Sequence[Proposal | FlexError]
    embedder: Embedder | None

    @property
    def redacted(self) -> int:
        return sum(one.redacted for one in self.lessons if isinstance(one, Proposal))


def prepare(
    lessons: Sequence[RawLesson], store: Store, embedders: Embedders, redactor: Redactor
) -> PreparedLessons:
    if not lessons:
        return PreparedLessons((), None)
    try:
        with store.reading() as reading:
            made_by = reading.vectors.made_by()
        embedder, _ = embedders.serving(made_by)
    except EmbedderError as error:
        return PreparedLessons([error] * len(lessons), None)
    clean = [_clean(raw, redactor) for raw in lessons]
    texts = [drafted(one) for one, _ in clean if isinstance(one, Lesson)]
    vectors = iter(embedder.passages(*texts_of(texts)) if embedder else ())
    prepared = [
        Proposal(
            lesson=one,
            vectors=next(vectors, None),
            text=indexed_text(drafted(one)),
            redacted=redacted,
            screened=screened_lesson(one),
        )
        if isinstance(one, Lesson)
        else one
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


def place(  # noqa: PLR0913  each is one part of what they share
    writing: Transaction,
    prepared: PreparedLessons,
    trajectories: Sequence[RecordedTrajectory],
    *,
    origin: Origin,
    now: datetime,
    seen: Mapping[str, str] | None = None,
    here: str | None = None,
    strictly: bool = False,
    priority: int | None = None,
) -> list[Decision]:
    """Decide on every lesson of these trajectories; a malformed one is refused alone.

    `seen` is what `Placing` knows by that name, `here` the project of the call where none of the
    trajectories has one. `strictly` screens them as from outside, whatever
    their trajectories hold. They begin with `priority`, or with the one that their evidence gives.
    """
    embedder = prepared.embedder
    if embedder is not None and any(isinstance(one, Proposal) for one in prepared.lessons):
        name_embedder(writing, embedder)
    projects = {one.project for one in trajectories if one.project}
    here = projects.pop() if len(projects) == 1 else None if projects else clean_project(here)
    placing = Placing(
        writing=writing, embedder=embedder, origin=origin, now=now, seen=seen or {}, here=here
    )
    known = {trajectory.id: trajectory for trajectory in trajectories}
    decisions: list[Decision] = []
    for index, one in enumerate(prepared.lessons):
        try:
            if isinstance(one, FlexError):
                raise one
            completed = _completed(index, one, known, origin, here, strictly=strictly)
            completed = replace(completed, priority=priority or completed.priority)
            decided = placing.decide(completed)
            notes = [redaction_note(one.redacted)] if one.redacted else []
            if decided.decision is DecisionKind.ADD and decided.experience_id:
                notes += filter(None, [stray(writing, decided.experience_id)])
            decisions.append(_told(decided, notes))
        except (InputError, EmbedderError) as error:
            refused = Decision(index=index, decision=DecisionKind.REFUSED, reason=str(error))
            decisions.append(refused)
    return decisions


def _told(decision: Decision, notes: Sequence[str]) -> Decision:
    """The decision, saying this of its lesson besides."""
    said = [decision.reason, *notes] if decision.reason else notes
    return replace(decision, reason="; ".join(said)) if notes else decision


def name_embedder(writing: Transaction, embedder: Embedder) -> None:
    """Before new vectors go in: they must be of the library's own kind.

    Raises:
        EmbedderError: a reindex ended since they were made.
    """
    made_by = writing.vectors.made_by()
    if made_by is None:
        writing.vectors.use(embedder.vectors)
    elif made_by != embedder.vectors:
        raise EmbedderError("this library was reindexed a moment ago: try again")


def _completed(
    index: int,
    one: Proposal,
    known: Mapping[str, RecordedTrajectory],
    origin: Origin,
    here: str | None,
    *,
    strictly: bool,
) -> Proposal:
    """The lesson with what follows from the trajectories that are known to its call."""
    named = one.lesson.trajectory_ids
    evidence = tuple(dict.fromkeys(known if named is None else named))
    if strangers := [id_ for id_ in evidence if id_ not in known]:
        raise InputError(
            f"trajectory_ids names {', '.join(strangers)}, which is none of "
            f"{', '.join(known) or 'the trajectories of this call'}"
        )
    trajectories = [known[id_] for id_ in evidence]
    domains = {trajectory.domain for trajectory in trajectories}
    domain = domains.pop() if len(domains) == 1 else None
    projects = {one.project for one in trajectories if one.project} or {here}
    project = _project(one.lesson, projects)
    outside = strictly or any(map(from_outside, known.values()))  # whatever the lesson names
    beside = screened(domain or "", project or "", *names(origin))
    return replace(
        one,
        index=index,
        evidence=evidence,
        domain=domain,
        project=project,
        priority=starting_priority(trajectories),
        held=one.screened.held(outside=outside) or beside.held(outside=outside),
    )


def _project(lesson: Lesson, around: AbstractSet[str | None]) -> str | None:
    """The project that a lesson says it holds in alone, of those that its work was done in."""
    try:
        return named_project(lesson.project, next(iter(around)) if len(around) == 1 else None)
    except ValueError:
        known = ", ".join(sorted(filter(None, around)))
        which = f"its work is of {known}" if known else "nobody said which project this is"
        raise InputError(
            f"project is true, and {which}: give the project's name, or leave it out for a lesson "
            "that holds everywhere"
        ) from None


ORDINARY = 3  # the priority of a lesson about which nothing is known
SELF_REPORTED = {VerifiedBy.SELF, VerifiedBy.NONE}


def starting_priority(trajectories: Sequence[RecordedTrajectory]) -> int:
    """The priority (1 to 5) with which a lesson from these trajectories begins.

    The best of them counts, and one more is added where two independent ones were verified.
    """
    if not trajectories:
        return ORDINARY
    verified = [one for one in trajectories if one.verified_by not in SELF_REPORTED]
    tasks = {(one.task, one.agent) for one in verified}
    return min(5, max(map(_weight, trajectories)) + (len(tasks) > 1))


def _weight(trajectory: RecordedTrajectory) -> int:
    """Nobody has a reason to report a failure of his own that was none: it weighs more."""
    verified = trajectory.verified_by not in SELF_REPORTED
    match trajectory.outcome:
        case Outcome.SUCCESS:
            return 4 if verified else 2
        case Outcome.FAILURE:
            return 4 if verified else 3
        case Outcome.PARTIAL:
            return 3 if verified else 2
        case Outcome.UNKNOWN:
            return 2


def any_accepted(decisions: Sequence[Decision]) -> bool:
    return any(decision.decision is not DecisionKind.REFUSED for decision in decisions)
