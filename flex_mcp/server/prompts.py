"""Prompts: ways of working with the library that a person starts.

Their texts are files in `prompts/`; what they tell of the library comes along as embedded
resources: data, whatever it says.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, EmbeddedResource, Prompt, TextResourceContents
from pydantic import Field

from flex_mcp.app import App
from flex_mcp.safety.quoting import named
from flex_mcp.server import sdk
from flex_mcp.server.caller import client_name
from flex_mcp.server.limits import refusing
from flex_mcp.server.workplace import Workplace
from flex_mcp.tools import prompts
from flex_mcp.tools.prompts import Guide
from flex_mcp.tools.tools import Caller

Task = Annotated[str, Field(description="The task, as it was given.")]
About = Annotated[str | None, Field(description="Which task of the conversation; default: all.")]
Domain = Annotated[str | None, Field(description="Only this domain, such as python/packaging.")]


def add_prompts(server: MCPServer[Any], app: App, workplace: Workplace) -> None:
    """Serve the three prompts."""

    @server.prompt(title="Solve a task with experience")
    def solve_with_experience(task: Task, ctx: Context[Any, Any]) -> list[Message]:
        """Search the library for a task, plan, heed the warnings, work, and record how it went."""
        name = client_name(ctx)
        return _messages(lambda: prompts.solve(app, task, Caller(name, project=workplace.project)))

    @server.prompt(title="Reflect on this conversation")
    def reflect(task: About = None) -> list[Message]:
        """Record this conversation as a trajectory, and turn it into lessons."""
        return _messages(lambda: prompts.reflect(app, task))

    @server.prompt(title="Review the library")
    def review_library(ctx: Context[Any, Any], domain: Domain = None) -> list[Message]:
        """Find duplicates, contradictions and stale lessons, and mend them with the user."""
        caller = Caller(client_name(ctx))
        return _messages(lambda: prompts.review(app, domain, caller, workplace.projects))

    async def check(ctx: sdk.RequestContext, call_next: CallNext) -> HandlerResult:
        if ctx.method == "prompts/get":
            _check(await server.list_prompts(), ctx.params or {})
        return await call_next(ctx)

    sdk.watch_requests(server, check)


def _check(prompts: list[Prompt], params: Mapping[str, Any]) -> None:
    """Refuse what the SDK would answer as a fault of ours: it knows no -32602 for prompts.

    Raises:
        MCPError: there is no such prompt, or it takes other arguments.
    """
    name = params.get("name")
    given = cast("dict[str, object]", params.get("arguments") or {})
    if not isinstance(name, str) or type(given) is not dict:
        return  # no request at all, which the SDK says
    known = {one.name: one.arguments or [] for one in prompts}
    if name not in known:
        raise _invalid(f"there is no prompt {named(name)}: it is one of {', '.join(known)}")
    takes = {one.name: one.required for one in known[name]}
    for one in given:
        if one not in takes:
            raise _invalid(
                f"{name} takes no {named(one)}: it takes {', '.join(takes) or 'nothing'}"
            )
    for one, required in takes.items():
        if required and one not in given:
            raise _invalid(f"{name} needs {one}: give it as an argument")


def _invalid(sentence: str) -> MCPError:
    return MCPError(code=INVALID_PARAMS, message=sentence)


@refusing()
def _messages(guide: Callable[[], Guide]) -> list[Message]:
    made = guide()
    resources = (
        TextResourceContents(uri=uri, mime_type=mime_type, text=text)
        for uri, mime_type, text in made.data
    )
    embedded = (EmbeddedResource(type="resource", resource=one) for one in resources)
    return [UserMessage(made.text), *map(UserMessage, embedded)]
