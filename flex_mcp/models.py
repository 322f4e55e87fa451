"""The values of the product: frozen, and named as the vocabulary names them.

Limits are part of the types, as plain markers: `validation.checked` enforces them where a value
comes in from outside. `about` describes a field in its published schema.
Times are aware datetimes in UTC. Ids are a prefix and 12 characters of a-z2-7 (60 random bits),
short enough for a model to copy: t_ trajectory, e_ experience, r_ retrieval, b_ brief.
"""

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from annotated_types import Interval, Len, Predicate

TASK_LIMIT = 20_000  # characters of a task, and of a query
TRAJECTORY_LIMIT = 5 * 1024 * 1024  # bytes of one trajectory
STEPS_LIMIT = 10_000  # of one trajectory; each is a value of its own, whatever it holds
LESSON_LIMIT = 8_000  # characters of a lesson's text
LESSONS_LIMIT = 50  # lessons in one call
MERGED_LESSON_LIMIT = 4_000  # characters of a lesson after a merge
MERGED_EXAMPLES_LIMIT = 8  # examples after a merge
TRAJECTORIES = 5  # in one brief
TITLE_LIMIT = 120
WHEN_LIMIT = 2_000
DOMAIN_LIMIT = 200
NAME_LIMIT = 300  # characters; a client's name has 200 at most, a file's 255 bytes
TAG_LIMIT = 60
TAGS_LIMIT = 20


class Zone(StrEnum):
    """Where the lesson comes from: success, failure, or failure turned into success."""

    GOLDEN = "golden"
    WARNING = "warning"
    MIXED = "mixed"


class Level(StrEnum):
    """How general it is, most general first (FLEX §3: strategies, patterns, cases)."""

    PRINCIPLE = "principle"
    PATTERN = "pattern"
    INSTANCE = "instance"


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class VerifiedBy(StrEnum):
    TESTS = "tests"
    ENVIRONMENT = "environment"
    USER = "user"
    GROUND_TRUTH = "ground_truth"
    SELF = "self"
    NONE = "none"


class StepKind(StrEnum):
    THOUGHT = "thought"
    ACTION = "action"
    OBSERVATION = "observation"
    MESSAGE = "message"
    FEEDBACK = "feedback"


class TrajectoryState(StrEnum):
    PENDING = "pending"
    DISTILLED = "distilled"
    SKIPPED = "skipped"


class Status(StrEnum):
    """Only active experiences are served."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


class Action(StrEnum):
    """What a lesson asks for; the Library's decision answers it."""

    ADD = "add"
    MERGE = "merge"
    DISCARD = "discard"
    SUPERSEDE = "supersede"


class DecisionKind(StrEnum):
    ADD = "add"
    MERGE = "merge"
    DISCARD = "discard"
    SUPERSEDE = "supersede"
    REFUSED = "refused"


class Road(StrEnum):
    """Who wrote the lessons: they came with the trajectory, or somebody was asked."""

    AGENT = "agent"
    ANTHROPIC = "anthropic"
    SAMPLING = "sampling"
    ASSISTANT = "assistant"


class Curation(StrEnum):
    """What a person or agent may do to one experience."""

    APPROVE = "approve"
    QUARANTINE = "quarantine"
    RETIRE = "retire"
    RESTORE = "restore"
    EDIT = "edit"
    REVERT = "revert"


class RevisionKind(StrEnum):
    """What a revision changed. A revert is written as the change that it makes."""

    ADD = "add"
    MERGE = "merge"
    SUPERSEDE = "supersede"
    EDIT = "edit"
    RETIRE = "retire"
    RESTORE = "restore"
    QUARANTINE = "quarantine"
    APPROVE = "approve"


