"""What is said to an LLM and what it says: a brief's turns, as the library keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal


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
