"""The committed description is what the server says of itself, with any version of the SDK."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import Client

from flex_mcp.app import App
from flex_mcp.server.description import description
from flex_mcp.server.server import build_server

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.anyio

# How schemas are put together is the SDK's and Pydantic's business, and changes with a release.
STRUCTURE = {"anyOf", "allOf", "oneOf", "$defs", "$ref", "items", "prefixItems", "type", "const"}


def statements(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """What a description says, each with its place: names, words, limits, values."""
    if isinstance(node, dict):
        for key, value in cast("dict[str, Any]", node).items():
            if key in {"type", "const"} and isinstance(value, str):
                continue
            yield from statements(value, path if key in STRUCTURE else f"{path}/{key}")
    elif isinstance(node, list):
        for item in cast("list[Any]", node):
            name = cast("dict[str, Any]", item).get("name", "") if isinstance(item, dict) else ""
            yield from statements(item, f"{path}/{name}" if name else path)
    else:
        yield path, json.dumps(node)


def test_the_description_is_made_anew_where_the_server_says_something_else() -> None:
    made = json.loads(runpy.run_path(str(ROOT / "scripts" / "describe"))["description"]())
    openings: dict[str, dict[str, int]] = made["openings"]
    now = {
        version: {method: made["results"][index] for method, index in methods.items()}
        for version, methods in openings.items()
    }
    for version in description().keys() & now.keys():
        missing = set(statements(description()[version])) ^ set(statements(now[version]))
        assert not missing, "run scripts/describe and commit flex_mcp/server/description.json"


@pytest.mark.parametrize("change", ["a word", "a limit", "a name", "a value"])
def test_any_other_word_name_limit_or_value_is_a_difference(change: str) -> None:
    said = json.dumps(description()["2025-11-25"]["tools/list"])
    old, new = {
        "a word": ("The task at hand", "The task in hand"),
        "a limit": ("At most 120 characters", "At most 121 characters"),
        "a name": ('"query"', '"question"'),
        "a value": ('"golden"', '"gold"'),
    }[change]
    assert old in said
    assert set(statements(json.loads(said))) != set(statements(json.loads(said.replace(old, new))))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_live_server_serves_the_description(mode: Any) -> None:
    async with Client(build_server(App(library="/nowhere/library.db")), mode=mode) as client:
        version = client.protocol_version
        tools, prompts = await client.list_tools(), await client.list_prompts()
    for method, answer in (("tools/list", tools), ("prompts/list", prompts)):
        got = answer.model_dump(mode="json", by_alias=True, exclude_unset=True)
        expected = description()[version][method]
        key = method.split("/")[0]
        assert got[key] == expected[key]


async def test_a_server_with_skills_describes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEX_MCP_SKILLS", "1")
    async with Client(build_server(App(library="/nowhere/library.db"))) as client:
        extensions = client.server_capabilities.extensions or {}
        assert "io.modelcontextprotocol/skills" in extensions
        assert len((await client.list_tools()).tools) >= 7
