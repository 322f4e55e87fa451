"""Asking: what code gives a verb, checked as a tool's arguments are, and refused all at once.

A search pays for no validation library where all is as it should be.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, cast

from annotated_types import Interval

from flex_mcp.models import (
    Body,
    Curation,
    Fields,
    Id,
    Level,
    Outcome,
    Status,
    Strict,
    VerifiedBy,
    Zone,
)
from flex_mcp.validation import check_encodable, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Strict):
    """What a search or a list is asked for; None means all."""

    query: str = ""
    limit: Annotated[int, Interval(ge=0)] | None = None
    levels: tuple[Level, ...] | None = None
    zones: tuple[Zone, ...] | None = None
    statuses: tuple[Status, ...] = ()
    domain: str | None = None


ALONE: dict[str, type] = {"query": str, "limit": int, "domain": str}
SEVERAL = {"levels": Level, "zones": Zone, "statuses": Status}


def asked(**given: Any) -> Asked:
    """The same, checked.

    Raises:
        InputError: a sentence that names each part that is wrong.
    """
    parts = {name: _listed(part) if name in SEVERAL else part for name, part in given.items()}
    found = Asked(**parts)
    if not all(_is_plain(name, part) for name, part in parts.items()):
        found = checked(Asked, found)
    check_encodable(found.query)
    return found


def _listed(values: Any) -> Any:
    """What several words came in, as a tuple; a text is one, and stays."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return values
    return tuple(cast("Iterable[Any]", values))


def _is_plain(name: str, part: Any) -> bool:
    """Whether it is of its own kind, as in nearly every call."""
    if part is None:
        return name != "query"
    if name in ALONE:
        return isinstance(part, ALONE[name]) and not (name == "limit" and part < 0)
    return isinstance(part, tuple) and all(
        isinstance(one, SEVERAL[name]) for one in cast("tuple[object, ...]", part)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Strict):
    """How work ended, and what helped or misled."""

    outcome: Outcome
    score: Annotated[float, Interval(ge=0, le=1)] | None = None
    feedback: Body | None = None
    verified_by: VerifiedBy = VerifiedBy.NONE
    helpful: tuple[Id, ...] = ()
    harmful: tuple[Id, ...] = ()


def told(**given: Any) -> Told:
    """The same, checked.

    Raises:
        InputError: as `asked`.
    """
    return checked(Told, Told(**given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished(Strict):
    """What shall be done to an experience."""

    action: Curation
    reason: str
    fields: Fields | None = None
    into: Id | None = None