def fold(text: str) -> str:
    """Unicode, case and white space folded: what makes two texts identical."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def clean_domain(domain: str | None) -> str | None:
    """A path of folded, non-empty segments, or None: `" Math//Geometry/"` is `math/geometry`."""
    segments = [fold(segment) for segment in (domain or "").split("/")]
    return "/".join(segment for segment in segments if segment) or None


def _is_said(text: str) -> bool:
    return bool(text.strip())


def _is_clean(domain: str | None) -> bool:
    return domain == clean_domain(domain)


def _is_id(text: str) -> bool:
    return re.fullmatch(r"[etr]_[a-z2-7]{12}", text) is not None


def _is_short(origin: "Origin | None") -> bool:
    names = (origin.by, origin.model, origin.prompts) if origin else ()
    return all(len(name or "") <= NAME_LIMIT for name in names)


NOT_BLANK = Predicate(_is_said)

Id = Annotated[str, Len(0, 100)]
Task = Annotated[str, Len(1, TASK_LIMIT), NOT_BLANK]
Title = Annotated[str, Len(1, TITLE_LIMIT), NOT_BLANK]
When = Annotated[str, Len(0, WHEN_LIMIT)]
LessonText = Annotated[str, Len(1, LESSON_LIMIT), NOT_BLANK]
Example = Annotated[str, Len(1, 4_000), NOT_BLANK]
Examples = Annotated[tuple[Example, ...], Len(0, 20)]
Domain = Annotated[str, Len(0, DOMAIN_LIMIT)]
Tag = Annotated[str, Len(1, TAG_LIMIT), NOT_BLANK]
Tags = Annotated[tuple[Tag, ...], Len(0, TAGS_LIMIT)]
Priority = Annotated[int, Interval(ge=1, le=5)]

# Of what a library keeps; a text there may be longer than what comes in by a tool: FLEX's are.
OurId = Annotated[str, Predicate(_is_id)]
CleanDomain = Annotated[Domain | None, Predicate(_is_clean)]
SHORT_NAMES = Predicate(_is_short)
Count = Annotated[int, Interval(ge=0, lt=2**53)]


def about(text: str) -> dict[str, str]:
    """What the published schema says of a field, as its metadata."""
    return {"description": text}


class Strict:
    """A value that takes no field it does not know, where it comes in from outside."""

    __slots__ = ()
    __pydantic_config__: ClassVar = {"extra": "forbid", "revalidate_instances": "always"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a trajectory."""

    kind: StepKind
    content: str
    name: Annotated[str | None, Len(0, 200)] = field(default=None, metadata=about("Tool or actor."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent(Strict):
    """Who did the work."""

    name: Annotated[str | None, Len(0, 200)] = None
    model: Annotated[str | None, Len(0, 200)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory(Strict):
    """What was tried for one task, and how it ended. Of steps and transcript at most one."""

    task: Task = field(metadata=about("The task as it was given."))
    outcome: Outcome = field(metadata=about("How it ended, honestly."))
    steps: tuple[Step, ...] | None = field(
        default=None, metadata=about("What was done, in order, errors and dead ends included.")
    )
    transcript: str | None = field(
        default=None, metadata=about("Instead of steps: the whole text.")
    )
    answer: str | None = field(default=None, metadata=about("The result that was given."))
    feedback: str | None = field(
        default=None, metadata=about("The verdict: test output, the user's words, right answer.")
    )
    score: Annotated[float | None, Interval(ge=0, le=1)] = None
    verified_by: VerifiedBy = field(default=VerifiedBy.NONE, metadata=about("Who says so."))
    domain: Domain | None = field(default=None, metadata=about("A path such as python/packaging."))
    agent: Agent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrajectory(Trajectory):
    """A trajectory as the library holds it."""

    domain: CleanDomain = None
    id: OurId
    key: str
    state: TrajectoryState
    recorded_at: datetime
    retrieval_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson(Strict):
    """A proposal, not yet an Experience."""

    zone: Zone = field(
        metadata=about("golden: it worked. warning: it failed. mixed: failed, then worked.")
    )
    level: Level = field(
        metadata=about("principle: strategy. pattern: method. instance: concrete case.")
    )
    title: Title
    when: When = field(metadata=about("When it applies, in words of the situation."))
    lesson: LessonText = field(metadata=about("What to do or avoid, and why."))
    examples: Examples = field(default=(), metadata=about("Short quotes from the trajectory."))
    domain: Domain | None = None
    tags: Tags = ()
    action: Action | None = field(
        default=None, metadata=about("What to do with it; without one it is placed.")
    )
    into: str | None = field(
        default=None, metadata=about("The experience that merge, discard, supersede name.")
    )
    reason: Annotated[str | None, Len(0, 2_000)] = None
    trajectory_ids: Annotated[tuple[str, ...] | None, Len(0, 50)] = field(
        default=None, metadata=about("Its evidence; default: all.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields(Strict):
    """What an edit may set; and `revision`: a revert goes back to before it (default the last)."""

    zone: Zone | None = None
    level: Level | None = None
    title: Title | None = None
    when: When | None = None
    lesson: LessonText | None = None
    examples: Examples | None = None
    domain: Domain | None = None
    tags: Tags | None = None
    priority: Priority | None = None
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
    """Where an experience comes from: distilled by whom, or imported from which library.

    For one that was distilled: by which road, model and versions of the prompts, and how many
    tokens (read and written) its whole brief cost; None where nobody says.
    """

    kind: Literal["distilled", "imported"]
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
    def fingerprint(self) -> str:
        """Equal for two lessons of one zone and level whose texts are identical after folding."""
        texts = (fold(text) for text in (self.title, self.when, self.lesson))
        return fingerprint(str(self.zone), str(self.level), *texts)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One transaction: who wrote what, and when.

    `verb` is the Library's or a message batch's; `ids` are the first of what was touched, in order,
    and `touched` is how many there were. `process` is the id that the system gave it.
    """

    number: int
    at: datetime
    client: str
    process: int
    verb: str
    ids: tuple[str, ...]
    touched: int


class Place(NamedTuple):
    """Where a page of experiences ends, in the order of their time."""

    created_at: datetime
    id: str


class Moment(NamedTuple):
    """A point in a library's history: the number of its last change.

    A restore begins another epoch: numbers of different ones are not of one history.
    """

    epoch: str | None = None
    number: int = 0


class Changes(NamedTuple):
    """What happened after some moment; `whole` is False where it was too much to list."""

    last: Moment
    revisions: Sequence[Revision]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which experiences a search may serve; None means all."""

    levels: frozenset[Level] | None = None
    zones: frozenset[Zone] | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One experience as served: `score` is 0 to 1, comparable within one answer only."""

    experience: Experience
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one search served. `relevance` 0 to 1: how sure the library is that something fits."""

    retrieval_id: str | None
    hits: tuple[Hit, ...]
    relevance: float
    notices: tuple[str, ...] = ()

    @property
    def nothing_relevant(self) -> bool:
        return not self.hits


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """One search and what it served, by rank; `credits` is what its outcome counted for each."""

    id: OurId
    query: str
    at: datetime
    client: str
    served: tuple[OurId, ...]
    scores: tuple[float, ...]
    credits: tuple[int, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An experience near a lesson; `score` is their cosine."""

    id: str
    title: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of lesson number `index` of a call."""

    index: int
    decision: DecisionKind
    experience_id: str | None = None
    reason: str | None = None
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The answer to recording: `new` is False where the same trajectory was there already.

    `redacted` is how many secrets were taken out, None where there was none; `held` how many of its
    lessons are quarantined.
    """

    trajectory_id: str
    new: bool
    state: TrajectoryState
    decisions: tuple[Decision, ...] = ()
    redacted: int | None = None
    held: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    id: str
    served: int
    successes: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which trajectories a brief should be about: those named, or the pending ones.

    The first and those of its task come first; `alike` takes no others.
    """

    ids: Sequence[str] | None = None
    limit: int = TRAJECTORIES
    alike: bool = False
    skip: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A question about some trajectories; it claims them until `expires_at`.

    `rendered` is the brief as the calling assistant got it (empty on other roads), `prompts` the
    versions of its prompts, `answer_hash` and `decisions` what came back.
    """

    id: str
    trajectory_ids: tuple[str, ...]
    rendered: str
    created_at: datetime
    expires_at: datetime
    road: Road = Road.ASSISTANT
    prompts: str | None = None
    answer_hash: str | None = None
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Which embedder made the library's vectors."""

    embedder: str
    version: str
    dimension: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was asked of one model by one road; tokens are None where nobody counts them."""

    road: Road
    model: str
    questions: int
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts over the whole library; the keys of `domains` are whole paths, "" for none."""

    library_id: str
    schema_version: int
    vectors: Vectors | None
    experiences: int
    by_status: Mapping[str, int]
    by_zone: Mapping[str, int]
    by_level: Mapping[str, int]
    by_domain: Mapping[str, int]
    trajectories: int
    by_state: Mapping[str, int]
    retrievals: int
    revisions: int
    last_change: datetime | None
    spent: tuple[Spent, ...] = ()
    held: int = 0  # bytes that each process which searches holds in memory


def new_id(prefix: str) -> str:
    """A fresh id such as `e_k3x5u2m7qa4c`: 60 random bits."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()[:12]}"


def values_of(value: object, kind: type) -> dict[str, Any]:
    """The fields that a dataclass names, as `value`, which may hold more, has them."""
    return {field.name: getattr(value, field.name) for field in fields(kind)}


def utc_now() -> datetime:
    return datetime.now(UTC)


def fingerprint(*parts: Any) -> str:
    """A stable hash of some texts, numbers and None."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
