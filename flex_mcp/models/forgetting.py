"""What is forgotten: who chooses it, what goes with it, and what was checked afterwards."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from flex_mcp.models.vocabulary import Strict


class Kind(StrEnum):
    """Whose texts the file holds; revisions and turns belong to their experience and brief."""

    TRAJECTORY = "trajectory"
    EXPERIENCE = "experience"
    HISTORY = "history"
    RETRIEVAL = "retrieval"
    BRIEF = "brief"
    ENTRY = "entry"
    DOCUMENT = "document"
    CLIENT = "client"  # a name in the log of writes


class Held(NamedTuple):
    """One row with all its text, decoded; `at` is when it was recorded."""

    owner: str
    text: str
    domain: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Strict):
    """What a person wants forgotten: these ids, or what fits all of the others that are given.

    `domain` is a path with what lies below it, `text` stands anywhere (case folded), `before` is
    a time of recording.
    """

    ids: tuple[str, ...] = ()
    domain: str | None = None
    text: str | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """All that goes, by ids, and what stays with a new beginning.

    `shared` are experiences that have other evidence too; they are among `experiences` unless they
    are kept. `cleaned` stay, and lose the history that names what goes; so do `entries` their JSON,
    and the log the names of `clients`.
    """

    trajectories: frozenset[str] = frozenset()
    experiences: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    cleaned: frozenset[str] = frozenset()
    retrievals: frozenset[str] = frozenset()
    briefs: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    document: bool = False

    @property
    def ids(self) -> frozenset[str]:
        """The ids that may stand nowhere any more."""
        return self.trajectories | self.experiences | self.retrievals | self.briefs

    def __bool__(self) -> bool:
        rest = self.cleaned or self.entries or self.clients or self.document
        return bool(self.ids or rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was looked at after forgetting, and what was found there: nothing, if all is well.

    `named` are the first trajectories, experiences and searches that stay and quote an id of what
    went, and perhaps more of it.
    """

    tables: int
    rows: int
    found: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """How the cleaning of the file ended: checked, or why it is unfinished."""

    checked: Checked | None
    unfinished: str | None = None
    copies: tuple[str, ...] = ()
    backups: tuple[str, ...] = ()
