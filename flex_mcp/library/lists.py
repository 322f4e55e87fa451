"""Lists: which experiences and trajectories a caller wants, as it says that."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypedDict

from flex_mcp.errors import InputError
from flex_mcp.library.asking import Asked, asked
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


class WantedExperiences(TypedDict, total=False):
    """Which experiences; what is not said, or None, means all.

    `domain` is a path with what lies below it, `projects` may hold None for general, `since` is the
    time when the first of them was made (in UTC where it names no zone; a date or an ISO text such
    as 2026-01-31 will do), `text` what title, when or lesson holds, in either case.
    """

    levels: Iterable[Level] | None
    zones: Iterable[Zone] | None
    domain: str | None
    projects: Iterable[str | None] | None
    statuses: Iterable[Status] | None
    since: datetime | date | str | None
    text: str | None


class WantedHits(TypedDict, total=False):
    """Which experiences a search may serve; what is not said, or None, means all.

    Of a `project` beside general ones; without it general ones alone.
    """

    levels: Iterable[Level] | None
    zones: Iterable[Zone] | None
    domain: str | None
    project: str | None


class WantedTrajectories(TypedDict, total=False):
    """Which trajectories; what is not said, or None, means all.

    `since` is the time when the first of them was recorded, `text` what the task holds.
    """

    state: TrajectoryState | None
    outcome: Outcome | None
    domain: str | None
    projects: Iterable[str | None] | None
    since: datetime | date | str | None
    text: str | None


def asked_experiences(wanted: Mapping[str, Any], **beside: Any) -> Asked:
    """What a list of experiences is asked for, checked with what else it was given.

    Raises:
        InputError: a sentence that names each part that is wrong.
    """
    return asked((*WantedExperiences.__annotations__, *beside), **wanted, **beside)


def asked_trajectories(wanted: Mapping[str, Any], **beside: Any) -> Asked:
    """The same for trajectories."""
    return asked((*WantedTrajectories.__annotations__, *beside), **wanted, **beside)


def experience_filter(said: Asked) -> ExperienceFilter:
    """The filter that these say.

    Raises:
        InputError: the time is beyond those that there are.
    """
    return ExperienceFilter(
        levels=None if said.levels is None else frozenset(said.levels),
        zones=None if said.zones is None else frozenset(said.zones),
        domain=clean_domain(said.domain),
        projects=clean_projects(said.projects),
        statuses=frozenset(said.statuses or ()) or None,
        since=_in_utc(said.since),
        text=said.text or None,
    )


def trajectory_filter(said: Asked) -> TrajectoryFilter:
    """The same for trajectories."""
    return TrajectoryFilter(
        state=said.state,
        outcome=said.outcome,
        domain=clean_domain(said.domain),
        projects=clean_projects(said.projects),
        since=_in_utc(said.since),
        text=said.text or None,
    )


def clean_projects(names: Iterable[str | None] | None) -> Projects:
    return None if names is None else frozenset(map(clean_project, names))


def _in_utc(since: datetime | None) -> datetime | None:
    """As the library writes times, so that they compare as texts."""
    if since is None:
        return None
    try:
        return since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"since cannot be {since}: that is beyond the years 1 to 9999") from error
