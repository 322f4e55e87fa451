"""Who calls, and with which rights."""

from typing import Any

from mcp.server.mcpserver import Context
from starlette.requests import Request

from flex_mcp.settings import Access
from flex_mcp.tools.tools import caller_name


def client_name(context: Context[Any, Any]) -> str:
    """Who calls, as the client names itself."""
    params = context.request_context.session.client_params
    if params is None:
        return "mcp"
    return caller_name(params.client_info.name, params.client_info.version)


def only_reads(context: Context[Any, Any]) -> bool:
    """Whether the token of an HTTP request only reads; over stdio nobody needs one."""
    request: object = context.request_context.request
    if not isinstance(request, Request):
        return False
    return request.scope.get("state", {}).get("access") is Access.READ
