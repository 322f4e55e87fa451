"""Asking the client for something in the middle of a call, in both protocol eras.

A question ends the run of a tool. In the newer era (spec 2026-07-28) the client gets it as an
answer that asks for input and calls again with the reply, in the older one (2025-11-25) it is asked
now; then the tool runs again. The key of a question carries the state, so no `requestState` is
needed that a restart or ten minutes of waiting could spoil.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateMessageResultWithTools,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    ListRootsRequest,
    Result,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from flex_mcp.errors import InputError
from flex_mcp.learning.llm import ReplyPending
from flex_mcp.models import Road
from flex_mcp.models.briefs import Reply, Stop, Turn
from flex_mcp.server.caller import takes_questions
from flex_mcp.tools.consent import Consent, ConsentPending

PATIENCE = 600  # seconds for a person to agree, and for a model to answer
ROUNDS = "2026-07-28"  # since then the client calls again with the reply


class Question(NamedTuple):
    """What is asked, and what its answer must be."""

    key: str
    request: CreateMessageRequest | ElicitRequest | ListRootsRequest
    answer: type[Result]
    patience: float = PATIENCE


class Unanswered(NamedTuple):
    """Why there is no reply; empty where it was none of ours."""

    why: str


Replies = Mapping[str, object]


def by_rounds(context: Context[Any, Any]) -> bool:
    """Whether the client calls again with its replies."""
    return is_version_at_least(context.protocol_version or "", ROUNDS)


def can_be_asked(context: Context[Any, Any]) -> bool:
    request = context.request_context
    return by_rounds(context) or (
        request.session.can_send_request and takes_questions(request.request)
    )


async def asked(context: Context[Any, Any], question: Question) -> object:
    """The reply of a client of the older era, asked now."""
    try:
        with anyio.fail_after(question.patience):
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
        return Unanswered(f" within {question.patience / 60:.0f} minutes")


WINDOW = 40_000  # characters: nobody knows the client's model
MAX_TOKENS = 8_000
KEY = re.compile(r"(b_[a-z2-7]{12})-\d{1,4}")
STOPS = {"maxTokens": Stop.LENGTH, "refusal": Stop.REFUSAL}


class ClientModel:
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


def client_model(context: Context[Any, Any], replies: Replies) -> ClientModel | None:
    """The client's model, where it offers sampling and can be asked."""
    capabilities = context.client_capabilities
    if capabilities is None or capabilities.sampling is None or not can_be_asked(context):
        return None
    return ClientModel({key: _reply(value) for key, value in replies.items()})


def question(pending: ReplyPending | ConsentPending) -> Question:
    """What a run that was ended asks of the client."""
    if isinstance(pending, ConsentPending):
        key, text = pending.consent.key, pending.consent.text
        form = ElicitRequestFormParams(message=text, requested_schema=FORM)
        return Question(key, ElicitRequest(params=form), ElicitResult)
    prompt = pending.turn.prompt
    params = CreateMessageRequestParams(
        messages=[
            SamplingMessage(role=one.role, content=TextContent(type="text", text=one.text))
            for one in prompt.messages
        ],
        system_prompt=f"{prompt.system}\n\n{prompt.shape}",
        max_tokens=MAX_TOKENS,
    )
    request = CreateMessageRequest(params=params)
    return Question(pending.turn.key, request, CreateMessageResultWithTools)  # in parts too


def _reply(result: object) -> Reply:
    if isinstance(result, CreateMessageResult | CreateMessageResultWithTools):
        parts = result.content if isinstance(result.content, list) else [result.content]
        if texts := [part.text for part in parts if isinstance(part, TextContent)]:
            stop = STOPS.get(result.stop_reason or "", Stop.END)
            return Reply(text="".join(texts), model=result.model, stop=stop)
    why = (isinstance(result, Unanswered) and result.why) or ", or replied without text"
    said = f"your client did not lend its model{why}, so here is a brief"
    return Reply(text=said, model="", stop=Stop.DECLINED)


AGREE = "agree"
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        AGREE: {
            "type": "boolean",
            "title": "Yes, serve this lesson",
            "description": "Only if you have read it and want assistants to work by it.",
            "default": False,
        }
    },
    "required": [AGREE],
}


class AskedPerson:
    """Whoever sits before the client: what was replied is given, anything else comes later."""

    def __init__(self, context: Context[Any, Any], replies: Replies) -> None:
        offered = context.client_capabilities and context.client_capabilities.elicitation
        forms = offered is not None and (offered.form is not None or offered.url is None)
        self._reachable = forms and can_be_asked(context)
        self._replies = replies

    def agree(self, consent: Consent) -> None:
        if not self._reachable:
            raise InputError(
                f"{consent.what} needs a person's yes, and your client cannot ask for it: "
                f"let the person run `{consent.command}`"
            )
        if consent.key not in self._replies:
            raise ConsentPending(consent)
        reply = self._replies[consent.key]
        given = isinstance(reply, ElicitResult) and reply.action == "accept" and reply.content
        if given and given.get(AGREE) is True:
            return
        why = reply.why if isinstance(reply, Unanswered) else ""
        raise InputError(
            f"{consent.what} needs a person's yes, and the person did not give it{why}: "
            f"nothing was changed; `{consent.command}` does it by hand"
        )
