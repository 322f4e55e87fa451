"""Requests over HTTP and their answers: what clients send, in the form that the SDK takes.

The SDK wants both types in Accept, also where the answer is JSON, and of two requests of one
session that have the same id it gives one the other's answer (mcp 2.3).
"""

import json
import re
from collections.abc import Sequence

import anyio
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, RequestId
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flex_mcp.server.caller import TAKES_NO_STREAM
from flex_mcp.server.limits import SAME_ID
from flex_mcp.transports import messages

MCP, MESSAGES = "/mcp", "/messages/"
BOTH = JSON, STREAM = "application/json", "text/event-stream"
SESSION, VERSION = "mcp-session-id", "mcp-protocol-version"
LISTEN = "subscriptions/listen"  # its answer is a stream in any case
ZERO = re.compile(r"q=0(\.0*)?")
PATIENCE = 5  # seconds for the end of an answer that is out
CUT_OFF = "the session ended before the answer was there: open another, and ask again"

Key = tuple[str, str]


class Exchanges:
    """Lets requests through to `app`, of one session and id one at a time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way: dict[Key, Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in {MCP, MESSAGES}:
            await self._app(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            await self._app(_understood(scope, accepted(scope)), receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await receive()
        if body["type"] != "http.request" or body.get("more_body"):
            return  # the client went away before the end of it
        message = messages.read(body["body"].decode(errors="replace"))
        if isinstance(message, messages.Refusal):
            response = error_response(400, message.code, message.reason, message.id)
            await response(scope, receive, send)
            return
        body["body"] = message.text.encode()
        kinds = accepted(scope)
        answerable = STREAM in kinds or (JSON in kinds and message.method != LISTEN)
        scope = _understood(scope, BOTH if answerable else kinds)
        no_stream = STREAM not in kinds and scope["path"] == MCP
        scope.setdefault("state", {})[TAKES_NO_STREAM] = no_stream
        answer = Answer(scope, receive, send, message.id)
        key = _key(scope, message)
        if key is None:
            await self._app(scope, _first(body, receive), answer)
        elif await self._is_free(key):
            self._under_way[key] = answer
            try:  # it goes on, and is answered, where the client has gone
                await self._app(scope, _first(body, _nothing), answer)
            finally:
                del self._under_way[key]
                answer.ended.set()
        else:
            response = error_response(409, INVALID_REQUEST, SAME_ID, message.id)
            await response(scope, receive, send)

    async def _is_free(self, key: Key) -> bool:
        """Whether no such request is under way; an answer that is out has its end soon."""
        before = self._under_way.get(key)
        if before is not None and before.is_out:
            with anyio.move_on_after(PATIENCE):
                await before.ended.wait()
        return key not in self._under_way


class Answer:
    """An answer on its way; in one piece of JSON for a client that takes no stream."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, id_: RequestId | None) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._id = id_
        self._start: Message | None = None  # of a stream that the client does not take
        self._is_stream = False
        self.is_out = False
        self.ended = anyio.Event()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            self._is_stream = kind.startswith(STREAM)
            self.is_out = not self._is_stream
            if self._is_stream and self._scope["state"][TAKES_NO_STREAM]:
                self._start = message
                return
        elif self._is_stream:
            answer = _answer_in(message.get("body", b""))
            first = not self.is_out
            self.is_out = self.is_out or answer is not None
            if self._start is not None:
                if first and (self.is_out or not message.get("more_body")):
                    await self._in_one_piece(self._start, answer)
                return
        await self._send(message)

    async def _in_one_piece(self, start: Message, answer: bytes | None) -> None:
        if answer is None:
            response = error_response(500, INTERNAL_ERROR, CUT_OFF, self._id)
        else:
            response = Response(answer, start["status"], media_type=JSON)
        session = Headers(raw=start["headers"]).get(SESSION)
        if session is not None:
            response.headers[SESSION] = session
        await response(self._scope, self._receive, self._send)


def error_response(status: int, code: int, reason: str, id_: RequestId | None) -> Response:
    """A JSON-RPC error."""
    error = {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": reason}}
    return Response(json.dumps(error), status, media_type=JSON)


def accepted(scope: Scope) -> tuple[str, ...]:
    """Which of the two types Accept takes: what names one most closely decides (RFC 9110)."""
    accept = ",".join(Headers(scope=scope).getlist("accept")).lower()
    taken: dict[str, bool] = {}
    for part in filter(str.strip, accept.split(",")):
        name, *parameters = map(str.strip, part.split(";"))
        taken[name] = not any(map(ZERO.fullmatch, parameters))

    def takes(kind: str) -> bool:
        ranges = kind, f"{kind.partition('/')[0]}/*", "*/*"
        return next((taken[one] for one in ranges if one in taken), not taken)

    return tuple(filter(takes, BOTH))


def _understood(scope: Scope, kinds: Sequence[str]) -> Scope:
    """With headers as the SDK reads them: no weights, and lower case."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    headers["accept"] = ", ".join(kinds)
    if headers.get("content-type", "").partition(";")[0].strip().lower() == JSON:
        headers["content-type"] = JSON
    return {**scope, "headers": headers.raw}


def _key(scope: Scope, message: messages.Message) -> Key | None:
    """What no two requests under way may share: the SDK takes 1 and "1" for the same id.

    None where there is no session: in the stateless era each request stands alone.
    """
    headers = Headers(scope=scope)
    session = headers.get(SESSION)
    era = headers.get(VERSION)
    if message.id is None or session is None or scope["path"] != MCP:
        return None
    return (session, str(message.id)) if era is None or era in HANDSHAKE_PROTOCOL_VERSIONS else None


def _answer_in(event: bytes) -> bytes | None:
    """The answer that an event of a stream holds; None where it holds something else."""
    for line in event.splitlines():
        data = line.removeprefix(b"data: ")
        if data != line and data and "method" not in json.loads(data):
            return data
    return None


def _first(body: Message, receive: Receive) -> Receive:
    waiting = [body]

    async def given() -> Message:
        return waiting.pop() if waiting else await receive()

    return given


async def _nothing() -> Message:
    await anyio.sleep_forever()
    raise AssertionError("for ever is over")
