"""The client's own model, by sampling. A question ends the run of the tool (`ReplyPending`)."""

import re
from datetime import timedelta
from typing import Any

from mcp.server.mcpserver import Context
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateMessageResultWithTools,
    SamplingMessage,
    TextContent,
)

from flex_mcp.learning.llm import ReplyPending
from flex_mcp.models import Road
from flex_mcp.models.briefs import Reply, Stop, Turn
from flex_mcp.server.client_requests import PATIENCE, Question, Replies, Unanswered, can_be_asked

WINDOW = 40_000  # characters: nobody knows the client's model
MAX_TOKENS = 8_000
KEY = re.compile(r"(b_[a-z2-7]{12})-\d{1,4}")
STOPS = {"maxTokens": Stop.LENGTH, "refusal": Stop.REFUSAL}
DECLINED = "your client did not lend its model"


class LentLLM:
    """The client's model: what it replied is given, anything else comes later."""

    road = Road.SAMPLING
    window = WINDOW
    claim = timedelta(seconds=PATIENCE)

    def __init__(self, replies: dict[str, Reply]) -> None:
        self._replies = replies

    @property
    def brief_id(self) -> str | None:
        """The brief that the replies belong to; None where nothing was replied."""
        found = (KEY.fullmatch(key) for key in self._replies)
        return next((one[1] for one in found if one), "nobody's" if self._replies else None)

    def ask(self, turn: Turn) -> Reply:
        if turn.key in self._replies:
            return self._replies[turn.key]
        raise ReplyPending(turn)


def lent(context: Context[Any, Any], replies: Replies) -> LentLLM | None:
    """The client's model, where it offers sampling and can be asked."""
    capabilities = context.client_capabilities
    if capabilities is None or capabilities.sampling is None or not can_be_asked(context):
        return None
    return LentLLM({key: _reply(value) for key, value in replies.items()})


def question(turn: Turn) -> Question:
    return Question(turn.key, _request(turn), CreateMessageResultWithTools)  # in parts too


def _request(turn: Turn) -> CreateMessageRequest:
    prompt = turn.prompt
    return CreateMessageRequest(
        params=CreateMessageRequestParams(
            messages=[
                SamplingMessage(role=one.role, content=TextContent(type="text", text=one.text))
                for one in prompt.messages
            ],
            system_prompt=f"{prompt.system}\n\n{prompt.shape}",
            max_tokens=MAX_TOKENS,
        )
    )


def _reply(result: object) -> Reply:
    if isinstance(result, Unanswered) and result.why:
        return _declined(f"{DECLINED}{result.why}")
    if isinstance(result, CreateMessageResult | CreateMessageResultWithTools):
        parts = result.content if isinstance(result.content, list) else [result.content]
        if texts := [part.text for part in parts if isinstance(part, TextContent)]:
            stop = STOPS.get(result.stop_reason or "", Stop.END)
            return Reply(text="".join(texts), model=result.model, stop=stop)
    return _declined(f"{DECLINED}, or replied without text")


def _declined(why: str) -> Reply:
    return Reply(text=f"{why}, so here is a brief", model="", stop=Stop.DECLINED)
