"""Our server with the fixtures that the official conformance suite calls by name.

`scripts/conformance` starts it and runs the suite. It is what `serve --transport http` serves, with
the fixtures added; of ours only the list of resources is wrapped, as the database makes it.
"""

import base64
import json
import warnings
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from mcp import MCPDeprecationWarning
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.mcpserver import Context, Elicit, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListResourcesResult,
    ListRootsRequest,
    ListRootsResult,
    PaginatedRequestParams,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel

from flex_mcp.app import App
from flex_mcp.server.sdk import lowlevel
from flex_mcp.server.server import build_server
from flex_mcp.settings import Transport
from flex_mcp.transports import http

Calling = Context[Any, Any]
Request = ServerRequestContext[Any, Any]

FIXTURE = "A fixture of the conformance suite."

PIXEL = (  # a PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="  # a WAV
PICTURE = ImageContent(type="image", data=PIXEL, mime_type="image/png")

DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
STATES, RIGHTS = ["active", "inactive", "pending"], ["read", "write", "execute"]
TITLED = [{"const": one, "title": one.title()} for one in ("low", "medium", "high")]
ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": STATES},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {"type": "string", "enum": STATES, "enumNames": [*map(str.title, STATES)]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": RIGHTS}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}


def mount(server: MCPServer[Any]) -> None:
    """Add the fixtures to a server."""
    for tool in TOOLS:
        server.add_tool(tool, description=FIXTURE)
    for name, tool in TWINS.items():
        server.add_tool(tool, name=name, description=FIXTURE)
    for prompt in PROMPTS:
        server.prompt(description=FIXTURE)(prompt)
    for uri, (mime_type, read) in RESOURCES.items():
        server.resource(uri, mime_type=mime_type)(read)
    accept_levels(server)
    list_fixtures_too(server)


def accept_levels(server: MCPServer[Any]) -> None:
    """Answer logging/setLevel, which our server does without."""

    async def accept(_ctx: Request, _params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    lowlevel(server).add_request_handler("logging/setLevel", SetLevelRequestParams, accept)


def list_fixtures_too(server: MCPServer[Any]) -> None:
    """Put the fixtures before the first page of our own resources."""
    ours = lowlevel(server).get_request_handler("resources/list")
    assert ours is not None
    handler: Callable[..., Awaitable[Any]] = ours.handler

    async def both(ctx: Request, params: PaginatedRequestParams | None) -> ListResourcesResult:
        page: ListResourcesResult = await handler(ctx, params)
        if params is not None and params.cursor:
            return page
        listed = {one.uri for one in page.resources}
        fixtures = [one for one in await server.list_resources() if one.uri in RESOURCES]
        missing = [one for one in fixtures if one.uri not in listed]
        return page.model_copy(update={"resources": [*missing, *page.resources]})

    lowlevel(server).add_request_handler("resources/list", PaginatedRequestParams, both)


# Each kind of content


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(type="resource", resource=contents)


def test_simple_text() -> str:
    return "This is a simple text response for testing."


def test_image_content() -> list[ImageContent]:
    return [PICTURE]


def test_audio_content() -> list[AudioContent]:
    return [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]


def test_embedded_resource() -> list[EmbeddedResource]:
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    data = json.dumps({"test": "data", "value": 123})
    return [
        TextContent(type="text", text="Multiple content types test:"),
        PICTURE,
        embedded("test://mixed-content-resource", data, "application/json"),
    ]


def test_error_handling() -> str:
    raise ToolError("This tool intentionally returns an error for testing")


# Telling the client something during a call


async def test_tool_with_logging(ctx: Calling) -> str:
    for message in ("started", "processing data", "completed"):
        await ctx.info(f"Tool execution {message}")  # pyright: ignore[reportDeprecated]
    return "Tool with logging executed successfully"


async def test_tool_with_progress(ctx: Calling) -> str:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
    return "Tool with progress executed successfully"


async def test_trigger_tool_change(ctx: Calling) -> str:
    await ctx.notify_tools_changed()
    return "Tools changed"


async def test_trigger_prompt_change(ctx: Calling) -> str:
    await ctx.notify_prompts_changed()
    return "Prompts changed"


# Asking the client in the middle of a call (in the newer era, through the answers)


class Person(BaseModel):
    username: str
    email: str


def ask(prompt: str) -> Sample:
    content = TextContent(type="text", text=prompt)
    return Sample([SamplingMessage(role="user", content=content)], max_tokens=100)


def ask_whatever() -> Sample:
    return ask("Is anybody there?")


def ask_person() -> Elicit[Person]:
    return Elicit("Please say who you are", Person)


def test_sampling(prompt: str, said: Annotated[CreateMessageResult, Resolve(ask)]) -> str:
    return f"LLM response to {prompt!r}: {said.content}"


def test_missing_capability(said: Annotated[CreateMessageResult, Resolve(ask_whatever)]) -> str:
    return f"LLM response: {said.content}"


def test_elicitation(message: str, person: Annotated[Person, Resolve(ask_person)]) -> str:
    return f"User response to {message!r}: {person.model_dump_json()}"


def test_streaming_elicitation(person: Annotated[Person, Resolve(ask_person)]) -> str:
    return f"User response: {person.model_dump_json()}"


async def test_elicitation_sep1034_defaults(ctx: Calling) -> str:
    return await filled_in(ctx, DEFAULTS)


async def test_elicitation_sep1330_enums(ctx: Calling) -> str:
    return await filled_in(ctx, ENUMS)


async def filled_in(ctx: Calling, fields: dict[str, Any]) -> str:
    schema: dict[str, Any] = {"type": "object", "properties": fields, "required": []}
    result = await ctx.session.elicit_form("Please fill this in", schema, ctx.request_id)
    return f"Elicitation completed: action={result.action}, content={json.dumps(result.content)}"


# Ending in a question, and being called again with the answer


def form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field: {"type": kind}},
        "required": [field],
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def question(text: str, max_tokens: int) -> CreateMessageRequest:
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[asked], max_tokens=max_tokens)
    )


