"""Who calls, in which session, and with which rights."""

from typing import Any

from mcp.server.mcpserver import Context
from starlette.requests import Request

from flex_mcp.settings import Access, Token
from flex_mcp.tools.tools import STDIO, caller_name

TAKES_NO_STREAM = "takes_no_stream"  # in the state of a request over HTTP: only its answer arrives


def client_name(context: Context[Any, Any]) -> str:
    """Who calls, as the client names itself; before it the name of its token, if that has one."""
    params = context.request_context.session.client_params
    name = "mcp" if params is None else f"{params.client_info.name} {params.client_info.version}"
    name = name.replace(": ", " ")  # before that stands whose token it is
    token = _token(context.request_context.request)
    return caller_name(f"{token.name}: {name}" if token and token.name else name)


def session(context: Context[Any, Any]) -> tuple[str, bool]:
    """In which session, and whether it lasts.

    Over stdio the process is one, over HTTP each has an id; in the stateless era there is none, and
    the client's name must do.
    """
    request: object = context.request_context.request
    if not isinstance(request, Request):
        return STDIO, True
    named = request.headers.get("mcp-session-id") or request.query_params.get("session_id")
    return named or f"of {client_name(context)}", named is not None


def only_reads(request: object) -> bool:
    """Whether the token of an HTTP request only reads; over stdio nobody needs one."""
    token = _token(request)
    return token is not None and token.access is Access.READ


def takes_questions(request: object) -> bool:
    """Whether a client can be asked something before it has the answer to this request."""
    return not _state(request).get(TAKES_NO_STREAM)


def _token(request: object) -> Token | None:
    return _state(request).get("token")


def _state(request: object) -> dict[str, Any]:
    return request.scope.get("state", {}) if isinstance(request, Request) else {}
