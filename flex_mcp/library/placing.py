"""Where a lesson goes: add, merge, discard or supersede, inside one transaction (FLEX §3, updater).

Exact copies are discarded with their evidence counted. Without an action, so are near copies
(`duplicates.same_claim`); what is merely near comes back as candidates, and the decision says which
of them contradicts it, or gives the same advice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from flex_mcp.errors import InputError
from flex_mcp.library.quarantine import quarantine_note, quarantine_reason, same, screened_snapshot
from flex_mcp.models import (
    MERGED_EXAMPLES_LIMIT,
    MERGED_LESSON_LIMIT,
    TAGS_LIMIT,
    Action,
    Candidate,
    Decision,
    DecisionKind,
    Experience,
    Filter,
    Lesson,
    Origin,
    Relation,
    Revision,
    RevisionKind,
    Snapshot,
    Status,
    clean_domain,
    new_id,
    values_of,
    with_general,
)
from flex_mcp.safety.quoting import shortened
from flex_mcp.search import duplicates
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.text import indexed_text
from flex_mcp.storage.protocol import IndexedText, Transaction

if TYPE_CHECKING:
    from flex_mcp.safety.screening import Screened

CANDIDATES = 3  # shown of what is near
NEAREST = 8  # looked at
EXCERPT = 160  # characters of the lesson of one
Near = Sequence[tuple[Experience, float]]  # with their cosines, best first
HINTED = Relation.CONTRADICTS, Relation.SAME, Relation.NEAR  # what must be seen first


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A lesson on its way in: checked and embedded outside the transaction, completed inside.

    Its vectors are None where words alone must do; `text` is what words find, without what its
    trajectories or a merge add; `redacted` is how many secrets it came with.
    Inside it gets its number, its evidence and what follows from that; `held` says why it is held
    back, where it is.
    """

    lesson: Lesson
    vectors: Sequence[bytes] | None
    text: IndexedText
    redacted: int
    screened: "Screened"
    index: int = 0
    evidence: tuple[str, ...] = ()
    domain: str | None = None
    project: str | None = None
    priority: int = 3
    held: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """What all lessons of a call share.

    `here` is the project of the call, whose lessons are compared with; None: general ones alone.
    `seen` holds the fingerprints of the experiences that they were compared with: one that changed
    since is not changed again unseen. `changed` are the experiences that they changed so far,
    `rewritten` those with another text.
    """

    writing: Transaction
    embedder: Embedder | None
    origin: Origin
    now: datetime
    seen: Mapping[str, str]
    here: str | None = None
    changed: set[str] = field(default_factory=set[str])
    rewritten: set[str] = field(default_factory=set[str])

    def decide(self, proposal: Proposal) -> Decision:
        """Place one lesson; a refusal changes nothing.

        Raises:
            InputError: the lesson cannot be placed as it asks.
        """
        lesson = proposal.lesson
        if proposal.held:
            return self._hold_back(proposal)
        near = self._near(proposal)
        if lesson.action in {None, Action.ADD} and (twin := self._twin(proposal, near)):
            return self._discard(proposal, *twin)
        match lesson.action:
            case None | Action.ADD:
                return self._add(proposal, near)
            case Action.MERGE:
                return self._merge(proposal, self._target(lesson))
            case Action.DISCARD:
                self._check_project(proposal, target := self._target(lesson))
                return self._discard(proposal, target, lesson.reason)
            case Action.SUPERSEDE:
                return self._supersede(proposal, self._target(lesson))
            case _:
                assert_never(lesson.action)

    def _hold_back(self, proposal: Proposal) -> Decision:
        """Keep it by itself and unserved, whatever it asks for; it changes nothing else."""
        if known := self._copy(_snapshot(proposal)):
            quiet = replace(proposal, held=None, lesson=replace(proposal.lesson, reason=None))
            return self._discard(quiet, known, "identical text")
        added = self._insert(proposal)
        lesson = proposal.lesson
        instead = f" instead of {lesson.action} into {lesson.into}" if lesson.into else ""
        note = quarantine_note(added.id, proposal.held or "", instead)
        return _decision(proposal, DecisionKind.ADD, added.id, note)

    def _target(self, lesson: Lesson) -> Experience:
        if lesson.into is None:
            raise InputError(f"{lesson.action} needs `into`: the id of an experience")
        found = self.writing.experiences.get([lesson.into])
        if not found:
            raise InputError(
                f"there is no experience {lesson.into!r}: a brief or a search gives ids"
            )
        if found[0].status is not Status.ACTIVE and lesson.action is not Action.DISCARD:
            raise InputError(f"{lesson.into} is {found[0].status}: restore it first, or add anew")
        if lesson.into in self.rewritten and lesson.action is not Action.DISCARD:
            raise InputError(
                f"another lesson of this call was merged into {lesson.into}: "
                "merge one text that holds both, and discard the other"
            )
        was = self.seen.get(lesson.into, found[0].fingerprint)
        if was != found[0].fingerprint and lesson.into not in self.changed:
            raise InputError(f"{lesson.into} was changed since it was shown: add, or look again")
        return found[0]

    def _near(self, proposal: Proposal) -> list[tuple[Experience, float]]:
        """The active experiences nearest to it, with their cosines: those to show, and twins."""
        if self.embedder is None or not proposal.vectors or not any(proposal.vectors[0]):
            return []
        wanted = Filter(projects=with_general(proposal.project or self.here))
        rows = self.writing.vectors.nearest(proposal.vectors[0], depth=NEAREST, wanted=wanted)
        related = self.embedder.related
        twins = max(related, self.embedder.near_duplicate)  # all that matters of what is not shown
        near = {
            row.id: row.score
            for place, row in enumerate(rows)
            if row.score >= (related if place < CANDIDATES else twins)
        }
        return [(found, near[found.id]) for found in self.writing.experiences.get(list(near))]

    def _twin(self, proposal: Proposal, near: Near) -> tuple[Experience, str] | None:
        """The experience that says the same, and how that is known."""
        new = _snapshot(proposal)
        if copy := self._copy(new):
            return copy, "identical text"
        if earlier := self._earlier(proposal, new):
            return earlier, "the same trajectory gave it before"
        if proposal.lesson.action is None and self.embedder:
            for other, cosine in near:
                of_one_kind = (other.zone, other.level) == (new.zone, new.level)
                close = of_one_kind and cosine >= self.embedder.near_duplicate
                close = close and _holds_where(other, new)
                if close and duplicates.same_claim(new.text, other.text):
                    return other, f"near-identical text (cosine {cosine:.2f})"
        return None

    def _copy(self, new: Snapshot) -> Experience | None:
        """The experience of the same text."""
        known = self.writing.experiences.get(self.writing.experiences.identical(new.fingerprint))
        return next((one for one in known if _holds_where(one, new)), None)

    def _earlier(self, proposal: Proposal, new: Snapshot) -> Experience | None:
        """The experience that once had this text from the same trajectories, edited since."""
        for id_ in self.writing.experiences.evidenced_by(proposal.evidence):
            revisions = self.writing.history.of(id_)
            if any(one.after.fingerprint == new.fingerprint for one in revisions):
                return self.writing.experiences.get([id_])[0]
        return None

    def _add(self, proposal: Proposal, near: Near) -> Decision:
        new, shown = _snapshot(proposal), near[:CANDIDATES]
        relations = [duplicates.relation(new, other) for other, _ in shown]
        found = {kind: one.id for kind, (one, _) in reversed([*zip(relations, shown, strict=True)])}
        alike = next((_hint(kind, found[kind]) for kind in HINTED if kind in found), None)
        if proposal.lesson.action is not None:  # the caller has looked, and wants it added
            alike = None
        added = self._insert(proposal)
        decision = _decision(proposal, DecisionKind.ADD, added.id, proposal.lesson.reason or alike)
        candidates = [
            _candidate(other, cosine, kind or Relation.NEAR)
            for kind, (other, cosine) in zip(relations, shown, strict=True)
        ]
        return replace(decision, candidates=tuple(candidates))

    def _insert(self, proposal: Proposal) -> Experience:
        added = begun(_snapshot(proposal), self.origin, self.now)
        self.writing.experiences.put(
            added, proposal.vectors or (), indexed_text(added, proposal.text)
        )
        self._revise(RevisionKind.ADD, None, added, proposal)
        return added

    def _check_project(self, proposal: Proposal, target: Experience) -> None:
        """Let no text or evidence go to where the lesson was not written for."""
        mine = {proposal.project} if proposal.project else {None, self.here}
        if target.project not in (
            mine if proposal.lesson.action is Action.MERGE else {*mine, None}
        ):
            raise InputError(
                f"{target.id} holds {_where(target.project)}, and this lesson "
                f"{_where(proposal.project)}: add it by itself"
            )

    def _merge(self, proposal: Proposal, target: Experience) -> Decision:
        self._check_project(proposal, target)
        new = _snapshot(proposal)
        if target.when and not new.when:
            raise InputError(f"the merged lesson has no `when`, and {target.id} has: keep it")
        if len(new.lesson) > MERGED_LESSON_LIMIT:
            raise InputError(
                f"the merged lesson has {len(new.lesson):,} characters; the limit of a merge is "
                f"{MERGED_LESSON_LIMIT:,}: condense both into one"
            )
        tags = _united(target.tags, new.tags)
        merged = replace(
            target,
            zone=new.zone,
            level=new.level,
            title=new.title,
            when=new.when,
            lesson=new.lesson,
            examples=_merged_examples(target.examples, new.examples),
            domain=new.domain or target.domain,
            tags=tags if len(tags) <= TAGS_LIMIT else new.tags,
            evidence=_united(target.evidence, proposal.evidence),
        )
        if not same(merged, new) and (why := screened_snapshot(merged).held(outside=True)):
            return self._hold_back(replace(proposal, held=why))  # harmless halves may make an order
        self._change(RevisionKind.MERGE, target, merged, proposal)
        self.rewritten.add(target.id)
        return _decision(proposal, DecisionKind.MERGE, target.id)

    def _discard(self, proposal: Proposal, target: Experience, reason: str | None) -> Decision:
        """The lesson goes, its evidence counts for the one that stays."""
        evidence = _united(target.evidence, proposal.evidence)
        if evidence != target.evidence:
            counted = replace(target, evidence=evidence)
            self._change(RevisionKind.MERGE, target, counted, proposal, "the same lesson again")
        if target.status is not Status.ACTIVE:
            reason = f"{reason or 'the same lesson'}; {target.id} is {target.status}"
        return _decision(proposal, DecisionKind.DISCARD, target.id, reason)

    def _supersede(self, proposal: Proposal, target: Experience) -> Decision:
        if not proposal.lesson.reason:
            raise InputError(
                "supersede needs `reason`: why the new lesson takes the old one's place"
            )
        if not _holds_where(proposal, target):
            raise InputError(
                f"{target.id} holds elsewhere too, and this lesson only in {proposal.project}: add "
                f"it, and say in the `when` of {target.id} where that holds"
            )
        added = self._insert(proposal)
        old = replace(target, status=Status.RETIRED, superseded_by=added.id)
        self._change(RevisionKind.SUPERSEDE, target, old, proposal)
        return _decision(proposal, DecisionKind.SUPERSEDE, added.id)

    def _change(
        self,
        kind: RevisionKind,
        before: Experience,
        after: Experience,
        proposal: Proposal,
        reason: str | None = None,
    ) -> None:
        after = replace(after, revision=before.revision + 1, updated_at=self.now)
        rewritten = not same(after, before)  # also what words find it by
        self.writing.experiences.put(
            after,
            (proposal.vectors or ()) if after.embedded != before.embedded else None,
            indexed_text(after, proposal.text) if rewritten else None,
        )
        self.changed.add(after.id)
        self._revise(kind, before, after, proposal, reason)

    def _revise(
        self,
        kind: RevisionKind,
        before: Experience | None,
        after: Experience,
        proposal: Proposal,
        reason: str | None = None,
    ) -> None:
        reason = (
            reason or (proposal.held and quarantine_reason(proposal.held)) or proposal.lesson.reason
        )
        self.writing.history.add(
            replace(
                revision_of(kind, before, after, self.origin.by, reason),
                trajectory_id=proposal.evidence[0] if proposal.evidence else None,
                origin=self.origin,
            )
        )


