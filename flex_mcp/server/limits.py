"""What one connection may have under way, and keep; whoever wants more is told, and others go on.

Over HTTP `transports.capacity` bounds what arrives; here is what stays, on any transport.
"""

import contextlib
import json
from collections.abc import Collection, Generator
from typing import TYPE_CHECKING

import anyio
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, RequestId

from flex_mcp.errors import FlexError, InputError
from flex_mcp.server import sdk

if TYPE_CHECKING:
    from mcp.server.connection import Connection

MAX_UNDER_WAY = 128  # requests of one connection; three times what runs at once
MAX_ASKING = 8  # calls that may wait for a model, so that searches never wait for them
MAX_HELLO = 64 * 1024  # bytes of what a client says of itself: kept as long as its session
MAX_SUBSCRIPTIONS = 1_000  # addresses that one connection, or stream, hears of
MAX_ADDRESS = 2_000  # characters of one
MAX_LISTENING = 256  # streams of changes in the newer era
SAME_ID = (
    "a request with this id is under way already: wait for its answer, or give each request "
    "an id of its own"
)

patient = anyio.CapacityLimiter(MAX_ASKING)  # beside the 40 threads that answer all else


class Load:
    """The requests under way, connection by connection: each has an id of its own."""

    def __init__(self) -> None:
        self._under_way: dict[Connection, set[RequestId]] = {}

    async def __call__(self, ctx: sdk.RequestContext, call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:
            return await call_next(ctx)
        if ctx.method == "initialize":
            said = json.dumps(ctx.params, ensure_ascii=False, separators=(",", ":"))
            if len(said.encode(errors="replace")) > MAX_HELLO:
                raise MCPError(
                    INVALID_PARAMS,
                    f"initialize has more than {MAX_HELLO:,} bytes: say less of the client",
                )
        connection = sdk.connection(ctx.session)
        under_way = self._under_way.setdefault(connection, set())
        if ctx.request_id in under_way:
            raise MCPError(INVALID_REQUEST, SAME_ID)
        if len(under_way) >= MAX_UNDER_WAY:
            raise MCPError(
                INTERNAL_ERROR,
                f"{MAX_UNDER_WAY} requests of this connection are under way already: "
                "wait for their answers",
            )
        under_way.add(ctx.request_id)
        try:
            return await call_next(ctx)
        finally:
            under_way.remove(ctx.request_id)
            if not under_way:
                del self._under_way[connection]


def check_addresses(uris: Collection[str]) -> None:
    """Refuse more, or longer, addresses than one connection may hear of.

    Raises:
        MCPError: names the limit.
    """
    if any(len(uri) > MAX_ADDRESS for uri in uris):
        raise MCPError(
            INVALID_PARAMS,
            f"the address of a resource has at most {MAX_ADDRESS:,} characters: list the resources",
        )
    if len(uris) > MAX_SUBSCRIPTIONS:
        raise MCPError(
            INVALID_PARAMS,
            f"one connection hears of at most {MAX_SUBSCRIPTIONS:,} resources: unsubscribe from "
            "some, or hear of the list",
        )


@contextlib.contextmanager
def refusing() -> Generator[None]:
    """What fails in here is refused in the protocol's way.

    Raises:
        MCPError: says in our words what failed.
    """
    try:
        yield
    except FlexError as error:
        code = INVALID_PARAMS if isinstance(error, InputError) else INTERNAL_ERROR
        raise MCPError(code=code, message=str(error)) from error
