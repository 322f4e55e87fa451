"""Names of domains and projects: what stands under each, and what a renaming of one does."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainCount:
    """How much stands under exactly this path; `active` counts those of `experiences` served."""

    domain: str
    active: int = 0
    experiences: int = 0
    trajectories: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCount:
    """How much is of this project, None for general; `active` as with domains."""

    project: str | None
    active: int = 0
    experiences: int = 0
    trajectories: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """A new name for a domain with all below it, or for a project.

    `paths` has each path that changes with its new one, of a project its name; `merged` says that
    something else stands under the new name already, with which it becomes one.
    """

    old: str
    new: str
    paths: Mapping[str, str]
    experiences: int
    trajectories: int
    merged: bool
