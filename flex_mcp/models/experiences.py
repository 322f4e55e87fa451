"""Experiences: lessons, their places and origins, and what was decided on them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Interval, Len, Predicate

from flex_mcp.models.identity import identical_form
from flex_mcp.models.vocabulary import (
    NAME_LIMIT,
    NOT_BLANK,
    TAG_LIMIT,
    TAGS_LIMIT,
    Action,
    CleanDomain,
    CleanProject,
    Count,
    DecisionKind,
    Domain,
    Examples,
    HereOrNamed,
    Id,
    LessonText,
    Level,
    OurId,
    Priority,
    Relation,
    RevisionKind,
    Road,
    Status,
    Strict,
    Tags,
    Title,
    When,
    Zone,
    about,
)


def _is_short(origin: "Origin | None") -> bool:
    names = (origin.by, origin.model, origin.prompts) if origin else ()
    return all(len(name or "") <= NAME_LIMIT for name in names)


SHORT_NAMES = Predicate(_is_short)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson(Strict):
    """A proposal, not yet an Experience."""

    zone: Zone = field(
        metadata=about("golden: it worked. warning: it failed. mixed: failed, then worked.")
    )
    level: Level = field(
        metadata=about("principle: strategy. pattern: method. instance: concrete case.")
    )
    title: Title = field(metadata=about("At most 120 characters."))
    when: When = field(metadata=about("When it applies, in words of the situation."))
    lesson: LessonText = field(metadata=about("What to do or avoid, and why."))
    examples: Examples = field(default=(), metadata=about("Short quotes from the trajectory."))
    domain: Domain | None = None
    project: HereOrNamed | None = field(
        default=None, metadata=about("true: it holds only in this project.")
    )
    tags: Tags = ()
    action: Action | None = field(
        default=None, metadata=about("What to do with it; without one it is placed.")
    )
    into: Id | None = field(
        default=None, metadata=about("The experience that merge, discard, supersede name.")
    )
    reason: Annotated[str | None, Len(0, 2_000)] = None
    trajectory_ids: Annotated[tuple[Id, ...] | None, Len(0, 50)] = field(
        default=None, metadata=about("Its evidence; default: all.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields(Strict):
    """What an edit or a merge may set; `revision`: a revert goes back to before it."""

    zone: Zone | None = None
    level: Level | None = None
    title: Title | None = None
    when: When | None = None
    lesson: LessonText | None = None
    examples: Examples | None = None
    domain: Domain | None = None
    project: HereOrNamed | None = field(
        default=None, metadata=about("true: only this project. false: general.")
    )
    tags: Tags | None = None
    priority: Priority | None = field(default=None, metadata=about("1 to 5, the highest."))
    revision: Annotated[int, Interval(ge=1)] | None = field(
        default=None, metadata=about("For revert: back to before this one.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Lessons with their actions, as an updater decided.

    `narrowed` gives experiences that stay beside a new lesson a narrower `when`; `seen` holds the
    fingerprints of the experiences that it was decided on.
    """

    lessons: tuple[Lesson, ...]
    narrowed: Mapping[str, str] = field(default_factory=dict[str, str])
    seen: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an experience comes from: distilled or told by whom, or imported from which library.

    Told is what somebody knew without work that was recorded.

    For one that was distilled: by which road, model and versions of the prompts, and how many
    tokens (read and written) its whole brief cost; None where nobody says.
    """

    kind: Literal["distilled", "told", "imported"]
    by: str
    road: Road | None = None
    model: str | None = None
    prompts: str | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a revision can change and a revert can bring back."""

    zone: Zone
    level: Level
    title: Title
    when: When
    lesson: Annotated[str, NOT_BLANK]
    examples: tuple[str, ...] = ()
    domain: CleanDomain = None
    project: CleanProject = None
    tags: Annotated[tuple[Annotated[str, Len(0, TAG_LIMIT)], ...], Len(0, TAGS_LIMIT)] = ()
    priority: Priority = 3
    status: Status = Status.ACTIVE
    superseded_by: OurId | None = None
    evidence: tuple[OurId, ...] = ()

    @property
    def text(self) -> str:
        """What the vector is made of."""
        return "\n".join(part for part in (self.title, self.when, self.lesson) if part)

    @property
    def heading(self) -> str:
        """What a short task is compared with."""
        return "\n".join(part for part in (self.title, self.when) if part)

    @property
    def words(self) -> str:
        """All the text by whose words it is found."""
        return "\n".join((self.text, *self.examples, *self.tags))

    @property
    def embedded(self) -> tuple[str, str]:
        """What the vectors are made of: where it changes, they are made anew."""
        return self.text, self.heading

    @property
    def fingerprint(self) -> str:
        """Equal for two lessons of one zone and level whose texts are identical (identity.py)."""
        return identity(self.zone, self.level, self.title, self.when, self.lesson)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience(Snapshot):
    """A lesson that the library keeps."""

    id: OurId
    origin: Annotated[Origin, SHORT_NAMES]
    revision: Count
    created_at: datetime
    updated_at: datetime
    served: Count = 0
    successes: Count = 0
    failures: Count = 0
    helpful: Count = 0
    harmful: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One change of one experience; `before` is None where the experience began.

    `origin` says who wrote the lesson that changed it.
    """

    experience_id: OurId
    revision: int
    kind: RevisionKind
    before: Snapshot | None
    after: Snapshot
    actor: Annotated[str, Len(0, NAME_LIMIT)]
    at: datetime
    reason: Annotated[str, Len(0, 4_000)] | None = None  # two that are joined
    trajectory_id: OurId | None = None
    origin: Annotated[Origin | None, SHORT_NAMES] = None


class Curated(NamedTuple):
    """An experience as it is now, the revision that says what changed, and what else changed.

    A merge changes two, and so does its revert.
    """

    experience: Experience
    revision: Revision
    also: Revision | None = None


class WholeExperience(NamedTuple):
    """An experience with all that stands behind it, of one moment.

    `independent` is from how many independent trajectories it stems: the same task once again by
    the same agent counts once.
    """

    experience: Experience
    history: Sequence[Revision]
    independent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An active experience near a lesson, of any level and zone.

    `text` is the beginning of its lesson, `likeness` their cosine, `relation` what its words say.
    """

    id: str
    title: str
    text: str
    zone: Zone
    level: Level
    likeness: float
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of lesson number `index` of a call."""

    index: int
    decision: DecisionKind
    experience_id: str | None = None
    reason: str | None = None
    candidates: tuple[Candidate, ...] = ()


def fingerprint(*parts: Any) -> str:
    """A stable hash of some texts, numbers and None."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def identity(zone: str, level: str, *texts: str) -> str:
    """The fingerprint of an experience of this zone and level, with title, `when` and lesson."""
    return fingerprint(str(zone), str(level), *map(identical_form, texts))
