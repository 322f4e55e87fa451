"""Asking: what code gives a verb, checked as a tool's arguments are, and refused all at once.

A search pays for no validation library where all is as it should be.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from annotated_types import Interval

from flex_mcp.errors import InputError
from flex_mcp.models import (
    Body,
    Curation,
    Fields,
    Id,
    Level,
    Outcome,
    Sort,
    Status,
    Strict,
    TrajectoryState,
    VerifiedBy,
    Zone,
)
from flex_mcp.tolerance import date_of
from flex_mcp.validation import check_encodable, checked, no_argument


class _Exactly:
    """What Pydantic shall not make of anything else: a time of a number."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        return {**handler(source), "strict": True}


Names = tuple[str, ...]
Count = Annotated[int, Interval(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Strict):
    """What verbs are asked for, by the names of their arguments; where None may be, it is all."""

    query: str = ""
    ids: Names = ()
    texts: Names = ()
    evidence: Names = ()
    lessons: tuple[object, ...] = ()
    trajectory_ids: Names | None = None
    path: Path = Path()
    experience_id: str = ""
    name: str | None = None
    old: str = ""
    new: str = ""
    limit: Count | None = None
    jobs: Count = 1
    levels: tuple[Level, ...] | None = None
    zones: tuple[Zone, ...] | None = None
    statuses: tuple[Status, ...] | None = None
    state: TrajectoryState | None = None
    outcome: Outcome | None = None
    domain: str | None = None
    project: str | None = None
    projects: tuple[str | None, ...] | None = None
    since: Annotated[datetime, _Exactly()] | None = None
    text: str | None = None
    about: str | None = None
    after: str | None = None
    sort: Sort = Sort.NEWEST
    reverse: bool = False


def asked(takes: Iterable[str] = (), /, **given: Any) -> Asked:
    """The same, checked; `takes` are the names of those that there are, where code gave them.

    Raises:
        InputError: a sentence that names each part that is wrong.
    """
    known, hints = [*takes] or [*given], _hints(Asked)
    wrong = [no_argument(name, known) for name in given if name not in known]
    parts = {name: _read(name, part) for name, part in given.items() if name in known}
    found = Asked(**parts)
    if not all(_fits(hints[name], part) for name, part in parts.items()):
        try:
            found = checked(Asked, found)
        except InputError as error:
            wrong.insert(0, str(error))
    if wrong:
        raise InputError("; ".join(wrong))
    check_encodable([part for name, part in parts.items() if name != "lessons"])  # one by one
    return found


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(name: str, part: Any) -> Any:
    """Several words, however they came, as a tuple; times and paths as such; a text is one word."""
    if name == "since":
        return _time(part)
    if name == "path" and isinstance(part, str):
        return Path(part)
    is_list = get_origin(_alone(_hints(Asked)[name])) is tuple
    if is_list and isinstance(part, Iterable) and not isinstance(part, str | Mapping):
        return tuple(cast("Iterable[Any]", part))
    return cast("object", part)


def _time(part: Any) -> Any:
    """A date is its first moment; what is no time stays."""
    if isinstance(part, str):
        return date_of(part) or part
    if isinstance(part, date) and not isinstance(part, datetime):
        return datetime(part.year, part.month, part.day, tzinfo=UTC)
    return part


def _alone(hint: Any) -> Any:
    """The kind of a part that may be None."""
    options = [one for one in get_args(hint) if one is not type(None)]
    return options[0] if type(None) in get_args(hint) else hint


def _fits(hint: Any, part: Any) -> bool:
    """Whether it is of its own kind, as in nearly every call."""
    if part is None:
        return type(None) in get_args(hint)
    hint = _alone(hint)
    if get_origin(hint) is tuple:
        of = get_args(hint)[0]
        several = cast("Sequence[object]", part)
        return isinstance(part, tuple) and all(_fits(of, one) for one in several)
    return isinstance(part, hint) and not (isinstance(part, int) and part < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Strict):
    """How work ended, and what helped or misled."""

    outcome: Outcome
    retrieval_id: Id = ""
    trajectory: str = ""
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
    """What shall be done to an experience, or to several, each by its id."""

    experience_id: Id = ""
    action: Curation
    reason: str = ""
    fields: Fields | None = None
    into: Id | None = None


def wished(**given: Any) -> Wished:
    """The same, checked.

    Raises:
        InputError: as `asked`.
    """
    return checked(Wished, Wished(**given))
