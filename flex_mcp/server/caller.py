"""Who calls, and with which rights."""

from functools import lru_cache
from typing import Any

from mcp.server.mcpserver import Context
from starlette.requests import Request

from flex_mcp.safety.quoting import one_line
from flex_mcp.safety.redaction import redact
from flex_mcp.server.limits import MAX_NAME
from flex_mcp.settings import Access


def client_name(context: Context[Any, Any]) -> str:
    """Who calls, as the client names itself."""
    params = context.request_context.session.client_params
    if params is None:
        return "mcp"
    return _stored(f"{params.client_info.name} {params.client_info.version}")


@lru_cache
def _stored(name: str) -> str:
    """A name as it is kept with all that the client does."""
    return redact(one_line(name)[:MAX_NAME])[0]


def only_reads(context: Context[Any, Any]) -> bool:
    """Whether the token of an HTTP request only reads; over stdio nobody needs one."""
    request: object = context.request_context.request
    if not isinstance(request, Request):
        return False
    return request.scope.get("state", {}).get("access") is Access.READ
