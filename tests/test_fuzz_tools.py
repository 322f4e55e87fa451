"""Hostile clients: tool arguments. None does any harm."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp_types import TextContent
from support.fuzzing import (
    LEAKS,
    check_sentence,
    chosen,
    fuzzed,
    of_schema,
    tables,
)

from flex_mcp.app import App
from flex_mcp.demo.demo import data
from flex_mcp.server.server import build_server
from flex_mcp.server.tools import TOOLS
from flex_mcp.tools.answers import CONCISE_LIMIT, DETAILED_LIMIT
from flex_mcp.tools.arguments import SearchArguments
from flex_mcp.validation import checked, schema_of

SCHEMAS = {row[0].__name__: schema_of(row[1]) for row in TOOLS}


class Called:
    """The tools of a library that holds something, through a client in memory."""

    def __init__(self, portal: BlockingPortal, client: Client, path: Path) -> None:
        self._portal, self._client, self.path = portal, client, path
        self.ids: list[str] = ["e_aaaaaaaaaaaa"]

    def call(self, tool: str, arguments: Any) -> tuple[bool, str, Any]:
        result = self._portal.call(self._client.call_tool, tool, arguments)
        (part,) = result.content
        assert isinstance(part, TextContent)
        return result.is_error, part.text, result.structured_content

    def learn(self) -> None:
        for trajectory in data("trajectories.json"):
            _, _, made = self.call("record_trajectory", trajectory)
            self.ids.append(made["trajectory_id"])
        _, _, brief = self.call("distill", {})
        lessons = data("lessons.json")["lessons"]
        self.call("save_lessons", {"brief_id": brief["brief_id"], "lessons": lessons})
        _, _, found = self.call(
            "search_experience", {"query": data("trajectories.json")[0]["task"]}
        )
        assert found["hits"]
        self.ids += [
            brief["brief_id"],
            found["retrieval_id"],
            *(hit["id"] for hit in found["hits"]),
        ]


@pytest.fixture(scope="module", params=["auto", "legacy"])
def called(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Called]:
    path = tmp_path_factory.mktemp("called") / "library.db"
    app = App(library=str(path))
    with start_blocking_portal() as portal:
        client = Client(build_server(app), mode=request.param)
        with portal.wrap_async_context_manager(client) as opened:
            made = Called(portal, opened, path)
            made.learn()
            yield made
    app.close()


@fuzzed(90)
@given(drawn=st.data())
def test_a_tool_answers_or_refuses_in_a_sentence_and_a_refusal_changes_nothing(
    called: Called, drawn: st.DataObject
) -> None:
    tool = drawn.draw(chosen(list(SCHEMAS)))
    arguments: Any = drawn.draw(of_schema(SCHEMAS[tool]).filter(lambda one: isinstance(one, dict)))
    for name in ("id", "ids", "brief_id", "retrieval_id", "retrieval_ids", "helpful", "harmful"):
        if name in arguments and drawn.draw(st.booleans()):
            known = drawn.draw(chosen(called.ids))
            arguments[name] = [known] if name.endswith("s") or name[0] == "h" else known
    with contextlib.suppress(UnicodeEncodeError):
        json.dumps(arguments, ensure_ascii=False).encode()
        check_call(called, tool, arguments)  # half of a surrogate pair comes by stdio only


def check_call(called: Called, tool: str, arguments: Any) -> None:
    before = tables(called.path)
    refused, said, content = called.call(tool, arguments)
    if refused:
        check_sentence(said)
        assert content is None
        assert tables(called.path) == before
    else:
        assert len(json.dumps(content)) < 400_000
        assert not LEAKS.search(said.replace("https://", ""))
        if tool == "search_experience":
            check_hits(arguments, said, content)


def check_hits(arguments: Any, said: str, content: Any) -> None:
    """Few, short, each once, and what they say of each other."""
    ids = [hit["id"] for hit in content["hits"]]
    asked = checked(SearchArguments, arguments)
    assert len(set(ids)) == len(ids) <= asked.limit - content["omitted"]
    assert content["nothing_relevant"] is not bool(ids)
    assert 0 <= content["relevance"] <= 1
    most = DETAILED_LIMIT if asked.detail == "detailed" else CONCISE_LIMIT
    assert max(len(said), len(json.dumps(content, ensure_ascii=False))) <= most
    for hit in content["hits"]:
        assert 0 <= hit["fit"] <= 1
        assert hit.get("contradicts") != hit["id"]
        assert hit.get("contradicts") in {None, *ids} or content["omitted"]
        assert hit["id"] in said
