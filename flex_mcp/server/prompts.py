"""Prompts: ways of working with the library that a person starts.

Their texts are files in `prompts/`; what they tell of the library comes along as embedded
resources: data, whatever it says.
"""

from collections.abc import Callable
from typing import Annotated, Any, ParamSpec

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, EmbeddedResource, TextResourceContents
from pydantic import Field

from flex_mcp import guides
from flex_mcp.app import App
from flex_mcp.errors import FlexError, InputError
from flex_mcp.guides import Guide
from flex_mcp.server.caller import client_name

P = ParamSpec("P")
Task = Annotated[str, Field(description="The task, as it was given.")]
About = Annotated[str | None, Field(description="Which task of the conversation; default: all.")]
Domain = Annotated[str | None, Field(description="Only this domain, such as python/packaging.")]


def add_prompts(server: MCPServer[Any], app: App) -> None:
    """Serve the three prompts."""

    @server.prompt(title="Solve a task with experience")
    def solve_with_experience(task: Task, ctx: Context[Any, Any]) -> list[Message]:
        """Search the library for a task, plan, heed the warnings, work, and record how it went."""
        return _messages(guides.solve, app, task, client_name(ctx))

    @server.prompt(title="Reflect on this conversation")
    def reflect(task: About = None) -> list[Message]:
        """Record this conversation as a trajectory, and turn it into lessons."""
        return _messages(guides.reflect, app, task)

    @server.prompt(title="Review the library")
    def review_library(domain: Domain = None) -> list[Message]:
        """Find duplicates, contradictions and stale lessons, and mend them with the user."""
        return _messages(guides.review, app, domain)


def _messages(guide: Callable[P, Guide], *args: P.args, **kwargs: P.kwargs) -> list[Message]:
    try:
        made = guide(*args, **kwargs)
    except FlexError as error:
        code = INVALID_PARAMS if isinstance(error, InputError) else INTERNAL_ERROR
        raise MCPError(code=code, message=str(error)) from error
    return [UserMessage(made.text), *(UserMessage(_embedded(*one)) for one in made.data)]


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(
        type="resource",
        resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text),
    )
