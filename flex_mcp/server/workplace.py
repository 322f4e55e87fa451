"""In which project a client works: over stdio that of our folder, over HTTP what a header says.

Where our folder names none, the client's roots may: it is asked for them once, where it offers them
(spec 2025-11-25, client/roots; since 2026-07-28 an input that a call asks for).
"""

from contextvars import ContextVar
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import Context
from mcp_types import ListRootsRequest, ListRootsResult
from starlette.requests import Request

from flex_mcp.app import App
from flex_mcp.errors import InputError
from flex_mcp.models import Projects, clean_project, with_general
from flex_mcp.models.vocabulary import PROJECT_LIMIT
from flex_mcp.projects import project_of_uri
from flex_mcp.server import sdk
from flex_mcp.server.client_requests import Question, Replies, can_be_asked

HEADER = "flex-mcp-project"
ROOTS = "roots"  # the key of the question
PATIENCE = 5.0  # seconds for an answer that no person gives


class Workplace:
    """Where the clients of a server work."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._request = ContextVar[object]("request", default=None)  # which is under way here
        self._asked = False
        self._of_roots: str | None = None  # of the one client over stdio

    @property
    def project(self) -> str | None:
        """The project of the request that is under way.

        Raises:
            SettingError: FLEX_MCP_PROJECT cannot be a name.
            InputError: the header cannot be one.
        """
        request = self._request.get()
        if not isinstance(request, Request):
            return self._app.project or self._of_roots
        name = clean_project(request.headers.get(HEADER))
        if name and len(name) > PROJECT_LIMIT:
            raise InputError(
                f"the header {HEADER} has more than {PROJECT_LIMIT} characters: shorten the name"
            )
        return name

    @property
    def projects(self) -> Projects:
        """The projects whose lessons it may see; raises what `project` does."""
        return with_general(self.project)

    def question(self, context: Context[Any, Any]) -> Question | None:
        """What to ask a client that may know what our folder does not say."""
        offered = context.client_capabilities and context.client_capabilities.roots
        local = not isinstance(context.request_context.request, Request)
        if self._asked or not (offered and local and can_be_asked(context)) or self._app.is_placed:
            return None
        return Question(ROOTS, ListRootsRequest(), ListRootsResult, PATIENCE)

    def take(self, replies: Replies) -> Replies:
        """Keep the roots among a client's replies; the others are given back."""
        if ROOTS in replies:
            self._asked = True
            answer = replies[ROOTS]
            roots = answer.roots if isinstance(answer, ListRootsResult) else ()
            found = (clean_project(project_of_uri(str(root.uri))) for root in roots)
            self._of_roots = next(filter(None, found), None)
        return {key: reply for key, reply in replies.items() if key != ROOTS}

    async def watch(self, ctx: sdk.RequestContext, call_next: CallNext) -> HandlerResult:
        """Every request passes here; the roots are asked for again once they have changed."""
        if ctx.method == "notifications/roots/list_changed":
            self._asked = False
        token = self._request.set(ctx.request)
        try:
            return await call_next(ctx)
        finally:
            self._request.reset(token)