def _where(project: str | None) -> str:
    return f"only in {project}" if project else "everywhere"


def _holds_where(other: Snapshot | Proposal, new: Snapshot) -> bool:
    """Whether one that is here is served wherever a new one would be, and so can stand for it."""
    return other.project in {None, new.project}


def begun(snapshot: Snapshot, origin: Origin, now: datetime) -> Experience:
    """The experience that a lesson becomes."""
    return Experience(
        **values_of(snapshot, Snapshot),
        id=new_id("e"),
        origin=origin,
        revision=1,
        created_at=now,
        updated_at=now,
    )


def _candidate(other: Experience, cosine: float, relation: Relation) -> Candidate:
    return Candidate(
        id=other.id,
        title=other.title,
        text=shortened(other.lesson, EXCERPT),
        zone=other.zone,
        level=other.level,
        likeness=round(cosine, 3),
        relation=relation,
    )


def _hint(relation: Relation, other: str) -> str:
    merge = f"merge the new one into it (curate_experience: merge, into {other})"
    match relation:
        case Relation.SAME:
            return f"{other} says the same: {merge}"
        case Relation.NEAR:
            return f"{other} is near: look whether it gives the same advice; if so, {merge}"
        case Relation.CONTRADICTS:
            return (
                f"{other} contradicts it: find out which holds, and where; "
                "then supersede that one, or edit its `when`"
            )
        case _:
            assert_never(relation)


