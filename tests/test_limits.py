"""What a client may take of the machine: each limit, what is said about it, and that others go on."""

import contextlib
import http.client
import json
import os
import re
import socket
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from support.fakes import a_lesson, a_trajectory, add, one
from support.http_server import HANDSHAKE, Served, handshake, served
from support.patience import PATIENCE
from support.stdio_server import Pipes, initialized
from support.stdio_server import served as served_on_pipes

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.errors import InputError, NotALibraryError
from flex_mcp.library.library import Library
from flex_mcp.server import limits as kept
from flex_mcp.server.server import build_server
from flex_mcp.storage.sqlite.trajectories import BODY_LIMIT, unpacked
from flex_mcp.tools import pages
from flex_mcp.tools.answers import WHOLE_LIMIT, experience_answer, plain
from flex_mcp.tools.arguments import RecordArguments
from flex_mcp.transports import capacity, connections
from flex_mcp.transports.message_limits import MAX_MESSAGE, MAX_VALUES, too_many_values
from flex_mcp.validation import checked


def message(size: int, *, id_first: bool = True) -> str:
    """A call with so many characters in it."""
    text = json.dumps({"name": "search_experience", "arguments": {"query": "x" * size}})
    head, tail = ('"id":77,', "") if id_first else ("", ',"id":77')
    return f'{{"jsonrpc":"2.0",{head}"method":"tools/call","params":{text}{tail}}}'


# One message


def answer_to(pipes: Pipes, id_: int | None) -> dict[str, Any]:
    assert pipes.process.stdout is not None
    while True:
        said: dict[str, Any] = json.loads(pipes.process.stdout.readline())
        if said.get("id") == id_:
            return said


@pytest.mark.process
@pytest.mark.parametrize("id_first", [True, False])
def test_a_line_that_is_too_long_is_refused_by_its_id_and_the_next_one_is_answered(
    tmp_path: Path,
    id_first: bool,  # noqa: FBT001  a case
) -> None:
    with served_on_pipes(tmp_path / "library.db") as pipes:
        initialized(pipes)
        assert pipes.process.stdin is not None
        pipes.process.stdin.write(message(MAX_MESSAGE + 9_999, id_first=id_first) + "\n")
        error = answer_to(pipes, 77)["error"]
        assert error["message"].startswith("the message is longer than 16,777,216 bytes (16 MiB)")
        assert len(pipes.ask("tools/list")["result"]["tools"]) == 7


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much is held")
def test_a_line_without_an_end_takes_no_more_memory_than_the_longest(tmp_path: Path) -> None:
    with served_on_pipes(tmp_path / "library.db") as pipes:
        initialized(pipes)
        before = held(pipes.process.pid)
        assert pipes.process.stdin is not None
        piece = "y" * (1024 * 1024)
        pipes.process.stdin.write('{"jsonrpc":"2.0","id":77,"method":"')
        for _ in range(150):
            pipes.process.stdin.write(piece)
        pipes.process.stdin.flush()
        assert held(pipes.process.pid) - before < 120
        pipes.process.stdin.write('"}\n')
        assert pipes.ask("tools/list")["result"]


@pytest.mark.process
def test_a_message_of_too_many_values_is_refused_and_long_texts_are_not(tmp_path: Path) -> None:
    many = '{"jsonrpc":"2.0","id":77,"method":"x","params":{"a":[' + "{}," * MAX_VALUES + "{}]}}"
    assert too_many_values(many)
    assert too_many_values(many.encode())
    text = json.dumps({"transcript": '[{"a": "\\"}, {' * 200_000})
    assert not too_many_values(text)
    assert not too_many_values(text.encode())
    with served_on_pipes(tmp_path / "library.db") as pipes:
        initialized(pipes)
        assert pipes.process.stdin is not None
        pipes.process.stdin.write(many + "\n")
        assert "more than 250,000 JSON values" in answer_to(pipes, 77)["error"]["message"]


def test_counting_values_takes_one_look_at_each_character() -> None:
    for hostile in ('"' + '\\"' * 2_000_000, '"\\' * 2_000_000, '"' * 4_000_001):
        too_many_values(hostile)


def test_a_trajectory_has_ten_thousand_steps_at_most() -> None:
    steps = [{"kind": "thought", "content": "x"}] * 10_001
    with pytest.raises(InputError, match="steps has 10,001 items; the limit is 10,000"):
        checked(RecordArguments, {"task": "x", "outcome": "failure", "steps": steps})


