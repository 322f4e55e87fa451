"""Lineage: what descends from a trajectory. Pure, over values that a store gives.

An experience stems from a trajectory that is, or ever was, among its evidence: its present text may
have come from there, merged. One that began with other evidence, or has some, is shared.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from flex_mcp.models import Experience, Revision
from flex_mcp.models.forgetting import Choice, Held, Kind


class Lineage(StrEnum):
    """How an experience is tied to trajectories that are forgotten."""

    STEMS = "stems"  # from them alone
    SHARED = "shared"  # from others too, or it began elsewhere
    NAMES = "names"  # only its history names them


def fits(held: Held, kind: Kind, choice: Choice) -> bool:
    """Whether a row is chosen by what it says: all that is given must fit.

    A domain chooses trajectories and experiences; a time alone chooses no experience, whose age is
    not that of what it stems from; what is not dated has no age.
    """
    if not (choice.text or choice.domain or choice.before):
        return False
    if choice.domain is not None and kind not in {Kind.TRAJECTORY, Kind.EXPERIENCE}:
        return False
    if not (choice.text or choice.domain) and kind not in {Kind.TRAJECTORY, Kind.RETRIEVAL}:
        return False
    inside = choice.domain is None or f"{held.domain}/".startswith(f"{choice.domain}/")
    older = choice.before is None or (held.at is not None and held.at < choice.before)
    said = choice.text is None or choice.text.casefold() in held.text.casefold()
    return inside and older and said


def lineage_of(
    experience: Experience,
    history: Sequence[Revision],
    trajectories: AbstractSet[str],
    *,
    narrowed: bool,
) -> Lineage:
    """What one experience that these trajectories may have touched owes them.

    `narrowed`: a call that wrote their lessons edited it too.
    """
    ever = set(experience.evidence)
    for revision in history:
        ever.update(revision.after.evidence, revision.before.evidence if revision.before else ())
    if not ever & trajectories:
        return Lineage.SHARED if narrowed else Lineage.NAMES
    began = set(history[0].after.evidence) if history else ever
    return Lineage.STEMS if began and ever <= trajectories else Lineage.SHARED


def cleaned(experience: Experience, gone: AbstractSet[str], now: datetime) -> Experience:
    """An experience that stays, without what goes."""
    return replace(
        experience,
        evidence=tuple(id_ for id_ in experience.evidence if id_ not in gone),
        superseded_by=None if experience.superseded_by in gone else experience.superseded_by,
        revision=experience.revision + 1,
        updated_at=now,
    )
