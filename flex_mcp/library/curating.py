"""What a person or agent may do to one experience: pure changes of its snapshot, then stored."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import starmap
from typing import assert_never

from flex_mcp.errors import AnswerError, ChangedError, InputError, NotFoundError
from flex_mcp.library.lessons import name_embedder
from flex_mcp.library.placing import revision_of, snapshot_of
from flex_mcp.library.quarantine import (
    approved,
    needs_consent,
    quarantine_reason,
    same,
    screened_snapshot,
)
from flex_mcp.models import (
    Curated,
    Curation,
    Experience,
    Fields,
    Origin,
    Revision,
    RevisionKind,
    Snapshot,
    Status,
    clean_domain,
    named_project,
    values_of,
)
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.embedder_choice import Embedders
from flex_mcp.search.text import indexed_text, texts_of
from flex_mcp.storage.protocol import IndexedText, Store, Transaction

EDITABLE = (
    *("zone", "level", "title", "when", "lesson", "examples"),
    *("domain", "project", "tags", "priority"),
)
OWN = {"title", "when", "lesson", "examples"}  # that no two experiences have in common
ALLOWED = {  # the status that an experience must have, where an action needs one
    Curation.APPROVE: (Status.ACTIVE, Status.QUARANTINED),
    Curation.QUARANTINE: (Status.ACTIVE,),
    Curation.RETIRE: (Status.ACTIVE, Status.QUARANTINED),
    Curation.RESTORE: (Status.RETIRED,),
    Curation.MERGE: (Status.ACTIVE,),
}
NAMED = 20  # ids of one refusal


def curated(
    now: Snapshot, action: Curation, fields: Fields, history: Sequence[Revision]
) -> tuple[Snapshot, RevisionKind]:
    """The experience after the action, and the kind of revision that this makes.

    Raises:
        InputError: the action does not go with the experience's status or with the fields.
    """
    _check_fields(action, fields)
    _check_status(now, action)
    match action:
        case Curation.APPROVE:
            return replace(now, status=Status.ACTIVE), RevisionKind.APPROVE
        case Curation.QUARANTINE:
            return replace(now, status=Status.QUARANTINED), RevisionKind.QUARANTINE
        case Curation.RETIRE:
            return replace(now, status=Status.RETIRED), RevisionKind.RETIRE
        case Curation.RESTORE:
            return replace(now, status=Status.ACTIVE, superseded_by=None), RevisionKind.RESTORE
        case Curation.EDIT | Curation.MERGE:
            return edited(now, fields), RevisionKind(action)
        case Curation.REVERT:
            return _reverted(now, _reverting(fields.revision, history))
        case _:
            assert_never(action)


def applies(now: Experience, action: Curation, fields: Fields) -> bool:
    """Whether an action can be done to an experience as it is, and would change it."""
    if action is Curation.EDIT:
        return edited(now, fields) != now
    if action is Curation.REVERT and fields.revision is None:
        return now.revision > 1  # before its first it was not there
    if action is Curation.APPROVE:
        return now.status is Status.QUARANTINED
    return now.status in ALLOWED.get(action, Status)


def _check_status(now: Snapshot, action: Curation) -> None:
    allowed = ALLOWED.get(action, Status)
    if now.status not in allowed:
        raise InputError(
            f"an experience that is {now.status} cannot be {past(action)}: "
            f"only one that is {' or '.join(allowed)}"
        )


def past(action: Curation) -> str:
    """What an action has done: approved, retired."""
    return f"{action}d" if action.endswith("e") else f"{action}ed"


def _given(fields: Fields) -> dict[str, object]:
    values = {name: getattr(fields, name) for name in EDITABLE}
    return {name: value for name, value in values.items() if value is not None}


def _check_fields(action: Curation, fields: Fields) -> None:
    given = _given(fields)
    if action is Curation.EDIT and not given:
        raise InputError(f"edit needs fields: at least one of {', '.join(EDITABLE)}")
    if action not in {Curation.EDIT, Curation.MERGE} and given:
        raise InputError(f"{action} takes no {', '.join(given)}: use edit to change the text")
    if action is not Curation.REVERT and fields.revision is not None:
        raise InputError(f"{action} takes no revision: use revert")


def edited(now: Snapshot, fields: Fields) -> Snapshot:
    given = _given(fields)
    if "domain" in given:
        given["domain"] = clean_domain(fields.domain)
    if "project" in given:
        given["project"] = _project(fields)
    return replace(now, **given)  # pyright: ignore[reportArgumentType]  names and types of Fields


def _project(fields: Fields) -> str | None:
    try:
        return named_project(fields.project, None)
    except ValueError:
        raise InputError(
            "project is true, and nobody said which project this is: give its name"
        ) from None


def _reverting(number: int | None, history: Sequence[Revision]) -> Revision:
    """The revision that a revert takes back: the last one, unless another is named."""
    wanted = history[-1].revision if number is None else number
    found = next((one for one in history if one.revision == wanted), None)
    if found is None:
        raise InputError(f"there is no revision {wanted}: the last one is {history[-1].revision}")
    return found


def _reverted(now: Snapshot, revision: Revision) -> tuple[Snapshot, RevisionKind]:
    """The experience as it was before a revision; before its first one it was not there."""
    before = revision.before or replace(revision.after, status=Status.RETIRED)
    return before, _kind(now, before)


def _kind(now: Snapshot, after: Snapshot) -> RevisionKind:
    """A revert is written as the change that it makes."""
    if now.status is after.status:
        return RevisionKind.EDIT
    match after.status:
        case Status.ACTIVE:
            return RevisionKind.RESTORE
        case Status.QUARANTINED:
            return RevisionKind.QUARANTINE
        case Status.RETIRED:
            return RevisionKind.RETIRE
        case _:
            assert_never(after.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was asked for, by whom and when; and where it comes from lessons, which origin.

    `into` is what a merge goes into. `seen` are by id the revisions that somebody was shown before.
    """

    action: Curation
    fields: Fields
    reason: str
    actor: str
    now: datetime
    into: str | None = None
    origin: Origin | None = None
    seen: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedChange:
    """A change of an experience as it was seen, made ready outside any transaction.

    `vectors` are those of the new text, None where the text stays; `text` is what words find.
    """

    seen: Experience
    after: Snapshot
    kind: RevisionKind
    reason: str
    change: Change
    vectors: Sequence[bytes] | None
    text: IndexedText
    embedder: Embedder | None
    held: bool = False  # its new text is held back


