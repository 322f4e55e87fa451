"""Briefs and conversations: which trajectories a model is asked about, and what was said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from flex_mcp.models.experiences import Decision
from flex_mcp.models.vocabulary import TRAJECTORIES, Projects, Road


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which trajectories a brief should be about: those named, or the pending ones.

    The first and those of its task come first; `alike` takes no others. Pending ones are of one
    of these `projects`, and of the same.
    """

    ids: Sequence[str] | None = None
    limit: int = TRAJECTORIES
    alike: bool = False
    skip: frozenset[str] = frozenset()
    projects: Projects = None


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


class Stop(StrEnum):
    """Why a reply ended."""

    END = "end"
    LENGTH = "length"  # the limit of its tokens
    REFUSAL = "refusal"
    DECLINED = "declined"  # it was not asked: the person or the client did not want it


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An experience as the updater sees it beside lesson number `lesson`.

    `fingerprint` is that of its text then; `whole` is False where the text was cut.
    """

    lesson: int
    id: str
    fingerprint: str
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question: `system` is the fixed part, `schema` the JSON schema of the answer.

    `shape` says the schema in words, for a model that cannot be held to it.
    """

    system: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    shape: str
    shown: tuple[Shown, ...] = ()

    def again(self, answer: str, problem: str) -> "Prompt":
        """The same question once more, after an answer that could not be used."""
        more = (Message("assistant", answer), Message("user", problem))
        return replace(self, messages=(*self.messages, *more))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; tokens are None where nobody counts them."""

    text: str
    model: str
    stop: Stop = Stop.END
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Question number `place` of a brief, rendered once, and its reply.

    `batch` is the message batch that carries it.
    """

    brief_id: str
    place: int
    prompt: Prompt
    reply: Reply | None = None
    batch: str | None = None

    @property
    def key(self) -> str:
        """Its name outside: `b_k3x5u2m7qa4c-1`."""
        return f"{self.brief_id}-{self.place}"
