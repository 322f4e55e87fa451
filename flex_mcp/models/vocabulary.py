"""Vocabulary: the closed sets, the limits and the kinds of text that all values share.

Limits are part of the types, as plain markers: `validation.checked` enforces them where a value
comes in from outside. `about` describes a field in its published schema.
Times are aware datetimes in UTC.
"""

import base64
import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Interval, Len, Predicate

from flex_mcp.errors import WordError

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
PROJECT_LIMIT = 100
NAME_LIMIT = 300  # characters; a client's name has 200 at most, a file's 255 bytes
TAG_LIMIT = 60
TAGS_LIMIT = 20


class Word(StrEnum):
    """A word of a closed set; one that is not in it is refused in our own words."""

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise WordError(f"{cls.__name__} cannot be {value!r}; it is one of: {', '.join(cls)}")


class Zone(Word):
    """Where the lesson comes from: success, failure, or failure turned into success."""

    GOLDEN = "golden"
    WARNING = "warning"
    MIXED = "mixed"


class Level(Word):
    """How general it is, most general first (FLEX §3: strategies, patterns, cases)."""

    PRINCIPLE = "principle"
    PATTERN = "pattern"
    INSTANCE = "instance"


class Outcome(Word):
    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class VerifiedBy(Word):
    TESTS = "tests"
    ENVIRONMENT = "environment"
    USER = "user"
    GROUND_TRUTH = "ground_truth"
    SELF = "self"
    NONE = "none"


class StepKind(Word):
    THOUGHT = "thought"
    ACTION = "action"
    OBSERVATION = "observation"
    MESSAGE = "message"
    FEEDBACK = "feedback"


class TrajectoryState(Word):
    PENDING = "pending"
    DISTILLED = "distilled"
    SKIPPED = "skipped"


class Status(Word):
    """Only active experiences are served."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


class Action(Word):
    """What a lesson asks for; the Library's decision answers it."""

    ADD = "add"
    MERGE = "merge"
    DISCARD = "discard"
    SUPERSEDE = "supersede"


class DecisionKind(Word):
    ADD = "add"
    MERGE = "merge"
    DISCARD = "discard"
    SUPERSEDE = "supersede"
    REFUSED = "refused"


class Relation(Word):
    """What two lessons are to each other, where they have something in common."""

    SAME = "same"
    NEAR = "near"
    CONTRADICTS = "contradicts"


class Road(Word):
    """Who wrote the lessons: they came with the trajectory, or somebody was asked."""

    AGENT = "agent"
    ANTHROPIC = "anthropic"
    SAMPLING = "sampling"
    ASSISTANT = "assistant"
    PYTHON = "python"  # a model that Python code brings


class Curation(Word):
    """What a person or agent may do to one experience."""

    APPROVE = "approve"
    QUARANTINE = "quarantine"
    RETIRE = "retire"
    RESTORE = "restore"
    EDIT = "edit"
    REVERT = "revert"
    MERGE = "merge"


class RevisionKind(Word):
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
    """A name in one form: case, white space and all of Unicode's compatible forms folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def cut_at_word(text: str, limit: int) -> str:
    """The text with at most so many characters, an ellipsis where it is cut."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"


def clean_domain(domain: str | None) -> str | None:
    r"""A path of folded, non-empty segments, or None: `" Math\Geometry//"` is `math/geometry`."""
    return _folded_path((domain or "").replace("\\", "/"))


def _folded_path(path: str) -> str | None:
    segments = [fold(segment) for segment in path.split("/")]
    return "/".join(segment for segment in segments if segment) or None


def clean_project(name: str | None) -> str | None:
    """A project's name, folded, or None: `" Web  Shop"` is `web shop`."""
    return fold(name or "") or None


