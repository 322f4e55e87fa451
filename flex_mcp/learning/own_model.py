"""A model of the caller's own: an object that answers prompts, as an LLM of the distiller."""

from datetime import timedelta
from typing import Any, Protocol

from flex_mcp.errors import ModelError
from flex_mcp.learning.llm import STAY
from flex_mcp.models import Road
from flex_mcp.models.briefs import Prompt, Reply, Turn


class OwnModel(Protocol):
    """What `Library.distill` takes as a model.

    `window` is how many characters of a question it can take; what is longer is shortened. The
    name stands in the origin of each lesson that it writes.
    """

    @property
    def name(self) -> str: ...

    @property
    def window(self) -> int: ...

    def answer(self, prompt: Prompt) -> str | Reply:
        """Its answer: JSON that keeps to `prompt.schema`, which `prompt.shape` says in words.

        `prompt.system` is the fixed part, `prompt.messages` the conversation so far, the last one
        the user's. A malformed answer is asked for once more. A `Reply` can say what it cost, too.
        What is raised ends the distilling, and the trajectories in work stay pending; a ModelError
        concerns these alone.
        """
        ...


class NamedModel:
    """The same as an `LLM`."""

    road = Road.PYTHON
    claim = timedelta(seconds=30)  # renewed while it is asked

    def __init__(self, own: OwnModel) -> None:
        self._own = own
        self.window = own.window

    def ask(self, turn: Turn) -> Reply:
        answer: Any = self._own.answer(turn.prompt)
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, str):
            return Reply(text=answer, model=self._own.name)
        raise ModelError(
            f"the model {self._own.name!r} answered with {type(answer).__name__}; {STAY}: "
            "let it give a text or a Reply"
        )