def test_a_name_without_end_does_not_come_back_whole() -> None:
    with pytest.raises(InputError) as caught:
        checked(RecordArguments, {"task": "x", "outcome": "failure", "y" * 100_000: 1})
    assert len(str(caught.value)) < 500


# Answers


def test_an_experience_that_is_too_long_says_what_is_left_out(library: Library) -> None:
    (id_,) = add(library, a_lesson())
    long = [f"t_{number:012}".replace("0", "a") for number in range(9)] * 2_000
    huge = replace(one(library, id_), lesson="A long lesson. " * 30_000, evidence=tuple(long))
    shown = experience_answer(library.whole([id_])[0]._replace(experience=huge))
    assert shown.left_out is not None
    assert "characters of its lesson" in shown.left_out
    assert "17,900 ids of its evidence" in shown.left_out
    assert len(json.dumps(plain(shown))) <= WHOLE_LIMIT


def test_a_long_trajectory_is_shortened_on_its_page_and_says_so(library: Library) -> None:
    made = library.record(a_trajectory(transcript="The build failed.\n" * 200_000))
    page = pages.trajectory_page(library, made.trajectory_id)
    assert len(page) <= WHOLE_LIMIT
    assert "characters left out" in page
    assert "flex-mcp export writes has it whole" in page


def test_the_page_of_a_library_names_its_largest_domains_only(library: Library) -> None:
    add(library, *(a_lesson(f"Lesson {n} of field {n}.", domain=f"field{n}") for n in range(103)))
    page = json.loads(pages.library_page(library))
    assert len(page["by_domain"]) == 100
    assert page["more_domains"] == "3 smaller ones: run flex-mcp stats"


def test_a_body_that_unpacks_without_end_is_damage() -> None:
    bomb = zlib.compress(b" " * (BODY_LIMIT + 1))
    with pytest.raises(apsw.CorruptError):
        unpacked(bomb)


def test_a_path_that_names_no_library_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"SQLite format 3\0" + b"\xff" * 9_000)
    with pytest.raises(NotALibraryError, match="is damaged or no library"):
        open_library(file)


# What stays


@pytest.mark.anyio
async def test_requests_of_one_connection_are_bounded_and_those_of_another_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MAX_UNDER_WAY", 3)
    app = App(library=str(tmp_path / "library.db"))
    server = build_server(app)
    refused: list[str] = []

    async def search(client: Client) -> None:
        try:
            await client.call_tool("search_experience", {"query": "x"})
        except MCPError as error:
            refused.append(error.error.message)

    try:
        async with Client(server, mode="legacy") as hostile, Client(server, mode="legacy") as other:
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(search, hostile)
                found = await other.call_tool("search_experience", {"query": "x"})
                assert not found.is_error
            await search(hostile)
    finally:
        app.close()
    assert 1 <= len(refused) <= 17
    assert set(refused) == {
        "3 requests of this connection are under way already: wait for their answers"
    }


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_subscriptions_of_one_connection_are_bounded(tmp_path: Path) -> None:
    app = App(library=str(tmp_path / "library.db"))
    try:
        async with Client(build_server(app), mode="legacy") as client:
            subscribe = client.session.subscribe_resource  # pyright: ignore[reportDeprecated]
            for number in range(kept.MAX_SUBSCRIPTIONS):
                await subscribe(f"flex://domain/d{number}")
            await subscribe("flex://domain/d0")
            with pytest.raises(MCPError, match="hears of at most 1,000 resources"):
                await subscribe("flex://domain/one-more")
            with pytest.raises(MCPError, match="has at most 2,000 characters"):
                await subscribe("flex://domain/" + "x" * 2_000)
    finally:
        app.close()


@pytest.mark.process
def test_a_client_that_says_too_much_of_itself_is_refused(tmp_path: Path) -> None:
    with served_on_pipes(tmp_path / "library.db") as pipes:
        much = HANDSHAKE | {"capabilities": {"experimental": {"x": {"y": "z" * 70_000}}}}
        said = pipes.ask("initialize", **much)["error"]["message"]
        assert said == "initialize has more than 65,536 bytes: say less of the client"
        initialized(pipes)
        assert pipes.ask("tools/list")["result"]


# Over HTTP


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("limits")) as made:
        yield made


