"""The seven tools as the SDK serves them, with their schemas and hints."""

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field, InstanceOf

from flex_mcp.app import App
from flex_mcp.errors import FlexError
from flex_mcp.learning.briefing import SaveArguments
from flex_mcp.learning.llm import ReplyPending
from flex_mcp.safety.quoting import visible
from flex_mcp.server import client_requests, sdk
from flex_mcp.server.caller import client_name, only_reads, session
from flex_mcp.server.change_feed import ChangeFeed
from flex_mcp.server.limits import patient
from flex_mcp.server.workplace import Workplace
from flex_mcp.tools import answers, tools
from flex_mcp.tools.answers import Answer
from flex_mcp.tools.arguments import (
    CurateArguments,
    DistillArguments,
    GetArguments,
    RecordArguments,
    ReportArguments,
    SearchArguments,
)
from flex_mcp.tools.consent import ConsentPending
from flex_mcp.tools.tools import Caller
from flex_mcp.validation import checked, published

if TYPE_CHECKING:
    from flex_mcp.server.description import Schemas

Call = Callable[[App, Any, Caller], Answer]


class LibraryTool(Tool):
    """A tool whose arguments are checked in our words, and whose answer has both forms.

    `MCPServer` would check with Pydantic's words, let unknown arguments pass, and refuse a whole
    call for one malformed lesson. One that asks the client's model or the person before it is run
    again with the reply.
    """

    before: Callable[[], Awaitable[None]] = Field(exclude=True)
    workplace: InstanceOf[Workplace] = Field(exclude=True)

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002, FBT001, FBT002  the SDK's signature
    ) -> CallToolResult | InputRequiredResult:
        reads = only_reads(context.request_context.request)
        if reads and self.annotations != READS:
            return _refusal(f"this token only reads: {self.name} needs one that writes")
        await self.before()
        replies: client_requests.Replies = context.input_responses or {}
        threads = patient if self.annotations == ASKS else None
        while True:
            replies = self.workplace.take(replies)
            try:
                question = self.workplace.question(context)
                if question is None:
                    caller = self._caller(context, replies, lasts=not reads)
                    answer: Answer = await anyio.to_thread.run_sync(
                        self.fn, arguments, caller, limiter=threads
                    )
                    text = TextContent(type="text", text=answer.text)
                    return CallToolResult(content=[text], structured_content=answer.content)
            except (ReplyPending, ConsentPending) as pending:
                question = client_requests.question(pending)
            except FlexError as error:
                return _refusal(str(error))
            if client_requests.by_rounds(context):
                return InputRequiredResult(input_requests={question.key: question.request})
            replies = {question.key: await client_requests.asked(context, question)}

    def _caller(
        self, context: Context[Any, Any], replies: client_requests.Replies, *, lasts: bool
    ) -> Caller:
        name, stays = session(context)
        return Caller(
            client_name(context),
            name,
            lasts=stays and lasts,
            project=self.workplace.project,
            model=client_requests.client_model(context, replies),
            person=client_requests.AskedPerson(context, replies),
        )


def _refusal(sentence: str) -> CallToolResult:
    text = TextContent(type="text", text=visible(sentence))
    return CallToolResult(content=[text], is_error=True)


READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ASKS = ToolAnnotations(  # a model elsewhere, where the user set one up
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
)

# What Claude Code wants to know: how many characters it may show, twice what an answer can have and
# so without its limit on tokens; and which tool is to be there from the beginning.
SHOWN: dict[str, Any] = {"anthropic/maxResultSizeChars": 2 * answers.DETAILED_LIMIT}
LOADED: dict[str, Any] = {"anthropic/alwaysLoad": True}

# Function, what it takes, what it answers, title, hints.
TOOLS: tuple[tuple[Call, type, type, str, ToolAnnotations], ...] = (
    (tools.search_experience, SearchArguments, answers.SearchAnswer, "Search experience", READS),
    (tools.get_experience, GetArguments, answers.GetAnswer, "Read experiences", READS),
    (tools.record_trajectory, RecordArguments, answers.RecordAnswer, "Record a trajectory", ADDS),
    (tools.distill, DistillArguments, answers.DistillAnswer, "Distil lessons", ASKS),
    (tools.save_lessons, SaveArguments, answers.SaveAnswer, "Save lessons", CHANGES),
    (tools.report_outcome, ReportArguments, answers.ReportAnswer, "Report an outcome", ADDS),
    (
        tools.curate_experience,
        CurateArguments,
        answers.CurateAnswer,
        "Curate an experience",
        CHANGES,
    ),
)


async def listed_by_rights(ctx: sdk.RequestContext, call_next: CallNext) -> HandlerResult:
    """A token that only reads lists what it may call; nobody else may be told that answer."""
    result = await call_next(ctx)
    if ctx.method != "tools/list" or not only_reads(ctx.request):
        return result
    if isinstance(result, BaseModel):
        result = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    allowed = {function.__name__ for function, *_, hints in TOOLS if hints is READS}
    whole = dict(result or {})
    whole["tools"] = [tool for tool in whole["tools"] if tool["name"] in allowed]
    return whole | ({"cacheScope": "private"} if "cacheScope" in whole else {})


def library_tools(
    app: App, feed: ChangeFeed, workplace: Workplace, schemas: "Schemas"
) -> list[Tool]:
    """All seven, on one library, with the schemas of these names."""
    return [
        LibraryTool(
            fn=functools.partial(_called, function, takes, app),
            before=feed.begin,
            workplace=workplace,
            name=function.__name__,
            title=title,
            description=" ".join((function.__doc__ or "").split()),
            parameters=schemas[function.__name__][0],
            fn_metadata=FuncMetadata(
                arg_model=ArgModelBase, output_schema=schemas[function.__name__][1]
            ),
            is_async=False,
            context_kwarg=None,
            annotations=hints,
            meta=SHOWN | (LOADED if function is tools.search_experience else {}),
        )
        for function, takes, _, title, hints in TOOLS
    ]


def _called(
    function: Call, takes: type, app: App, arguments: dict[str, Any], caller: Caller
) -> Answer:
    return function(app, checked(takes, arguments), caller)


def live_schemas() -> "Schemas":
    """By the name of a tool its schemas, made of its types now."""
    return {
        function.__name__: (published(takes), published(gives))
        for function, takes, gives, _, _ in TOOLS
    }
