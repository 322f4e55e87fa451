"""An MCP client of a server in this process, of either protocol era."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client
from mcp.client.session import MessageHandlerFnT, SamplingFnT
from mcp_types import CallToolResult, TextContent

from flex_mcp.app import App
from flex_mcp.server.server import build_server
from flex_mcp.settings import Settings

Era = Literal["auto", "legacy"]
ERAS = [pytest.param("auto", id="2026-07-28"), pytest.param("legacy", id="2025-11-25")]


@asynccontextmanager
async def connected(
    path: Path | str,
    era: Era = "auto",
    *,
    heard: MessageHandlerFnT | None = None,
    model: SamplingFnT | None = None,
    skills: bool = False,
) -> AsyncGenerator[Client]:
    """A client of a library's server; `heard` is told what that says unasked."""
    app = App(Settings(library=Path(path), skills=True)) if skills else App(library=str(path))
    try:
        async with Client(
            build_server(app), mode=era, message_handler=heard, sampling_callback=model
        ) as client:
            yield client
    finally:
        app.close()


def text_of(result: CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, TextContent)
    return part.text


def content_of(result: object) -> dict[str, Any]:
    """The structured content of a call that went well."""
    assert isinstance(result, CallToolResult), "it asks"
    assert not result.is_error, text_of(result)
    return result.structured_content


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    return content_of(await client.call_tool(tool, arguments))


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)
