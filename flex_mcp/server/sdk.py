"""The places where we reach under the SDK's public face; nothing else does.

`MCPServer` cannot page `resources/list`, has no way to say which changes it tells of in the
handshake era, does not serve `resources/subscribe`, and bounds neither requests nor subscriptions.
Its low-level server can (mcp 2.3). A test says so when one of these moves.
"""

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp_types.methods import validate_client_request

if TYPE_CHECKING:
    from flex_mcp.server.description import Results

RequestContext = ServerRequestContext[Any, Any]


def lowlevel(server: MCPServer[Any]) -> Server[Any]:
    """The server that runs on a pair of streams."""
    return server._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def watch_requests(server: MCPServer[Any], middleware: ServerMiddleware[Any]) -> None:
    """Let every request pass here, of any connection."""
    lowlevel(server).middleware.append(middleware)


def answer_from(server: MCPServer[Any], results: "Results", methods: Collection[str]) -> None:
    """Answer these methods with results made before, by the connection's protocol version.

    What the SDK would refuse goes on to it, and so does a version of which nothing is known.
    """

    async def answer(ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        result = results.get(ctx.protocol_version, {}).get(ctx.method)
        if ctx.method not in methods or result is None:
            return await call_next(ctx)
        if not connection(ctx.session).initialize_accepted:
            return await call_next(ctx)
        validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        return dict(result)

    watch_requests(server, answer)


def announce_changes(server: MCPServer[Any]) -> None:
    """Tell clients of the handshake era that they will hear when the list of resources changes."""
    low = lowlevel(server)
    options = functools.partial(
        low.create_initialization_options, NotificationOptions(resources_changed=True)
    )
    low.create_initialization_options = options  # pyright: ignore[reportAttributeAccessIssue]


def connection(session: ServerSession) -> Connection:
    """What outlives the request: it can be written to later, and says when it closes."""
    return session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
