"""Serving over HTTP: Streamable HTTP at /mcp, SSE at /sse (deprecated), /health, and the page."""

import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flex_mcp.app import App
from flex_mcp.errors import SettingError
from flex_mcp.server.server import build_server
from flex_mcp.settings import HOST, Access, Transport
from flex_mcp.transports.access import HEALTH, LOOPBACK, AccessControl, Rules, rules_for
from flex_mcp.transports.connections import KEPT_ALIVE, MAX_HEAD, Connection
from flex_mcp.transports.exchanges import MESSAGES, Exchanges
from flex_mcp.transports.logs import log_to_stderr
from flex_mcp.transports.message_limits import MAX_MESSAGE
from flex_mcp.transports.stdio import stop_on_signal
from flex_mcp.web import app as web
from flex_mcp.web.sessions import Sessions

LAST_ANSWERS = 1  # seconds for answers under way once the end was asked for
MAX_SESSIONS = 1_000  # of the handshake era; more are refused until some end
SESSION_IDLE = 15 * 60  # seconds; a client whose session has ended opens another by itself
OURS = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the gate checks more


def serve_http(
    app: App, transport: Transport, *, host: str, port: int, allowed_hosts: Sequence[str] = ()
) -> None:
    """Serve any number of clients until SIGTERM or SIGINT; says on stderr where it listens.

    Args:
        app: what is served.
        transport: HTTP for both, or one of the two.
        host: an address of this machine.
        port: 0 takes a free one.
        allowed_hosts: names that clients may use, beyond those of loopback.

    Raises:
        SettingError: the address cannot be listened on, or must not be without a token.
    """
    log_to_stderr()
    if app.settings.project_name:
        logging.getLogger("flex_mcp").warning(
            "FLEX_MCP_PROJECT is not used over HTTP: clients send the header Flex-MCP-Project"
        )
    rules = rules_for(host, app.settings, allowed_hosts)
    with _bound(host, port) as bound:
        sessions = Sessions(by_token=rules.token if rules.tokens else None)
        page = _Page(bound, sessions)
        pages = web.routes(app, sessions, page.say) if transport is Transport.HTTP else []
        served = application(build_server(app), transport, rules, pages)
        try:
            anyio.run(_serve, served, bound, page.say if pages else None)
        finally:
            app.close()


def serve_web(app: App, *, port: int, opened: Callable[[str], object]) -> None:
    """Serve the page alone, on loopback, until SIGTERM or SIGINT; its address goes to stderr.

    Args:
        app: whose library is shown.
        port: 0 takes a free one.
        opened: is given the address with its key, once.

    Raises:
        SettingError: the port cannot be listened on.
    """
    log_to_stderr()
    rules = Rules(hosts=frozenset(LOOPBACK))
    with _bound(HOST, port) as bound:
        sessions = Sessions(access=Access.CURATE)
        page = _Page(bound, sessions)
        served = _guarded(Starlette(routes=web.routes(app, sessions, page.say)), rules)
        try:
            anyio.run(_serve, served, bound, lambda: opened(page.say()))
        finally:
            app.close()


class _Page:
    """Where a person opens the page, said with a key that opens it once."""

    def __init__(self, bound: socket.socket, sessions: Sessions) -> None:
        self._bound = bound
        self._sessions = sessions

    def say(self) -> str:
        (address,) = _addresses([self._bound])
        if not self._sessions.takes_tokens:
            address = f"{address}/login?key={self._sessions.new_key()}"
        sys.stderr.write(f"the page: {address}\n")
        sys.stderr.flush()
        return address


def application(
    server: MCPServer[Any], transport: Transport, rules: Rules, pages: Sequence[BaseRoute] = ()
) -> ASGIApp:
    """The ASGI application: what is served at which path, behind the gate.

    Pages ask for a session of their own, and no bearer token opens them.
    """
    routes: list[BaseRoute] = [Route(HEALTH, _health), *pages]
    rules = replace(rules, open_paths=(HEALTH, *_beginnings(pages)))
    if transport in {Transport.HTTP, Transport.SSE}:
        sse = server.sse_app(max_request_body_size=MAX_MESSAGE, transport_security=OURS)
        for route in sse.routes:
            if isinstance(route, Route) and route.methods:
                route.methods.discard("HEAD")  # the SDK answers it twice
        routes.extend(sse.routes)
    if transport is Transport.SSE:
        return _guarded(Starlette(routes=routes), rules)
    streamable = server.streamable_http_app(
        max_request_body_size=MAX_MESSAGE,
        max_sessions=MAX_SESSIONS,
        session_idle_timeout=SESSION_IDLE,
        transport_security=OURS,
    )
    routes.extend(streamable.routes)
    served = Starlette(routes=routes, lifespan=lambda _: server.session_manager.run())
    return _guarded(served, rules)


def _guarded(app: ASGIApp, rules: Rules) -> ASGIApp:
    """The application behind the gate; a path may have a slash at its end, or lack it."""
    gate = AccessControl(Exchanges(app), rules)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].rstrip("/") or "/"
            scope["path"] = MESSAGES if f"{path}/" == MESSAGES else path
        await gate(scope, receive, send)

    return served


def _beginnings(pages: Sequence[BaseRoute]) -> set[str]:
    """The addresses under which pages lie."""
    return {f"/{one.path.split('/')[1]}" for one in pages if isinstance(one, Route)}


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _addresses(sockets: Iterable[socket.socket]) -> Generator[str]:
    for one in sockets:
        host, port, *_ = one.getsockname()
        name = f"[{host}]" if ":" in host else host
        yield f"http://{name}:{port}"


class Served(uvicorn.Server):
    """Says where it listens, and leaves the signals to us; `say` tells more once it does."""

    say: Callable[[], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for address in _addresses(sockets or ()):
            sys.stderr.write(f"listening on {address}\n")
        sys.stderr.flush()
        if self.say:
            self.say()

    if sys.platform != "win32":

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    def stop(self) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # streams it cuts off
        self.should_exit = True


async def _serve(
    application: ASGIApp, bound: socket.socket, say: Callable[[], object] | None
) -> None:
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=KEPT_ALIVE,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LAST_ANSWERS,
    )
    server = Served(config)
    server.say = say
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signal, server.stop)
        await server.serve(sockets=[bound])
        tasks.cancel_scope.cancel()


@contextlib.contextmanager
def _bound(host: str, port: int) -> Generator[socket.socket]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # there it would let a second server in
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingError(
            f"{host}:{port} cannot be listened on ({reason}): "
            "give another --host or --port (0 takes a free one)"
        ) from error
    with bound:
        yield bound
