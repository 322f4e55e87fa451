"""The story of test_story.py, told through LangChain's adapters for the older SDK.

scripts/clients installs those in an environment of their own and runs

    python story_langchain.py STORY.json URL
    python story_langchain.py STORY.json COMMAND ARGUMENT…
"""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.resources import get_mcp_resource
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp.types import ResourceListChangedNotification, ResourceUpdatedNotification


async def tell(story: dict[str, Any], target: list[str]) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def listen(message: object) -> None:
        change = getattr(message, "root", None)
        if isinstance(change, ResourceListChangedNotification | ResourceUpdatedNotification):
            heard.put_nowait(change)

    client = MultiServerMCPClient({"flex-mcp": connection(target, listen)})
    async with client.session("flex-mcp") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}

        async def answer(name: str, **arguments: Any) -> dict[str, Any]:
            call = {"type": "tool_call", "id": "1", "name": name, "args": arguments}
            message = await tools[name].ainvoke(call)
            assert message.status == "success", message
            return message.artifact["structured_content"]

        async def read(uri: str) -> str:
            (blob,) = await get_mcp_resource(session, uri)
            return blob.as_string()

        found = await answer("search_experience", query=story["trajectory"]["task"])
        assert found["nothing_relevant"]
        recorded = await answer("record_trajectory", **story["trajectory"])
        brief = await answer("distill")
        assert [one["id"] for one in brief["trajectories"]] == [recorded["trajectory_id"]]
        saved = await answer("save_lessons", brief_id=brief["brief_id"], lessons=[story["lesson"]])
        (decision,) = saved["decisions"]
        assert decision["decision"] == "add", decision
        assert isinstance(await soon(heard), ResourceListChangedNotification)

        id_ = decision["experience_id"]
        found = await answer("search_experience", query=story["next_task"])
        assert [hit["id"] for hit in found["hits"]] == [id_]
        uri = f"flex://experience/{id_}"
        assert story["lesson"]["lesson"] in await read(uri)
        await session.subscribe_resource(uri)
        fields = {"lesson": story["edit"]}
        await answer("curate_experience", id=id_, action="edit", fields=fields, reason="shorter")
        change = await soon(heard)
        assert isinstance(change, ResourceUpdatedNotification), change
        assert str(change.params.uri) == uri
        assert story["edit"] in await read(uri)


def connection(target: list[str], listen: Any) -> Any:
    heard = {"session_kwargs": {"message_handler": listen}}
    if target[0].startswith("http"):
        return heard | {"transport": "streamable_http", "url": target[0]}
    command, *arguments = target
    environment = dict(os.environ)  # noqa: TID251  the script's, passed on
    return heard | {
        "transport": "stdio",
        "command": command,
        "args": arguments,
        "env": environment,
    }


async def soon(heard: "asyncio.Queue[Any]") -> Any:
    return await asyncio.wait_for(heard.get(), 60)


if __name__ == "__main__":
    asyncio.run(tell(json.loads(Path(sys.argv[1]).read_text("utf-8")), sys.argv[2:]))
