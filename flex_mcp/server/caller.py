"""Who calls, and with which rights."""

from typing import Any

from mcp.server.mcpserver import Context
from starlette.requests import Request

from flex_mcp.settings import Access
from flex_mcp.tools.tools import STDIO, caller_name


def client_name(context: Context[Any, Any]) -> str:
    """Who calls, as the client names itself."""
    params = context.request_context.session.client_params
    if params is None:
        return "mcp"
    return caller_name(params.client_info.name, params.client_info.version)


def session(context: Context[Any, Any]) -> tuple[str, bool]:
    """In which session, and whether it lasts.

    Over stdio the process is one, over HTTP each has an id; in the stateless era there is none, and
    the client's name must do.
    """
    request: object = context.request_context.request
    if not isinstance(request, Request):
        return STDIO, True
    named = request.headers.get("mcp-session-id") or request.query_params.get("session_id")
    return (named, True) if named else (f"of {client_name(context)}", False)


def only_reads(context: Context[Any, Any]) -> bool:
    """Whether the token of an HTTP request only reads; over stdio nobody needs one."""
    request: object = context.request_context.request
    if not isinstance(request, Request):
        return False
    return request.scope.get("state", {}).get("access") is Access.READ