def prepare(
    store: Store, embedders: Embedders, experience_id: str, change: Change
) -> list[PreparedChange]:
    """Check a change and embed its text; a merge, and a revert of one, changes two.

    Raises:
        NotFoundError: there is no such experience.
        InputError: the action does not go with its status or with the fields.
        EmbedderError: its text changes and the embedder cannot be used.
    """
    with store.reading() as reading:
        made_by = reading.vectors.made_by()
        before = one(reading, experience_id)
        _check_seen(before, change)
        _check_into(change, experience_id)
        if change.action is Curation.MERGE:
            changes = _merging(before, one(reading, change.into or ""), change)
        else:
            changes = _changing(reading, before, change)
        for each, *_ in changes:
            _check_seen(each, change)
        histories = {one.id: reading.history.of(one.id) for one, *_ in changes}
    prepared: list[PreparedChange] = []
    for seen, after, kind, reason in changes:
        new = kind in TEXTUAL and not same(after, seen)
        held = _held(change.action, after, histories[seen.id]) if new else None
        if held and change.action is Curation.MERGE:
            raise InputError(f"the merged text would be held back ({held}): leave that out")
        vectors, embedder = None, None
        if after.embedded != seen.embedded:
            embedder, _ = embedders.serving(made_by)
            vectors = embedder.passages(*texts_of([after]))[0] if embedder else ()
        prepared.append(
            PreparedChange(
                seen=seen,
                after=replace(after, status=Status.QUARANTINED) if held else after,
                kind=kind,
                reason=f"{reason}; {quarantine_reason(held)}" if held else reason,
                change=change,
                vectors=vectors,
                text=indexed_text(after),
                embedder=embedder,
                held=held is not None,
            )
        )
    return prepared


def _check_seen(one: Experience, change: Change) -> None:
    if change.seen.get(one.id, one.revision) != one.revision:
        raise ChangedError(f"{one.id} was changed since it was shown: look at it again")