def snapshot_of(experience: Snapshot) -> Snapshot:
    """The part of an experience that revisions keep."""
    return Snapshot(**values_of(experience, Snapshot))


def revision_of(
    kind: RevisionKind,
    before: Experience | None,
    after: Experience,
    actor: str,
    reason: str | None,
) -> Revision:
    """What makes the one out of the other, by whom and why."""
    return Revision(
        experience_id=after.id,
        revision=after.revision,
        kind=kind,
        before=before and snapshot_of(before),
        after=snapshot_of(after),
        actor=actor,
        at=after.updated_at,
        reason=reason,
    )


def drafted(lesson: Lesson) -> Snapshot:
    """What its vector and its index text are made of, as the experience will have it."""
    return Snapshot(
        zone=lesson.zone,
        level=lesson.level,
        title=lesson.title.strip(),
        when=lesson.when.strip(),
        lesson=lesson.lesson.strip(),
        examples=lesson.examples,
        tags=lesson.tags,
    )


def _snapshot(proposal: Proposal) -> Snapshot:
    return replace(
        drafted(proposal.lesson),
        domain=clean_domain(proposal.lesson.domain) or proposal.domain,
        project=proposal.project,
        priority=proposal.priority,
        status=Status.QUARANTINED if proposal.held else Status.ACTIVE,
        evidence=proposal.evidence,
    )


def _united(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _merged_examples(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Both together; where that is too many, the new list if it was condensed from both."""
    together = _united(old, new)
    if len(together) <= MERGED_EXAMPLES_LIMIT:
        return together
    if len(new) <= MERGED_EXAMPLES_LIMIT and set(old) & set(new):
        return tuple(new)
    raise InputError(
        f"together they have {len(together)} examples; the limit of a merge is "
        f"{MERGED_EXAMPLES_LIMIT}: send those of both that should stay"
    )


def _decision(
    proposal: Proposal, kind: DecisionKind, experience_id: str, reason: str | None = None
) -> Decision:
    return Decision(
        index=proposal.index,
        decision=kind,
        experience_id=experience_id,
        reason=reason or proposal.lesson.reason,
    )