NAME = form("What is your name?", "name")
OK = form("Please confirm", "ok", "boolean")
STEP_1 = form("Step 1: What is your name?", "name")
STEP_2 = form("Step 2: What is your favorite color?", "color")
CONTEXT = form("What context should the prompt use?", "context")
CAPITAL = question("What is the capital of France?", 100)
GREETING = question("Generate a greeting", 50)


def replied(ctx: Calling, key: str) -> object:
    return (ctx.input_responses or {}).get(key)


def filled(ctx: Calling, key: str, field: str) -> object:
    """What a person wrote in that field of that form; None where there is no such answer."""
    reply = replied(ctx, key)
    if isinstance(reply, ElicitResult) and reply.action == "accept" and reply.content:
        return reply.content.get(field)
    return None


def required(state: str | None = None, /, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def test_input_required_result_elicitation(ctx: Calling) -> str | InputRequiredResult:
    name = filled(ctx, "user_name", "name")
    return f"Hello, {name}!" if isinstance(name, str) else required(user_name=NAME)


def test_input_required_result_sampling(ctx: Calling) -> str | InputRequiredResult:
    said = replied(ctx, "capital_question")
    if isinstance(said, CreateMessageResult):
        return f"The model said: {said.content}"
    return required(capital_question=CAPITAL)


def test_input_required_result_list_roots(ctx: Calling) -> str | InputRequiredResult:
    found = replied(ctx, "client_roots")
    if isinstance(found, ListRootsResult):
        return f"Roots: {[str(root.uri) for root in found.roots]}"
    return required(client_roots=ListRootsRequest())


def test_input_required_result_request_state(ctx: Calling) -> str | InputRequiredResult:
    if ctx.request_state == "asked" and filled(ctx, "confirm", "ok") is not None:
        return "state-ok"
    return required("asked", confirm=OK)


def test_input_required_result_multiple_inputs(ctx: Calling) -> str | InputRequiredResult:
    if all(replied(ctx, key) for key in ("user_name", "greeting", "client_roots")):
        return f"All of them answered, in the state {ctx.request_state!r}"
    return required("asked", user_name=NAME, greeting=GREETING, client_roots=ListRootsRequest())


def test_input_required_result_multi_round(ctx: Calling) -> str | InputRequiredResult:
    if ctx.request_state == "step 2" and (color := filled(ctx, "step2", "color")):
        return f"Favorite color: {color}"
    if ctx.request_state == "step 1" and filled(ctx, "step1", "name"):
        return required("step 2", step2=STEP_2)
    return required("step 1", step1=STEP_1)


def test_input_required_result_capabilities(ctx: Calling) -> InputRequiredResult:
    offered = ctx.client_capabilities or ClientCapabilities()
    requests: dict[str, InputRequest] = {}
    if offered.elicitation is not None:
        requests["user_name"] = NAME
    if offered.sampling is not None:
        requests["capital_question"] = CAPITAL
    return required(**requests)


def test_input_required_result_prompt(ctx: Calling) -> str | InputRequiredResult:
    context = filled(ctx, "user_context", "context")
    return f"Prompt in the context of {context}" if context else required(user_context=CONTEXT)


# Prompts and resources


def test_simple_prompt() -> str:
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(
    resourceUri: str,  # noqa: N803  the suite's name
) -> list[UserMessage]:
    resource = embedded(resourceUri, "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    return [UserMessage(PICTURE), UserMessage("Please analyze the image above.")]


def static_text() -> str:
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    return base64.b64decode(PIXEL)


def template(id: str) -> str:  # noqa: A002  the suite's name
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def watched() -> str:
    return "Watched resource content"


TOOLS: tuple[Callable[..., Any], ...] = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_logging,
    test_tool_with_progress,
    test_trigger_tool_change,
    test_trigger_prompt_change,
    test_sampling,
    test_missing_capability,
    test_elicitation,
    test_streaming_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
)
TWINS: dict[str, Callable[..., Any]] = {
    "test_logging_tool": test_tool_with_logging,
    "test_input_required_result_tampered_state": test_input_required_result_request_state,
}
PROMPTS: tuple[Callable[..., Any], ...] = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)
RESOURCES: dict[str, tuple[str, Callable[..., str | bytes]]] = {
    "test://static-text": ("text/plain", static_text),
    "test://static-binary": ("image/png", static_binary),
    "test://template/{id}/data": ("application/json", template),
    "test://watched-resource": ("text/plain", watched),
}


def with_fixtures(app: App) -> MCPServer[Any]:
    server = build_server(app)
    mount(server)
    return server


def main() -> None:
    """Serve as `flex-mcp serve --transport http --port 0` does, until a signal comes."""
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # the older revision asks for logging
    http.build_server = with_fixtures
    http.serve_http(App(), Transport.HTTP, host="127.0.0.1", port=0)


if __name__ == "__main__":
    main()