def prepare_all(
    store: Store, embedders: Embedders, ids: Sequence[str], change: Change
) -> list[list[PreparedChange]]:
    """Prepare the same change of several.

    What one change takes along, as the revert of a merge does, is not changed once more.

    Raises:
        InputError: all that cannot be done, of every experience.
        EmbedderError: a text changes and the embedder cannot be used.
    """
    _check_common(change, ids)
    prepared: list[list[PreparedChange]] = []
    touched: set[str] = set()
    refused: dict[str, list[str]] = {}  # ids by reason
    for id_ in ids:
        if id_ in touched:
            continue
        try:
            one_change = prepare(store, embedders, id_, change)
            _check_apart(one_change, touched)
        except (InputError, NotFoundError) as error:
            refused.setdefault(str(error), []).append(id_)
        else:
            touched |= {each.seen.id for each in one_change}
            prepared.append(one_change)
    if refused:
        raise InputError("; ".join(starmap(_refusal, refused.items())))
    return prepared


def _check_apart(changes: Sequence[PreparedChange], touched: Collection[str]) -> None:
    """Refuse what takes along what another takes along, too: the second merge into one."""
    if twice := [each.seen.id for each in changes if each.seen.id in touched]:
        raise InputError(
            f"it changes {', '.join(twice)}, as another of these does: do one at a time, the last "
            "one first"
        )


def _check_common(change: Change, ids: Sequence[str]) -> None:
    """Refuse what cannot be the same for several."""
    _check_fields(change.action, change.fields)
    if change.action is Curation.MERGE:
        raise InputError("merge takes one experience into one: name one id")
    own = [name for name in _given(change.fields) if name in OWN]
    if len(ids) > 1 and own:
        common = ", ".join(name for name in EDITABLE if name not in OWN)
        raise InputError(
            f"several cannot have the same {', '.join(own)}: edit one at a time, or give {common}"
        )
    if len(ids) > 1 and change.fields.revision is not None:
        raise InputError(
            "several have no revision in common: without one each goes back before its last"
        )


def _refusal(reason: str, ids: Sequence[str]) -> str:
    if len(ids) == 1 and ids[0] in reason:
        return reason
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"{', '.join(ids[:NAMED])}{more}: {reason}"


Changing = tuple[Experience, Snapshot, RevisionKind, str]  # with the reason
TEXTUAL = {RevisionKind.EDIT, RevisionKind.MERGE}


def _check_into(change: Change, experience_id: str) -> None:
    _check_fields(change.action, change.fields)
    if change.action is not Curation.MERGE and change.into:
        raise InputError(f"{change.action} takes no `into`: use merge")
    if change.action is Curation.MERGE and not change.into:
        raise InputError("merge needs `into`: the id of the experience that stays")
    if change.into == experience_id:
        raise InputError(f"{experience_id} cannot be merged into itself")


def _merging(gone: Experience, stays: Experience, change: Change) -> list[Changing]:
    """What stays has the fields and both evidences; what goes is retired, superseded by it."""
    for each in (gone, stays):
        _check_status(each, change.action)
    widened = gone.project != stays.project and change.fields.lesson is not None
    if stays.project not in {None, gone.project} or widened:
        raise InputError(
            f"{gone.id} and {stays.id} are not of one project: merge the other way round, or move "
            "one of them first (edit, project)"
        )
    after, kind = curated(snapshot_of(stays), change.action, change.fields, ())
    after = replace(after, evidence=tuple(dict.fromkeys((*stays.evidence, *gone.evidence))))
    retired = replace(snapshot_of(gone), status=Status.RETIRED, superseded_by=stays.id)
    return [
        (stays, after, kind, f"{gone.id} was merged into it: {change.reason}"),
        (gone, retired, RevisionKind.SUPERSEDE, f"merged into {stays.id}: {change.reason}"),
    ]


def _changing(reading: Transaction, before: Experience, change: Change) -> list[Changing]:
    history = reading.history.of(before.id)
    after, kind = curated(snapshot_of(before), change.action, change.fields, history)
    if change.action is not Curation.REVERT:
        return [(before, after, kind, change.reason)]
    taken_back = _reverting(change.fields.revision, history)
    reason = f"revert of {taken_back.revision}: {change.reason}"
    changes = [(before, after, kind, reason)]
    if other := reading.history.merged_with(taken_back):
        partner = one(reading, other.experience_id)
        for held, revision in ((before, taken_back), (partner, other)):
            if snapshot_of(held) != revision.after:
                raise InputError(
                    f"{held.id} was changed after the merge of {before.id} and {partner.id}, which "
                    "takes both back: revert that first, or edit what you want changed"
                )
        undone, kind = _reverted(snapshot_of(partner), other)
        reason = f"revert of {other.revision} with {before.id}: {change.reason}"
        changes.append((partner, undone, kind, reason))
    return changes


