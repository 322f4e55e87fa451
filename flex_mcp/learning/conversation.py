"""One conversation with an LLM about a brief, kept turn by turn.

A run may end anywhere: the next one gets the same questions and the replies that were given, and
goes on from there. A malformed answer is asked for once more, with what was wrong.
"""

from collections.abc import Callable
from typing import TypeVar

from flex_mcp.errors import AnswerError, DeclinedError, ModelError, StaleError
from flex_mcp.learning.llm import ASSISTANT, LLM, STAY
from flex_mcp.learning.prompts import Prompts
from flex_mcp.library.conversations import ConversationLog
from flex_mcp.models import Road
from flex_mcp.models.briefs import Prompt, Reply, Stop, Turn
from flex_mcp.safety.quoting import one_line

T = TypeVar("T")

STOPPED = {
    Stop.LENGTH: "was cut off at the limit of its answer's length",
    Stop.REFUSAL: "refused to answer",
}


class Conversation:
    """The turns of one brief, in order; `model` is who spoke last."""

    def __init__(self, log: ConversationLog, brief_id: str, llm: LLM, prompts: Prompts) -> None:
        self._log = log
        self._kept = iter(log.of(brief_id)[1])
        self._brief_id = brief_id
        self._place = 0
        self._llm = llm
        self._prompts = prompts
        self.model: str | None = None

    def answered(
        self,
        render: Callable[[], Prompt | None],
        check: Callable[[str, Prompt], T],
        *,
        anew: bool = True,
    ) -> T | None:
        """What `check` makes of the answer to a question; None where there is no question.

        Args:
            render: makes the question, unless it was put in an earlier run.
            check: raises AnswerError where the answer is malformed.
            anew: whether the caller puts the question anew where what it shows has changed.

        Raises:
            ModelError: no answer, or malformed twice.
            StaleError: what the question shows has changed.
            DeclinedError: whoever lends the model does not want it asked.
            ReplyPending: the reply comes with a later run.
        """
        first = self._next()
        if first is None:
            if (prompt := render()) is None:
                return None
            first = self._new(prompt)
        turn = first
        while True:
            reply = self._ask(turn)
            try:
                return check(reply.text, first.prompt)
            except AnswerError as error:
                if anew and isinstance(error, StaleError):
                    raise
                if turn is not first:
                    raise ModelError(
                        f"{reply.model} answered twice what cannot be used ({error}); {STAY}: "
                        f"{self._remedies('try again')}"
                    ) from error
                turn = self._next() or self._new(self._again(first.prompt, reply, error))

    def _again(self, prompt: Prompt, reply: Reply, error: AnswerError) -> Prompt:
        problem = self._prompts.render("again", problem=one_line(str(error)))
        answer = reply.text if reply.text.strip() else "(nothing)"  # no message may be blank
        return prompt.again(answer, problem)

    def _remedies(self, *first: str) -> str:
        """What can be done: these, or having another model asked."""
        match self._llm.road:
            case Road.SAMPLING:
                ways = *first, "choose another in your client", ASSISTANT
            case Road.PYTHON:  # no setting says whom code asks
                ways = *first, "give distill another model"
            case _:
                ways = *first, "set FLEX_MCP_MODEL to another model", ASSISTANT
        return ", or ".join(filter(None, (", ".join(ways[:-1]), ways[-1])))

    def _next(self) -> Turn | None:
        """The next turn, where an earlier run put it."""
        self._place += 1
        return next(self._kept, None)

    def _new(self, prompt: Prompt) -> Turn:
        return self._log.put(Turn(brief_id=self._brief_id, place=self._place, prompt=prompt))

    def _ask(self, turn: Turn) -> Reply:
        reply = turn.reply or self._llm.ask(turn)
        if reply.stop is Stop.DECLINED:
            raise DeclinedError(reply.text)
        if turn.reply is None:
            self._log.reply(turn, reply)
        self.model = reply.model
        if why := STOPPED.get(reply.stop):
            raise ModelError(f"{reply.model} {why}; {STAY}: {self._remedies()}")
        return reply
