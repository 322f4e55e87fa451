"""Two requests with one id, over each transport: the second is refused, the first is untouched."""

import http.client
import json
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.held_model import Model, held_model
from support.http_server import HANDSHAKE, Served, handshake, served
from support.patience import PATIENCE
from support.stdio_server import MODERN, initialized
from support.stdio_server import served as served_on_pipes

from flex_mcp import open_library

pytestmark = pytest.mark.process

Json = dict[str, Any]
STATELESS = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/list"}


@pytest.fixture
def model() -> Generator[Model]:
    with held_model() as made:
        yield made


def request(id_: Any, method: str, **params: Any) -> Json:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def call(id_: Any, tool: str, **arguments: Any) -> Json:
    return request(id_, "tools/call", name=tool, arguments=arguments)


def record(id_: Any, key: str) -> Json:
    return call(id_, "record_trajectory", task=f"task {key}", outcome="failure", key=key)


def posted(server: Served, body: Json, **headers: str | None) -> tuple[int, Json]:
    """The status, and the answer in a stream or in one piece."""
    with server.asked("/mcp", "POST", body, **headers) as response:
        lines = response.read().splitlines()
    return response.status, json.loads(lines[-2 if len(lines) > 1 else 0].removeprefix(b"data: "))


def is_refused(said: Json, id_: Any) -> bool:
    """Whether that is an error which names the request and says what is wrong."""
    assert said["id"] == id_
    assert said["error"]["code"] == -32600
    return "a request with this id is under way already" in said["error"]["message"]


def is_distilled(said: Json, id_: Any) -> bool:
    """Whether that answers the first request."""
    assert said["id"] == id_
    return said["result"]["structuredContent"]["road"] == "anthropic"


def test_over_http_the_second_is_refused_and_the_id_is_free_after_the_answer(
    tmp_path: Path, model: Model
) -> None:
    with served(tmp_path, settings=model.settings) as server, ThreadPoolExecutor() as pool:
        session = handshake(server)
        posted(server, record(2, "a"), Mcp_Session_Id=session)
        first = pool.submit(posted, server, call(7, "distill"), Mcp_Session_Id=session)
        assert model.asked.wait(PATIENCE)
        for same in (7, "7"):  # the SDK would take them for one
            status, said = posted(server, record(same, "b"), Mcp_Session_Id=session)
            assert status == 409
            assert is_refused(said, same)
        others = [
            posted(server, request(8, "tools/list"), Mcp_Session_Id=session),
            posted(server, request(7, "tools/list"), Mcp_Session_Id=handshake(server)),
            posted(server, request(7, "tools/list", _meta=MODERN), **STATELESS),
        ]
        assert [(status, "tools" in said["result"]) for status, said in others] == [(200, True)] * 3
        model.let.set()
        status, said = first.result(PATIENCE)
        assert status == 200
        assert is_distilled(said, 7)
        status, said = posted(server, request(7, "tools/list"), Mcp_Session_Id=session)
        assert len(said["result"]["tools"]) == 7
    with open_library(server.library) as library:
        assert library.statistics().by_state == {"distilled": 1}


def test_over_http_an_id_is_taken_until_the_answer_also_where_the_client_has_gone(
    tmp_path: Path, model: Model
) -> None:
    with served(tmp_path, settings=model.settings) as server:
        session = handshake(server)
        posted(server, record(2, "a"), Mcp_Session_Id=session)
        body = json.dumps(call(7, "distill")).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as gone:
            gone.sendall(
                f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nMcp-Session-Id: {session}"
                f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            assert model.asked.wait(PATIENCE)
        status, said = posted(server, request(7, "tools/list"), Mcp_Session_Id=session)
        assert (status, is_refused(said, 7)) == (409, True)
        model.let.set()
        while status == 409:
            status, said = posted(server, request(7, "tools/list"), Mcp_Session_Id=session)
        assert len(said["result"]["tools"]) == 7


def test_over_http_none_of_many_at_once_gets_the_answer_of_another(tmp_path: Path) -> None:
    keys = [f"{id_}-{twin}" for id_ in range(8) for twin in range(3)]
    with served(tmp_path) as server, ThreadPoolExecutor(len(keys)) as pool:
        session = handshake(server)

        def one(key: str) -> tuple[str, int, Json]:
            id_ = int(key[0])
            status, said = posted(server, record(id_, key), Mcp_Session_Id=session)
            assert said["id"] == id_
            return key, status, said

        answers = list(pool.map(one, keys))
    assert {status for _, status, _ in answers} <= {200, 409}
    made = {
        said["result"]["structuredContent"]["trajectory_id"]: key
        for key, status, said in answers
        if status == 200
    }
    assert {key[0] for key in made.values()} == {key[0] for key in keys}  # one of each at least
    with open_library(server.library) as library:
        assert library.statistics().by_state == {"pending": len(made)}
        assert {one.id: one.task for one in library.trajectories([*made])} == {
            id_: f"task {key}" for id_, key in made.items()
        }


def test_over_http_an_id_may_come_again_as_soon_as_its_answer_is_read(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        session = handshake(server)
        body = json.dumps(request(1, "ping"))
        kind = {"Content-Type": "application/json", "Mcp-Session-Id": session}
        for _ in range(100):
            wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            wire.request("POST", "/mcp", body, kind)
            answer = wire.getresponse()
            assert answer.status == 200
            while not answer.readline().startswith(b"data: {"):
                pass
            wire.close()  # the stream has not ended


def test_over_sse_the_second_is_refused_and_the_first_is_untouched(
    tmp_path: Path, model: Model
) -> None:
    with (
        served(tmp_path, transport="sse", settings=model.settings) as server,
        server.asked("/sse") as stream,
    ):

        def heard() -> str:
            while not (line := stream.readline().decode()).startswith("data: "):
                assert line, "the stream ended"
            return line.removeprefix("data: ").strip()

        address = heard()

        def post(body: Json) -> None:
            assert server.status(address, method="POST", body=body) == 202

        post(request(1, "initialize", **HANDSHAKE))
        assert json.loads(heard())["id"] == 1
        post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        post(record(2, "a"))
        assert json.loads(heard())["id"] == 2
        post(call(7, "distill"))
        assert model.asked.wait(PATIENCE)
        post(record(7, "b"))
        assert is_refused(json.loads(heard()), 7)
        model.let.set()
        assert is_distilled(json.loads(heard()), 7)
        post(request(7, "tools/list"))
        assert len(json.loads(heard())["result"]["tools"]) == 7
    with open_library(server.library) as library:
        assert library.statistics().by_state == {"distilled": 1}


def test_over_stdio_the_second_is_refused_and_the_first_is_untouched(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in model.settings.items():
        monkeypatch.setenv(name, value)
    with served_on_pipes(tmp_path / "library.db") as pipes:

        def heard() -> Json:
            assert pipes.process.stdout is not None
            return json.loads(pipes.process.stdout.readline())

        initialized(pipes)
        pipes.send(record("a", "a"))
        assert heard()["id"] == "a"
        pipes.send(call(7, "distill"))
        assert model.asked.wait(PATIENCE)
        pipes.send(record(7, "b"))
        assert is_refused(heard(), 7)
        model.let.set()
        assert is_distilled(heard(), 7)
        pipes.send(request(7, "tools/list"))
        assert len(heard()["result"]["tools"]) == 7
    with open_library(tmp_path / "library.db") as library:
        assert library.statistics().by_state == {"distilled": 1}
