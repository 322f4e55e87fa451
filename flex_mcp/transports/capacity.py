"""What the requests over HTTP may take together, so that no client starves the others.

A request that finds no room is told so (413, 408, 503 with Retry-After), and the next one is fine.
"""

import json

import anyio
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flex_mcp.transports.message_limits import MAX_MESSAGE, TOO_LONG, TOO_MANY, too_many_values

MAX_STREAMS = 256  # open GET streams; half of the connections, so that requests get through
ALL_BODIES = 64 * 1024 * 1024  # bytes of all bodies that are in work: four of the largest
SMALL_BODY = 64 * 1024  # bytes; these are let in beside: the connections bound their number
BODY_SECONDS = 30  # for a body to arrive; the largest, at 5 Mbit a second
RETRY = {"Retry-After": "5"}
FULL = Response(
    json.dumps({"error": "too many sessions are open: close some, or wait and try again"}),
    503,
    RETRY,
    "application/json",
)


class RequestCapacity:
    """Lets a request through to `app` where there is room for it.

    Bodies come whole: the SDK reads them into memory anyway.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._streams = 0
        self.bodies = 0  # bytes that are in work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._stream(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._streams >= MAX_STREAMS:
            said = f"{MAX_STREAMS} streams are open here: close one, or try again later"
            await PlainTextResponse(said, 503, RETRY)(scope, receive, send)
            return
        self._streams += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._streams -= 1

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(self)
        try:
            refused = await body.read(scope, receive)
            if refused is not None:
                await refused(scope, receive, send)
            else:
                await self._app(scope, body.again(receive), _Answer(scope, receive, send))
        finally:
            self.bodies -= body.held


class Body:
    """A body as it arrives, as far as there is room for it beside the others."""

    def __init__(self, room: RequestCapacity) -> None:
        self._room = room
        self._bytes = bytearray()
        self._rest: Message | None = None
        self.held = 0

    async def read(self, scope: Scope, receive: Receive) -> Response | None:
        """All of it; or what to answer instead."""
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > MAX_MESSAGE:
            return PlainTextResponse(TOO_LONG, 413)
        with anyio.move_on_after(BODY_SECONDS):
            return await self._read(receive)
        said = f"the body did not arrive within {BODY_SECONDS} seconds: send it again, or less"
        return PlainTextResponse(said, 408, {"Connection": "close"})

    async def _read(self, receive: Receive) -> Response | None:
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                self._rest = message
                break
            self._bytes += message.get("body", b"")
            more = message.get("more_body", False)
            if len(self._bytes) > MAX_MESSAGE:
                return PlainTextResponse(TOO_LONG, 413)
            wanted = len(self._bytes) - self.held if len(self._bytes) > SMALL_BODY else 0
            if self._room.bodies + wanted > ALL_BODIES:
                said = "the server is busy with other large requests: try again in a moment"
                return PlainTextResponse(said, 503, RETRY)
            self._room.bodies += wanted
            self.held += wanted
        return PlainTextResponse(TOO_MANY, 413) if too_many_values(bytes(self._bytes)) else None

    def again(self, receive: Receive) -> Receive:
        body: Message = {"type": "http.request", "body": bytes(self._bytes), "more_body": False}
        self._bytes.clear()
        waiting = [body] if self._rest is None else [body | {"more_body": True}, self._rest]

        async def given() -> Message:
            return waiting.pop(0) if waiting else await receive()

        return given


class _Answer:
    """An answer on its way: that the SDK has no room is said in our words."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._over = False

    async def __call__(self, message: Message) -> None:
        if self._over:
            return
        if message["type"] == "http.response.start" and message["status"] == 503:
            self._over = True
            await FULL(self._scope, self._receive, self._send)
        else:
            await self._send(message)
