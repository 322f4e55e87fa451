"""Asking the client for something in the middle of a call, in both protocol eras.

A question ends the run of a tool. In the newer era (spec 2026-07-28) the client gets it as an
answer that asks for input and calls again with the reply, in the older one (2025-11-25) it is asked
now; then the tool runs again. The key of a question carries the state, so no `requestState` is
needed that a restart or ten minutes of waiting could spoil.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import CreateMessageRequest, ElicitRequest, InputRequiredResult, Result
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

PATIENCE = 600  # seconds for a person to agree, and for a model to answer
ROUNDS = "2026-07-28"  # since then the client calls again with the reply


class Question(NamedTuple):
    """What is asked, and what its answer must be."""

    key: str
    request: CreateMessageRequest | ElicitRequest
    answer: type[Result]


class Unanswered(NamedTuple):
    """Why there is no reply; empty where it was none of ours."""

    why: str


Replies = Mapping[str, object]


def by_rounds(context: Context[Any, Any]) -> bool:
    """Whether the client calls again with its replies."""
    return is_version_at_least(context.protocol_version or "", ROUNDS)


def can_be_asked(context: Context[Any, Any]) -> bool:
    return by_rounds(context) or context.session.can_send_request


def replies(context: Context[Any, Any]) -> Replies:
    """What the client replies with this call, by the keys of the questions."""
    return dict(context.input_responses or {})


def required(question: Question) -> InputRequiredResult:
    """The answer of a tool that asks for a reply."""
    return InputRequiredResult(input_requests={question.key: question.request})


async def asked(context: Context[Any, Any], question: Question) -> object:
    """The reply of a client of the older era, asked now."""
    try:
        with anyio.fail_after(PATIENCE):
            return await context.session.send_request(
                question.request,
                question.answer,
                metadata=ServerMessageMetadata(related_request_id=context.request_id),
            )
    except MCPError as error:
        return Unanswered(f" ({error.error.message})")
    except ValidationError:
        return Unanswered("")
    except TimeoutError:
        return Unanswered(f" within {PATIENCE // 60} minutes")
