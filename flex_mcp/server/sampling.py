"""The client's own model, by sampling, in both protocol eras (spec 2025-11-25, 2026-07-28).

A question ends the run of the tool (`Later`): in the newer era the client gets it as an answer that
asks for input and calls again with the reply, in the older one it is asked in the middle of the
call; then the tool runs again. The key of the question carries the state, so no `requestState` is
needed that a restart or ten minutes of waiting could spoil.
"""

import re
from datetime import timedelta
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateMessageResultWithTools,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from flex_mcp.llm import Later
from flex_mcp.models import Road
from flex_mcp.turns import Reply, Stop, Turn

WINDOW = 40_000  # characters: nobody knows the client's model
MAX_TOKENS = 8_000
PATIENCE = 600  # seconds for a person to agree and a model to answer
ROUNDS = "2026-07-28"  # since then the client calls again with the reply
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
        raise Later(turn)


def lent(context: Context[Any, Any], replies: dict[str, Reply]) -> LentLLM | None:
    """The client's model, where it offers sampling and can be asked."""
    capabilities = context.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        return None
    if not by_rounds(context) and not context.session.can_send_request:
        return None
    return LentLLM(replies)


def by_rounds(context: Context[Any, Any]) -> bool:
    """Whether the client calls again with its replies."""
    return is_version_at_least(context.protocol_version or "", ROUNDS)


def replies(context: Context[Any, Any]) -> dict[str, Reply]:
    """What the client replies with this call, by the keys of the turns."""
    given = context.input_responses or {}
    return {key: _reply(value) for key, value in given.items()}


def required(turn: Turn) -> InputRequiredResult:
    """The answer of a tool that asks for a reply."""
    return InputRequiredResult(input_requests={turn.key: _request(turn)})


async def asked(context: Context[Any, Any], turn: Turn) -> Reply:
    """The reply of a client of the older era, asked now."""
    try:
        with anyio.fail_after(PATIENCE):
            result = await context.session.send_request(
                _request(turn),
                CreateMessageResultWithTools,  # takes content in several parts too
                metadata=ServerMessageMetadata(related_request_id=context.request_id),
            )
    except MCPError as error:
        return _declined(f"{DECLINED} ({error.error.message})")
    except ValidationError:
        return _reply(None)
    except TimeoutError:
        return _declined(f"{DECLINED} within {PATIENCE // 60} minutes")
    return _reply(result)


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
    if isinstance(result, CreateMessageResult | CreateMessageResultWithTools):
        parts = result.content if isinstance(result.content, list) else [result.content]
        if texts := [part.text for part in parts if isinstance(part, TextContent)]:
            stop = STOPS.get(result.stop_reason or "", Stop.END)
            return Reply(text="".join(texts), model=result.model, stop=stop)
    return _declined(f"{DECLINED}, or replied without text")


def _declined(why: str) -> Reply:
    return Reply(text=f"{why}, so here is a brief", model="", stop=Stop.DECLINED)