def refusal(server: Served, body: bytes, **headers: str) -> tuple[int, str]:
    wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        usual = {"Accept": "application/json, text/event-stream"}
        kind = {"Content-Type": "application/json"}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.request("POST", "/mcp", body, usual | kind | headers)
        answer = wire.getresponse()
        return answer.status, answer.read().decode()
    finally:
        wire.close()


@pytest.mark.process
def test_a_body_that_is_too_long_or_holds_too_much_is_refused_in_our_words(server: Served) -> None:
    status, said = refusal(server, b'{"x":[' + b"{}," * MAX_VALUES + b"{}]}")
    assert (status, "more than 250,000 JSON values" in said) == (413, True)
    assert handshake(server)


@pytest.mark.process
def test_a_head_that_is_too_long_is_refused(server: Served) -> None:
    with contextlib.suppress(ConnectionResetError):  # it does not hear us out
        status, _ = refusal(server, b"{}", Accept="x" * (connections.MAX_HEAD * 8))
        assert status == 400
    assert handshake(server)


@pytest.mark.process
def test_streams_are_bounded_and_requests_get_through_all_the_same(tmp_path: Path) -> None:
    with served(tmp_path) as server, contextlib.ExitStack() as open_streams:
        for _ in range(capacity.MAX_STREAMS):
            stream = open_streams.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
            )
            stream.sendall(f"GET /sse HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
            assert stream.recv(12) == b"HTTP/1.1 200"
        with server.asked("/sse") as one_more:
            assert one_more.status == 503
            assert one_more.headers["Retry-After"] == "5"
            assert one_more.read() == b"256 streams are open here: close one, or try again later"
        assert handshake(server)


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="no so many sockets at once")
def test_connections_that_say_nothing_are_bounded_and_closed_but_not_between_requests(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as server, contextlib.ExitStack() as idle:

        def connected() -> socket.socket:
            where = ("127.0.0.1", server.port)
            return idle.enter_context(socket.create_connection(where, timeout=PATIENCE))

        health = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode()

        def is_answered(wire: socket.socket) -> bool:
            wire.sendall(health + b"\r\n")
            said = b""
            while not said.endswith(b'{"status":"ok"}'):
                said += (piece := wire.recv(500))
                if not piece:
                    return False
            return True

        kept, half = connected(), connected()
        assert is_answered(kept)
        assert is_answered(half)
        half.sendall(health)  # and no end of it
        wires = [connected() for _ in range(connections.MAX_CONNECTIONS - 1)]
        said = wires[-1].recv(500)
        assert said.startswith(b"HTTP/1.1 503")
        assert said.endswith(b"512 connections are open here: close some, or try again later")
        assert wires[0].recv(1) == b""  # closed: it said nothing
        assert half.recv(1) == b""  # nor did this one, after its first request
        assert is_answered(kept)  # a client's next request may take its time
        for wire in wires[1:]:
            wire.close()
        assert server.status("/health") == 200


# Growth


def held(pid: int) -> float:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def hostile(server: Served, number: int) -> None:
    """Things that a client does to a server and leaves."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
    with server.asked("/mcp", "POST", hello) as made:
        session = made.headers["Mcp-Session-Id"]
        made.read()
    call = {"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe"}
    for place in range(3):
        uri = f"flex://domain/{number}/{place}" + "x" * 1_000
        body = call | {"params": {"uri": uri}}
        assert server.status("/mcp", method="POST", body=body, Mcp_Session_Id=session) < 500
    bad = call | {"method": "tools/call", "params": {"name": "distill", "arguments": {"x": [1]}}}
    assert server.status("/mcp", method="POST", body=bad, Mcp_Session_Id=session) < 500
    assert server.status("/mcp", method="POST", body={"x": "y" * 200_000}) == 400
    if number % 2:
        server.status("/mcp", method="DELETE", Mcp_Session_Id=session)
    with server.asked("/sse") as stream:
        assert stream.status == 200  # and goes away


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much is held")
def test_a_hostile_client_in_a_loop_makes_the_server_grow_within_bounds(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        threading.Thread(target=server.process.stderr.read, daemon=True).start()  # pyright: ignore[reportOptionalMemberAccess]
        for number in range(20):
            hostile(server, number)
        pid = server.process.pid
        memory, files = held(pid), descriptors(pid)
        for number in range(200):
            hostile(server, number)
        assert held(pid) - memory < 60  # 100 sessions stay until they have been idle for long
        assert descriptors(pid) - files < 20
        assert handshake(server)
