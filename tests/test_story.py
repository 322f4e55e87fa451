"""One story over every transport, in both protocol eras, told by the SDK's client.

The same story is told by the TypeScript client (story.mjs) and through LangChain's adapters
(story_langchain.py); scripts/clients runs those.
"""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPDeprecationWarning, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import ResourceListChangedNotification, ResourceUpdatedNotification
from support.client import answer
from support.patience import PATIENCE

pytestmark = [pytest.mark.process, pytest.mark.anyio]

STORY: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "story.json").read_text("utf-8")
)
ERAS = [pytest.param("auto", id="2026-07-28"), pytest.param("legacy", id="2025-11-25")]
WHOLE_LIST = "the list"

Transport = Literal["stdio", "sse", "streamable-http"]
Next = Callable[[], Awaitable[object]]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "sse", "streamable-http"])
async def test_what_one_session_learned_is_found_read_and_heard_of(
    tmp_path: Path, transport: Transport, era: Any
) -> None:
    async with connected(tmp_path / "library.db", transport, era) as (client, heard):
        learned = await learn(client, heard)
        await correct(client, heard, learned)


async def learn(client: Client, heard: Next) -> str:
    """The experience that came of a trajectory."""
    found = await answer(client, "search_experience", query=STORY["trajectory"]["task"])
    assert found["nothing_relevant"]
    recorded = await answer(client, "record_trajectory", **STORY["trajectory"])
    brief = await answer(client, "distill")
    assert [one["id"] for one in brief["trajectories"]] == [recorded["trajectory_id"]]

    async with hearing(client, heard) as next_change:
        lessons = [STORY["lesson"]]
        saved = await answer(client, "save_lessons", brief_id=brief["brief_id"], lessons=lessons)
        (decision,) = saved["decisions"]
        assert decision["decision"] == "add"
        assert await next_change() == WHOLE_LIST
    id_: str = decision["experience_id"]
    return id_


async def correct(client: Client, heard: Next, learned: str) -> None:
    """Find it, read it, change it and hear of that."""
    found = await answer(client, "search_experience", query=STORY["next_task"])
    assert [hit["id"] for hit in found["hits"]] == [learned]
    listed = {str(one.uri): one for one in (await client.list_resources()).resources}
    uri = f"flex://experience/{learned}"
    assert listed[uri].title == STORY["lesson"]["title"]
    assert STORY["lesson"]["lesson"] in await read(client, uri)

    async with hearing(client, heard, uri) as next_change:
        fields = {"lesson": STORY["edit"]}
        await answer(
            client, "curate_experience", id=learned, action="edit", fields=fields, reason="shorter"
        )
        assert await next_change() == uri
    assert STORY["edit"] in await read(client, uri)


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert content.mime_type == "text/markdown"
    return getattr(content, "text", "")


@asynccontextmanager
async def hearing(
    client: Client, heard: Next, uri: str | None = None
) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
    """What waits for the next change, of that resource or of the list of all of them."""
    if client.protocol_version == "2026-07-28":
        async with client.listen(
            resources_list_changed=uri is None, resource_subscriptions=[uri] if uri else []
        ) as events:
            yield lambda: changed(events.__anext__)
        return
    if uri is not None:
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
    yield lambda: changed(heard)


async def changed(heard: Next) -> str:
    while True:
        match await heard():
            case ResourcesListChanged() | ResourceListChangedNotification():
                return WHOLE_LIST
            case ResourceUpdated(uri=uri):
                return uri
            case ResourceUpdatedNotification(params=params):
                return str(params.uri)
            case _:
                pass


@asynccontextmanager
async def connected(
    library: Path, transport: Transport, era: Any
) -> AsyncGenerator[tuple[Client, Next]]:
    """A client of a server process, and what that says unasked in the handshake era."""
    tell, told = anyio.create_memory_object_stream[object](100)

    async def handler(message: object) -> None:
        await tell.send(message)

    with served(library, transport) as server:
        async with tell, told, Client(server, mode=era, message_handler=handler) as client:
            yield client, told.receive


@contextmanager
def served(library: Path, transport: Transport) -> Generator[Any]:
    """How a client reaches a server process of its own."""
    arguments = [
        "-P",
        "-m",
        "flex_mcp",
        "serve",
        "--library",
        str(library),
        "--transport",
        transport,
    ]
    if transport == "stdio":
        yield StdioServerParameters(command=sys.executable, args=arguments)
        return
    command = [sys.executable, *arguments, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line
            url = line.removeprefix("listening on ").strip()
            yield sse_client(f"{url}/sse") if transport == "sse" else f"{url}/mcp"
        finally:
            process.terminate()
            process.wait(PATIENCE)