def _held(action: Curation, after: Snapshot, history: Sequence[Revision]) -> str | None:
    """Why a new text is held back: nobody knows whose words it brings."""
    if action not in {Curation.EDIT, Curation.MERGE} or approved(after, history):
        return None
    return screened_snapshot(after).held(outside=True)


def question(
    reading: Transaction, experience_id: str, action: Curation, fields: Fields
) -> Experience | None:
    """What a change would serve although it is held back, as it would be; None where it does not.

    An approval is always a person's word: it may be published as a skill.

    Raises:
        NotFoundError: there is no such experience.
        InputError: the action does not go with its status or with the fields.
    """
    now, history = one(reading, experience_id), reading.history.of(experience_id)
    before = snapshot_of(now)
    after, kind = curated(before, action, fields, history)
    if action in {Curation.EDIT, Curation.MERGE}:
        return None  # it is held back where it must be
    if action is Curation.REVERT:
        _check_partner(reading, now, _reverting(fields.revision, history))
    if kind is RevisionKind.APPROVE or needs_consent(before, after, history):
        return replace(now, **values_of(after, Snapshot))
    return None


def _check_partner(reading: Transaction, now: Experience, taken_back: Revision) -> None:
    """Refuse to serve, with a merge taken back, what is held back and was not asked about."""
    if other := reading.history.merged_with(taken_back):
        partner = one(reading, other.experience_id)
        undone, _ = _reverted(snapshot_of(partner), other)
        if needs_consent(snapshot_of(partner), undone, reading.history.of(partner.id)):
            raise InputError(
                f"that would serve {partner.id}, which is held back: revert {partner.id} instead, "
                f"which takes {now.id} along, so that a person is asked"
            )


def one(reading: Transaction, experience_id: str) -> Experience:
    """The experience of this id.

    Raises:
        NotFoundError: there is none.
    """
    found = reading.experiences.get([experience_id])
    if not found:
        raise NotFoundError(f"there is no experience {experience_id!r}: a search gives ids")
    return found[0]


def changed(writing: Transaction, prepared: Sequence[PreparedChange]) -> Curated:
    """Store the changes of experiences as they were seen, and their revisions.

    Raises:
        ChangedError: another process changed one of them since.
    """
    return _curated([_stored(writing, each) for each in prepared])


def planned(prepared: Sequence[PreparedChange]) -> Curated:
    """What `changed` would make of them, as they were seen."""
    return _curated([_made(each, each.seen) for each in prepared])


def _curated(made: Sequence[tuple[Experience, Revision]]) -> Curated:
    now, revision = made[0]
    return Curated(now, revision, made[1][1] if len(made) > 1 else None)


def _stored(writing: Transaction, prepared: PreparedChange) -> tuple[Experience, Revision]:
    seen = prepared.seen
    if prepared.embedder:
        name_embedder(writing, prepared.embedder)
    before = one(writing, seen.id)
    if before.revision != seen.revision:
        raise ChangedError(f"{seen.id} was changed by another just now: look at it again")
    now, revision = _made(prepared, before)
    writing.experiences.put(now, prepared.vectors, prepared.text)
    writing.history.add(revision)
    return now, revision


def _made(prepared: PreparedChange, before: Experience) -> tuple[Experience, Revision]:
    """The experience after its change, and the revision that says so."""
    change, after = prepared.change, values_of(prepared.after, Snapshot)
    now = replace(before, **after, revision=before.revision + 1, updated_at=change.now)
    revision = revision_of(prepared.kind, before, now, change.actor, prepared.reason)
    return now, replace(revision, origin=change.origin)


def narrowed(writing: Transaction, prepared: PreparedChange, seen: Mapping[str, str]) -> None:
    """Store the narrower `when` of an experience that stays beside a new lesson.

    Raises:
        AnswerError: it was changed or is no longer served since the updater saw it.
    """
    try:
        now = one(writing, prepared.seen.id)
        was = seen.get(now.id, now.fingerprint)
        if (now.text, now.fingerprint) != (prepared.seen.text, was):
            raise AnswerError(f"{now.id} was changed since it was shown: leave it as it is")
        if now.status is not Status.ACTIVE:
            raise AnswerError(f"{now.id} is {now.status}: leave it as it is")
        after = edited(snapshot_of(now), prepared.change.fields)  # its evidence may have grown
        changed(writing, [replace(prepared, seen=now, after=after)])
    except InputError as error:
        raise AnswerError(str(error)) from error
