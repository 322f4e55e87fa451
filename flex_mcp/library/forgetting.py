"""Forgetting: trajectories and all that stems from them. The one exception to append-only history.

What is chosen is found first, in a snapshot. What stems from it is found again in the transaction
that deletes it: another process may have learnt from it meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from flex_mcp.errors import InputError, LibraryError, NotFoundError
from flex_mcp.library import lineage
from flex_mcp.library.lineage import Lineage
from flex_mcp.library.placing import revision_of
from flex_mcp.models import RevisionKind, clean_domain
from flex_mcp.models.forgetting import Affected, Choice, Cleaned, Kind
from flex_mcp.storage.protocol import Store, Transaction
from flex_mcp.validation import checked, glances

TITLES = 20  # shown of each kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would go and what would stay, to be looked at first; titles are the first few."""

    affected: Affected
    tasks: tuple[tuple[str, str], ...] = ()
    titles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What went, and how the cleaning of the file ended."""

    plan: Plan
    cleaned: Cleaned

    @property
    def done(self) -> bool:
        return self.cleaned.unfinished is None


def checked_choice(choice: Choice) -> Choice:
    """The same, if its parts are what they must be.

    Raises:
        InputError: a sentence that names each part that is wrong.
    """
    return checked(Choice, choice)


def planned(reading: Transaction, choice: Choice, *, keep_shared: bool) -> Plan:
    """What a choice would delete; nothing changes."""
    gone = affected(reading, chosen(reading, choice), keep_shared=keep_shared)
    tasks = reading.trajectories.get(sorted(gone.trajectories)[:TITLES])
    titles = reading.experiences.get(sorted(gone.experiences | gone.shared)[:TITLES])
    return Plan(
        affected=gone,
        tasks=tuple((one.id, one.task) for one in tasks),
        titles=tuple((one.id, one.title) for one in titles),
    )


def chosen(reading: Transaction, choice: Choice) -> Affected:
    """What the choice itself names."""
    if choice.ids:
        return _named(reading, choice.ids)
    if choice.text is not None and not choice.text.strip():
        raise InputError("--text needs words: an empty text stands everywhere")
    if choice.before is not None and choice.before.tzinfo is None:
        raise InputError("`before` needs an offset from UTC: give an aware datetime")
    choice = replace(choice, domain=clean_domain(choice.domain))
    texts = reading.forgetting.texts
    found = {
        kind: frozenset(one.owner for one in texts(kind) if lineage.fits(one, kind, choice))
        for kind in Kind
    }
    return Affected(
        trajectories=found[Kind.TRAJECTORY],
        experiences=found[Kind.EXPERIENCE],
        shared=found[Kind.HISTORY] - found[Kind.EXPERIENCE],
        retrievals=found[Kind.RETRIEVAL],
        briefs=found[Kind.BRIEF],
        entries=found[Kind.ENTRY],
        clients=found[Kind.CLIENT],
        document=bool(found[Kind.DOCUMENT]),
    )


def _named(reading: Transaction, ids: tuple[str, ...]) -> Affected:
    """The trajectories and experiences of these ids.

    Raises:
        NotFoundError: one of them is not here.
    """
    trajectories = frozenset(one.id for one in reading.trajectories.get(ids))
    experiences = frozenset(one.id for one in reading.experiences.get(ids))
    if missing := sorted(set(ids) - trajectories - experiences):
        raise NotFoundError(
            f"there is no trajectory and no experience {glances(missing)}: "
            "`flex-mcp list` gives those of experiences, `flex-mcp log` of trajectories; "
            "nothing was forgotten"
        )
    return Affected(trajectories=trajectories, experiences=experiences)


def affected(reading: Transaction, chosen: Affected, *, keep_shared: bool) -> Affected:
    """All that goes with what was chosen, and what stays without its history."""
    gone = chosen.trajectories
    narrowed = reading.forgetting.linked(Kind.EXPERIENCE, gone)
    tied = _naming(reading, gone) | narrowed
    by_tie: dict[Lineage, set[str]] = {one: set() for one in Lineage}
    for one in reading.experiences.get(sorted(tied)):
        history = reading.history.of(one.id)
        tie = lineage.lineage_of(one, history, gone, narrowed=one.id in narrowed)
        by_tie[tie].add(one.id)
    shared = (by_tie[Lineage.SHARED] | chosen.shared) - chosen.experiences
    experiences = chosen.experiences | by_tie[Lineage.STEMS]
    kept = shared if keep_shared else frozenset[str]()
    experiences |= shared - kept
    ids = gone | experiences
    retrievals = chosen.retrievals | reading.forgetting.linked(Kind.RETRIEVAL, gone)
    briefs = (
        chosen.briefs
        | reading.forgetting.linked(Kind.BRIEF, gone)
        | reading.forgetting.naming(Kind.BRIEF, ids)
    )
    return replace(
        chosen,
        experiences=experiences,
        shared=frozenset(shared),
        cleaned=frozenset((kept | _naming(reading, ids)) - experiences),
        retrievals=frozenset(retrievals),
        briefs=frozenset(briefs),
        entries=chosen.entries | reading.forgetting.linked(Kind.ENTRY, experiences),
    )


def _naming(reading: Transaction, ids: frozenset[str]) -> set[str]:
    """The experiences in whose row or history one of these ids stands."""
    evidenced = set(reading.experiences.evidenced_by(sorted(ids)))
    return (
        evidenced
        | reading.forgetting.naming(Kind.EXPERIENCE, ids)
        | reading.forgetting.naming(Kind.HISTORY, ids)
    )


def left(reading: Transaction, choice: Choice, affected: Affected) -> list[str]:
    """What the choice would still find."""
    still = chosen(reading, choice)
    return sorted((still.ids | still.shared) - affected.cleaned)


def forget(writing: Transaction, affected: Affected, now: datetime, actor: str) -> None:
    """Delete all that goes; what stays begins anew."""
    approved = set(writing.experiences.approved()) & affected.cleaned
    writing.forgetting.forget(affected)
    for one in writing.experiences.get(sorted(affected.cleaned)):
        after = lineage.cleaned(one, affected.ids, now)
        writing.experiences.put(after, None, None)
        kind = RevisionKind.APPROVE if one.id in approved else RevisionKind.ADD  # it stays so
        reason = "its earlier history was forgotten"
        writing.history.add(revision_of(kind, None, after, actor, reason))
        writing.history.drop(one.id, after.revision)


def finished(store: Store, patience: float, say: Callable[[str], None]) -> Cleaned:
    """Clean the file of what was deleted, now or before; `say` hears of waiting."""
    try:
        return store.finish(patience, say)
    except LibraryError as error:
        return Cleaned(
            checked=None,
            unfinished=f"{error}; what was forgotten may still lie in free pages of the file, "
            "so run `flex-mcp forget --finish` then",
        )
