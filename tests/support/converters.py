"""The tools' schemas through the converters of other vendors' libraries, strict modes included.

scripts/clients installs those in an environment of their own and runs

    python converters.py COMMAND ARGUMENT…
"""
# pyright: basic, reportMissingImports=false

import asyncio
import copy
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from agents.mcp import MCPServerStdio, MCPUtil
from agents.strict_schema import ensure_strict_json_schema
from google.genai import types
from google.genai._mcp_utils import mcp_to_gemini_tools
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic_ai.profiles.google import GoogleJsonSchemaTransformer
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

# What a strict function of OpenAI's may hold, of what ours could: it refuses a request for others.
STRICT = {"type", "properties", "required", "items", "enum", "description", "additionalProperties"}

Schema = dict[str, Any]
Tool = Any  # of the older SDK, which these libraries bring


def gemini(tool: Tool) -> Schema:
    """As `tools=[session]` does it, and as one who hands the schema on as it is."""
    types.Schema.model_validate(tool.inputSchema)
    (declared,) = mcp_to_gemini_tools([tool])[0].function_declarations
    return declared.parameters.model_dump(mode="json", exclude_none=True)


def agents(tool: Tool) -> Schema:
    server = MCPServerStdio({"command": "none"})
    function = MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=True)
    assert function.strict_json_schema, "it is not strict"
    return function.params_json_schema


def agents_lenient(tool: Tool) -> Schema:
    server = MCPServerStdio({"command": "none"})
    function = MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=False)
    return function.params_json_schema


def agents_own(tool: Tool) -> Schema:
    return ensure_strict_json_schema(copy.deepcopy(tool.inputSchema))


def pydantic_ai(tool: Tool) -> Schema:
    return OpenAIJsonSchemaTransformer(tool.inputSchema, strict=True).walk()


def pydantic_ai_google(tool: Tool) -> Schema:
    return GoogleJsonSchemaTransformer(tool.inputSchema).walk()


def langchain(tool: Tool) -> Schema:
    made = convert_mcp_tool_to_langchain_tool(None, tool, connection={"transport": "stdio"})
    return convert_to_openai_tool(made, strict=True)["function"]["parameters"]


LENIENT = gemini, agents_lenient, pydantic_ai_google
FOR_STRICT = agents, agents_own, pydantic_ai, langchain


async def convert(command: str, *arguments: str) -> None:
    environment = dict(os.environ)  # noqa: TID251  the script's, passed on
    server = StdioServerParameters(command=command, args=[*arguments], env=environment)
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
    assert len(tools) == 7, tools
    for tool in tools:
        for converter in (*LENIENT, *FOR_STRICT):
            check(tool, converter, strict=converter in FOR_STRICT)


def check(tool: Tool, converter: Callable[[Tool], Schema], *, strict: bool) -> None:
    """All arguments survive with their choices; what is strict has no keyword that is refused."""
    where = f"{converter.__name__}, {tool.name}"
    made = converter(tool)
    assert arguments(made) == arguments(tool.inputSchema), where
    for node in nodes(made) if strict else ():
        assert node.keys() <= STRICT, f"{where}: {node.keys() - STRICT}"
        if "properties" in node:
            assert node["additionalProperties"] is False, where
            assert set(node["required"]) == node["properties"].keys(), where


def arguments(schema: Schema, path: str = "") -> set[tuple[str, str, tuple[str, ...]]]:
    """Each argument with its type and its choices, those within others too."""
    found = {(path, str(schema["type"]).lower(), tuple(schema.get("enum", ())))}
    for name, one in schema.get("properties", {}).items():
        found |= arguments(one, f"{path}.{name}")
    return found | (arguments(schema["items"], f"{path}[]") if "items" in schema else set())


def nodes(schema: Schema) -> Iterator[Schema]:
    yield schema
    for inner in (*schema.get("properties", {}).values(), schema.get("items")):
        if inner:
            yield from nodes(inner)


if __name__ == "__main__":
    asyncio.run(convert(*sys.argv[1:]))
