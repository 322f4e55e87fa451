"""What comes in from other libraries: FLEX entries by their parts, bundles by their ids."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime

from flex_mcp.library.lessons import name_embedder
from flex_mcp.library.placing import begun, revision_of
from flex_mcp.library.quarantine import quarantine_reason, screened_snapshot
from flex_mcp.library.recording import HASHED, content_hash, own_key
from flex_mcp.models import (
    Experience,
    Origin,
    RecordedTrajectory,
    ReportedOutcome,
    Retrieval,
    Revision,
    RevisionKind,
    Snapshot,
    Status,
)
from flex_mcp.safety.redaction import Redactor
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.embedder_choice import Embedders
from flex_mcp.search.text import indexed_text, texts_of
from flex_mcp.storage.protocol import Entry, EntryPart, IndexedText, Store, Transaction

Indexes = tuple[Sequence[bytes], IndexedText]  # the vectors of a lesson, one a chunk, and its text
BATCH = 64


@dataclass(frozen=True, slots=True)
class NewPart:
    """One part of an ENTRY and the experience that it becomes; `identity` hashes its original."""

    kind: str
    identity: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A FLEX ENTRY as it came (`json` verbatim), its parts in order, and what no part has."""

    identity: str
    zone: str
    json: str
    parts: tuple[NewPart, ...]
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything of a library, as the JSONL export has it; trajectories with their content hash."""

    trajectories: Sequence[tuple[RecordedTrajectory, str]] = ()
    experiences: Sequence[Experience] = ()
    revisions: Sequence[Revision] = ()
    retrievals: Sequence[Retrieval] = ()
    outcomes: Sequence[ReportedOutcome] = ()
    entries: Sequence[Entry] = ()
    document: str | None = None
    unused: Mapping[str, int] = field(default_factory=dict[str, int])


def in_project(bundle: Bundle, project: str | None) -> Bundle:
    """A bundle whose experiences and trajectories are of this project, or of none."""
    return replace(
        bundle,
        experiences=[replace(one, project=project) for one in bundle.experiences],
        trajectories=[
            (replace(one, project=project), hashed) for one, hashed in bundle.trajectories
        ],
    )


def entry_in_project(entry: NewEntry, project: str | None) -> NewEntry:
    """The same of an ENTRY."""
    parts = [
        replace(part, snapshot=replace(part.snapshot, project=project)) for part in entry.parts
    ]
    return replace(entry, parts=tuple(parts))


@dataclass(slots=True)
class Imported:
    """What an import made, by level and zone, and how many experiences were here already.

    `redacted` is how many secrets the file came with, `held` counts those of it that are held back
    as quarantined, and `unused` what of it is in no experience, by what it is.
    """

    added: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    already: int = 0
    trajectories: int = 0
    redacted: int = 0
    held: int = 0
    unused: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def total(self) -> int:
        return sum(sum(zones.values()) for zones in self.added.values())

    def count(self, snapshot: Snapshot) -> None:
        zones = self.added.setdefault(str(snapshot.level), {})
        zones[str(snapshot.zone)] = zones.get(str(snapshot.zone), 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Into:
    """The library that an import goes to."""

    store: Store
    embedders: Embedders
    writing: Callable[[], AbstractContextManager[Transaction]]
    now: datetime
    progress: Callable[[int, int], None]
    redactor: Redactor
    trust: bool = False  # what comes in is not screened

    def screen(self, texts: Mapping[str, Snapshot]) -> dict[str, str]:
        """Why some of what comes in is held back, by their keys."""
        if self.trust:
            return {}
        found = {key: screened_snapshot(one).held(outside=True) for key, one in texts.items()}
        return {key: why for key, why in found.items() if why is not None}

    def embed(
        self, wanted: Callable[[Transaction], dict[str, Snapshot]]
    ) -> tuple[Embedder | None, dict[str, Indexes]]:
        """What finds the lessons that the library lacks, by the keys that `wanted` gives them."""
        with self.store.reading() as reading:
            made_by, lessons = reading.vectors.made_by(), wanted(reading)
        embedder, _ = self.embedders.serving(made_by)
        indexes: dict[str, Indexes] = {}
        keyed = list(lessons.items())
        for start in range(0, len(keyed), BATCH):
            batch = keyed[start : start + BATCH]
            self.progress(len(indexes), len(lessons))
            texts = texts_of([lesson for _, lesson in batch])
            vectors = embedder.passages(*texts) if embedder else [()] * len(batch)
            for (key, lesson), made in zip(batch, vectors, strict=True):
                indexes[key] = made, indexed_text(lesson)
        return embedder, indexes


def import_entries(
    entries: Sequence[NewEntry], into: Into, *, source: str, document: str, actor: str
) -> Imported:
    (entries, beside), redacted = into.redactor.clean((entries, Bundle(document=document)))
    parts = {part.identity: part.snapshot for entry in entries for part in entry.parts}

    def lacking(reading: Transaction) -> dict[str, Snapshot]:
        return {id_: part for id_, part in parts.items() if reading.imports.made_of(id_) is None}

    embedder, indexes = into.embed(lacking)
    why = into.screen(parts)
    unused = Counter(name for entry in entries for name in entry.unused)
    imported = Imported(redacted=redacted, unused=dict(unused))
    origin = Origin(kind="imported", by=source)
    with into.writing() as writing:
        if embedder:
            name_embedder(writing, embedder)
        _keep_document(writing, beside.document)
        made: dict[str, str] = {}
        for entry in entries:
            for part in entry.parts:
                if part.identity in made:
                    continue  # two entries of a file may share a rule
                known = writing.imports.made_of(part.identity)
                if known is None:
                    new = begun(part.snapshot, origin, into.now)
                    reason = f"imported from {source}"
                    if held := why.get(part.identity):
                        new = replace(new, status=Status.QUARANTINED)
                        reason += f"; {quarantine_reason(held)}"
                    known = new.id
                    made_of = indexes.get(part.identity) or ((), indexed_text(new))
                    writing.experiences.put(new, *made_of)
                    writing.history.add(revision_of(RevisionKind.ADD, None, new, actor, reason))
                    imported.count(part.snapshot)
                    imported.held += part.identity in why
                else:
                    imported.already += 1
                made[part.identity] = known
            kept = [
                EntryPart(part.kind, part.identity, made[part.identity]) for part in entry.parts
            ]
            writing.imports.add(Entry(entry.identity, entry.zone, entry.json, tuple(kept)))
    return imported


def _keep_document(writing: Transaction, document: str | None) -> None:
    """What a FLEX file holds beside its entries: the first one stays."""
    if document is not None and writing.settings.get("flex_document") is None:
        writing.settings.set("flex_document", document)


def import_bundle(bundle: Bundle, into: Into) -> Imported:
    bundle, redacted = _clean(bundle, into.redactor)
    lessons: dict[str, Snapshot] = {one.id: one for one in bundle.experiences}

    def lacking(reading: Transaction) -> dict[str, Snapshot]:
        here = {found.id for found in reading.experiences.get(list(lessons))}
        return {id_: one for id_, one in lessons.items() if id_ not in here}

    embedder, indexes = into.embed(lacking)
    active = {one.id: one for one in bundle.experiences if one.status is Status.ACTIVE}
    why = into.screen(active)
    imported = Imported(redacted=redacted, unused=dict(bundle.unused))
    with into.writing() as writing:
        if embedder:
            name_embedder(writing, embedder)
        new = _add_trajectories(writing, bundle)
        imported.trajectories = len(new)
        here = _add_experiences(writing, bundle, indexes, imported, trust=into.trust)
        for id_ in why.keys() - here:
            _hold_back(writing, active[id_], why[id_], into.now)
            imported.held += 1
        new |= _add_retrievals(writing, bundle, here)
        for outcome in bundle.outcomes:
            if new & {outcome.trajectory_id, outcome.retrieval_id}:
                writing.outcomes.add(outcome)
        for entry in bundle.entries:
            writing.imports.add(entry)
        _keep_document(writing, bundle.document)
    return imported


def _clean(bundle: Bundle, redactor: Redactor) -> tuple[Bundle, int]:
    """The bundle without secrets; a trajectory that had one is hashed anew."""
    clean, count = redactor.clean(bundle)
    pairs = zip(bundle.trajectories, clean.trajectories, strict=True)
    hashed = [new if new == old else _hashed(new[0]) for old, new in pairs]
    return (replace(clean, trajectories=hashed), count) if count else (bundle, 0)


def _hashed(trajectory: RecordedTrajectory) -> tuple[RecordedTrajectory, str]:
    hashed = content_hash(trajectory)
    unnamed = trajectory.key.startswith(HASHED)
    key = own_key(hashed, trajectory.project) if unnamed else trajectory.key
    return replace(trajectory, key=key), hashed


def _elsewhere(revision: Revision) -> Revision:
    """An approval that somebody gave in another library is none here: it may not make a skill."""
    if revision.kind is not RevisionKind.APPROVE:
        return revision
    reason = f"approved in another library: {revision.reason}"
    return replace(revision, kind=RevisionKind.RESTORE, reason=reason)


def _hold_back(writing: Transaction, one: Experience, why: str, now: datetime) -> None:
    last = max(one.revision, *(each.revision for each in writing.history.of(one.id)), 1)
    after = replace(one, status=Status.QUARANTINED, revision=last + 1, updated_at=now)
    writing.experiences.put(after, None, None)
    writing.history.add(
        revision_of(RevisionKind.QUARANTINE, one, after, "import", quarantine_reason(why))
    )


def _add_experiences(
    writing: Transaction,
    bundle: Bundle,
    indexes: Mapping[str, Indexes],
    imported: Imported,
    *,
    trust: bool,
) -> set[str]:
    """Add those that are not here, with their history; returns those that are."""
    here = {found.id for found in writing.experiences.get([one.id for one in bundle.experiences])}
    for experience in bundle.experiences:
        if experience.id not in here:
            made = indexes.get(experience.id) or ((), indexed_text(experience))  # it went meanwhile
            writing.experiences.put(experience, *made)
            imported.count(experience)
    for revision in bundle.revisions:
        if revision.experience_id not in here:
            writing.history.add(revision if trust else _elsewhere(revision))
    imported.already = len(here)
    return here


def _add_retrievals(writing: Transaction, bundle: Bundle, here: set[str]) -> set[str]:
    """Add those that are not here, which count for experiences that are; returns their ids."""
    new = [one for one in bundle.retrievals if writing.retrievals.get(one.id) is None]
    for one in new:
        writing.retrievals.restore(one, here)
    return {one.id for one in new}


def _add_trajectories(writing: Transaction, bundle: Bundle) -> set[str]:
    """Add those that are not here; returns their ids."""
    ids = [trajectory.id for trajectory, _ in bundle.trajectories]
    here = {found.id for found in writing.trajectories.get(ids)}
    added: set[str] = set()
    for trajectory, hashed in bundle.trajectories:
        if trajectory.id in here:
            continue
        taken = writing.trajectories.by_key(trajectory.key)  # it keeps its id: evidence names it
        key = f"{trajectory.key} of {trajectory.id}" if taken else trajectory.key
        writing.trajectories.add(replace(trajectory, key=key), hashed)
        added.add(trajectory.id)
    return added
