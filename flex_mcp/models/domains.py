"""Domains: what stands under a path, and what a renaming of one does."""

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
class Renaming:
    """A domain's new name, with all below it.

    `paths` has each path that changes with its new one; `merged` says that something else stands
    under the new name already, with which it becomes one.
    """

    old: str
    new: str
    paths: Mapping[str, str]
    experiences: int
    trajectories: int
    merged: bool
