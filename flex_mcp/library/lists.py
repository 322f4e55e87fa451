"""Lists: which experiences and trajectories a caller wants, as it says that."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from flex_mcp.errors import InputError
from flex_mcp.library.asking import asked
from flex_mcp.models import (
    ExperienceFilter,
    Level,
    Outcome,
    Projects,
    Status,
    TrajectoryFilter,
    TrajectoryState,
    Zone,
    clean_domain,
    clean_project,
)
from flex_mcp.validation import check_encodable


class WantedExperiences(TypedDict, total=False):
    """Which experiences; what is not said, or None, means all.

    `domain` is a path with what lies below it, `projects` may hold None for general, `since` is the
    time when the first of them was made (in UTC where it names no zone), `text` what title, when or
    lesson holds, in either case.
    """

    levels: Iterable[Level] | None
    zones: Iterable[Zone] | None
    domain: str | None
    projects: Iterable[str | None] | None
    statuses: Iterable[Status] | None
    since: datetime | None
    text: str | None


class WantedTrajectories(TypedDict, total=False):
    """Which trajectories; what is not said, or None, means all.

    `since` is the time when the first of them was recorded, `text` what the task holds.
    """

    state: TrajectoryState | None
    outcome: Outcome | None
    domain: str | None
    projects: Iterable[str | None] | None
    since: datetime | None
    text: str | None


def _check_names(wanted: Mapping[str, object], kind: type) -> None:
    known = kind.__annotations__
    if strange := sorted(wanted.keys() - known):
        raise InputError(f"there is no argument {strange[0]!r}; it takes {', '.join(known)}")


def experience_filter(**wanted: Unpack[WantedExperiences]) -> ExperienceFilter:
    """The filter that these say.

    Raises:
        InputError: a word is none of its set, or the text no valid Unicode.
    """
    _check_names(wanted, WantedExperiences)
    words: dict[str, Any] = {name: wanted.get(name) for name in ("levels", "zones", "domain")}
    said = asked(**words, statuses=wanted.get("statuses") or ())
    return ExperienceFilter(
        levels=None if said.levels is None else frozenset(said.levels),
        zones=None if said.zones is None else frozenset(said.zones),
        domain=clean_domain(said.domain),
        projects=_projects(wanted.get("projects")),
        statuses=frozenset(said.statuses) or None,
        since=_in_utc(wanted.get("since")),
        text=_text(wanted.get("text")),
    )


def trajectory_filter(**wanted: Unpack[WantedTrajectories]) -> TrajectoryFilter:
    """The filter that these say.

    Raises:
        InputError: a word is none of its set, or the text no valid Unicode.
    """
    _check_names(wanted, WantedTrajectories)
    return TrajectoryFilter(
        state=None if (state := wanted.get("state")) is None else TrajectoryState(state),
        outcome=None if (outcome := wanted.get("outcome")) is None else Outcome(outcome),
        domain=clean_domain(wanted.get("domain")),
        projects=_projects(wanted.get("projects")),
        since=_in_utc(wanted.get("since")),
        text=_text(wanted.get("text")),
    )


def _projects(names: Iterable[str | None] | None) -> Projects:
    if isinstance(names, str):
        raise InputError(f"projects is a list of names, and {names!r} is one: put it into a list")
    return None if names is None else frozenset(map(clean_project, names))


def _in_utc(since: datetime | None) -> datetime | None:
    """As the library writes times, so that they compare as texts."""
    if since is None:
        return None
    try:
        return since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"since cannot be {since}: that is beyond the years 1 to 9999") from error


def _text(text: str | None) -> str | None:
    check_encodable(text)
    return text or None