def named_project(said: "HereOrNamed | None", here: str | None) -> str | None:
    """The project that a lesson names: true is the one at hand, false and nothing are general.

    Raises:
        ValueError: it is true, and there is none at hand.
    """
    text = said if isinstance(said, str) else {True: "true", False: "false", None: ""}[said]
    match text.strip().casefold():
        case "" | "false":
            return None
        case "true" if here is None:
            raise ValueError
        case "true":
            return clean_project(here)
        case _:
            return clean_project(text)


def with_general(project: str | None) -> frozenset[str | None]:
    """The projects whose lessons are for work on one: general ones, and its own."""
    return frozenset({None, clean_project(project)})


def _is_said(text: str) -> bool:
    return bool(text.strip())


def _is_clean(domain: str | None) -> bool:
    return domain == _folded_path(domain or "")  # older libraries keep a backslash as it came


def _is_clean_project(project: str | None) -> bool:
    return project == clean_project(project)


def _is_id(text: str) -> bool:
    return re.fullmatch(r"[etr]_[a-z2-7]{12}", text) is not None


NOT_BLANK = Predicate(_is_said)
Id = Annotated[str, Len(0, 100)]
Named = Annotated[tuple[Id, ...], Len(0, 20)]  # experiences that helped, or that misled
Task = Annotated[str, Len(1, TASK_LIMIT), NOT_BLANK]
Title = Annotated[str, Len(1, TITLE_LIMIT), NOT_BLANK]
When = Annotated[str, Len(0, WHEN_LIMIT)]
LessonText = Annotated[str, Len(1, LESSON_LIMIT), NOT_BLANK]
Example = Annotated[str, Len(1, 4_000), NOT_BLANK]
Examples = Annotated[tuple[Example, ...], Len(0, 20)]
Domain = Annotated[str, Len(0, DOMAIN_LIMIT)]
Project = Annotated[str, Len(0, PROJECT_LIMIT)]
Projects = frozenset[str | None] | None  # that are wanted, None for general among them; or all
Tag = Annotated[str, Len(1, TAG_LIMIT), NOT_BLANK]
Tags = Annotated[tuple[Tag, ...], Len(0, TAGS_LIMIT)]
# A trajectory's own limit is less; with one of its own Pydantic looks whether a text is Unicode.
Body = Annotated[str, Len(0, 2 * TRAJECTORY_LIMIT)]
Priority = Annotated[int, Interval(ge=1, le=5)]
# Of what a library keeps; a text there may be longer than what comes in by a tool: FLEX's are.
OurId = Annotated[str, Predicate(_is_id)]
CleanDomain = Annotated[Domain | None, Predicate(_is_clean)]


class _AsFlag:
    """What the published schema says of a field that is true, false or a project's name."""

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "boolean"}


# Of a lesson: true for the project at hand, false for general, or a project's name.
HereOrNamed = Annotated[bool | Project, _AsFlag()]
CleanProject = Annotated[Project | None, Predicate(_is_clean_project)]
Count = Annotated[int, Interval(ge=0, lt=2**53)]


def about(text: str) -> dict[str, str]:
    """What the published schema says of a field, as its metadata."""
    return {"description": text}


class Strict:
    """A value that takes no field it does not know, where it comes in from outside."""

    __slots__ = ()
    __pydantic_config__: ClassVar = {
        "extra": "forbid",
        "revalidate_instances": "always",
        "allow_inf_nan": False,
    }

    @classmethod
    def clashes(cls, _given: Mapping[str, Any], /) -> Iterator[str]:
        """What is wrong with the fields together, a sentence each, whatever each is alone."""
        yield from ()


def values_of(value: object, kind: type) -> dict[str, Any]:
    """The fields that a dataclass names, as `value`, which may hold more, has them."""
    return {field.name: getattr(value, field.name) for field in fields(kind)}


def new_id(prefix: str) -> str:
    """A fresh id such as `e_k3x5u2m7qa4c`: a prefix and 12 characters (60 random bits).

    Prefixes: t_ trajectory, e_ experience, r_ retrieval, b_ brief, k_ block.
    """
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()[:12]}"


def utc_now() -> datetime:
    return datetime.now(UTC)
