"""Who gets through to the HTTP transports, and with which rights; an ASGI middleware of our own.

Checked in this order, on every path: Host (421), Origin (403), bearer token (401); then `capacity`
sees to sizes and numbers. A page that a browser loaded from elsewhere fails at one of the first
two, whatever name resolves to this machine (spec 2025-11-25, Transports, security warning).
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flex_mcp.errors import SettingError
from flex_mcp.settings import Settings, Token
from flex_mcp.transports.capacity import RequestCapacity

HEALTH = "/health"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
USUAL_PORTS = (80, 443)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which names and tokens are let in; without any token everybody may write.

    `open_paths` begin what no token is asked for: whoever serves there asks for something else.
    """

    hosts: frozenset[str]
    tokens: tuple[Token, ...] = ()
    open_paths: tuple[str, ...] = (HEALTH,)

    def asks_token(self, path: str) -> bool:
        """Whether a bearer token is wanted at a path."""
        open_ = any(path == one or path.startswith(f"{one}/") for one in self.open_paths)
        return bool(self.tokens) and not open_

    def token(self, given: bytes) -> Token | None:
        """Which token this is; it is compared with all of them, in constant time."""
        same = [one for one in self.tokens if hmac.compare_digest(given, one.token.encode())]
        return same[0] if same else None


def rules_for(host: str, settings: Settings, allowed_hosts: Sequence[str] = ()) -> Rules:
    """The rules for serving at an address.

    Raises:
        SettingError: beyond loopback without a token and allowed hosts; or tokens are malformed.
    """
    named = frozenset(
        name.strip("[]").lower() for name in (*allowed_hosts, *settings.allowed_hosts)
    )
    rules = Rules(
        hosts=named.union(LOOPBACK, [host.strip("[]").lower()]) if is_loopback(host) else named,
        tokens=settings.tokens,
    )
    if not is_loopback(host) and not (rules.tokens and named):
        token = [] if rules.tokens else ["set FLEX_MCP_TOKEN"]
        hosts = [] if named else ["name the hosts that clients may use with --allowed-host"]
        raise SettingError(
            f"{host} can be reached from other machines: {' and '.join(token + hosts)}, "
            "or serve at 127.0.0.1"
        )
    return rules


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class AccessControl:
    """Lets a request through to `app` with its `token` in the state, or answers it."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._room = RequestCapacity(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await (self._refused(scope) or self._room)(scope, receive, send)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = _authority(f"http://{hosts[0]}") if len(hosts) == 1 else None
        if host is None or host[0] not in self._rules.hosts:
            return PlainTextResponse(
                "This Host is not served here: name it with --allowed-host", 421
            )
        ours = {(name, host[1]) for name in self._rules.hosts}  # this very server, by all its names
        if not ours.issuperset(map(_authority, headers.getlist("origin"))):
            return PlainTextResponse("A page of another origin cannot call this server", 403)
        token: Token | None = None
        if self._rules.asks_token(scope["path"]):
            token = self._rules.token(_bearer(headers.getlist("authorization")))
            if token is None:
                said = "Send the token of FLEX_MCP_TOKEN as Authorization: Bearer TOKEN"
                return PlainTextResponse(said, 401, {"WWW-Authenticate": "Bearer"})
        scope.setdefault("state", {})["token"] = token
        return None


def _authority(url: str) -> tuple[str, int | None] | None:
    """Host and port of an address that names nothing else; no port where it is the usual one."""
    if not url.startswith(("http://", "https://")):
        return None
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return None
    if not host or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return host, None if port in USUAL_PORTS else port


def _bearer(values: Sequence[str]) -> bytes:
    kind, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip(" ").encode("latin-1") if kind.lower() == "bearer" else b""
