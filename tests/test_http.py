"""The real server process over HTTP: where it listens, whom it lets in, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from support.held_model import held_model
from support.http_server import HANDSHAKE, Served, handshake, served, serving, variables
from support.odd_messages import REFUSED, TAKEN, Refused
from support.patience import PATIENCE
from support.stdio_server import MODERN

from flex_mcp import open_library

pytestmark = pytest.mark.process

WRITE, READ = "may-write", "may-read"
TOKENS = {"FLEX_MCP_TOKEN": WRITE, "FLEX_MCP_READ_TOKEN": READ}
MIB = 1024 * 1024
ERAS = [pytest.param("auto", id="2026-07-28"), pytest.param("legacy", id="2025-11-25")]
EVERY_PATH = ["/mcp", "/sse", "/messages/", "/health", "/nothing-here"]
WORK = {"task": "x", "outcome": "failure"}
WRITING: dict[str, dict[str, Any]] = {
    "record_trajectory": WORK,
    "distill": {},
    "save_lessons": {"brief_id": "B1", "lessons": []},
    "report_outcome": {"retrieval_id": "R1", "outcome": "success"},
    "curate_experience": {"id": "E1", "action": "retire", "reason": "old"},
}


def refused(*options: str, **settings: str) -> str:
    """What a server that does not start says, in one sentence."""
    run = subprocess.run(
        serving(*options),
        env=variables(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("flex-mcp: ")
    assert run.stderr.count("\n") == 1
    return run.stderr


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of both transports that asks for no token."""
    with served(tmp_path_factory.mktemp("both")) as server:
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of both transports with a token to write and one to read."""
    with served(tmp_path_factory.mktemp("locked"), settings=TOKENS) as server:
        yield server


# What is served where


def test_the_server_says_where_it_listens_and_serves_both_transports(both: Served) -> None:
    assert both.said == f"listening on http://127.0.0.1:{both.port}\n"
    assert both.port > 0
    with both.asked("/sse") as stream:
        assert stream.status == 200
        assert stream.headers.get_content_type() == "text/event-stream"
    assert handshake(both)


@pytest.mark.parametrize(
    ("transport", "there", "missing"),
    [("sse", "/sse", "/mcp"), ("streamable-http", "/mcp", "/sse")],
)
def test_one_transport_alone_leaves_the_path_of_the_other_empty(
    tmp_path: Path, transport: str, there: str, missing: str
) -> None:
    with served(tmp_path, transport=transport) as server:
        assert server.status(missing) == 404
        assert server.status(there) != 404
        assert server.status("/health") == 200


def test_health_says_ok_and_nothing_else_and_needs_no_token(locked: Served) -> None:
    with locked.asked("/health") as response:
        assert response.status == 200
        assert json.loads(response.read()) == {"status": "ok"}


def test_stderr_holds_its_addresses_alone_until_the_server_is_asked_to_end(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        handshake(server)
        assert server.status("/nothing-here") == 404
        server.process.terminate()
        _, said = server.process.communicate(timeout=PATIENCE)
        assert said == ""


# Pages that a browser loaded from elsewhere


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_host_name_is_refused_on_every_path_before_the_token(
    locked: Served, path: str, host: str
) -> None:
    for token in (None, f"Bearer {WRITE}"):
        assert locked.status(path, Host=host, Authorization=token) == 421


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_request_without_a_host_name_is_refused(locked: Served, path: str) -> None:
    with socket.create_connection(("127.0.0.1", locked.port), timeout=PATIENCE) as wire:
        wire.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert wire.makefile("rb").readline().split()[1] == b"421"


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("hosts", [0, 2])
def test_http_1_1_asks_for_one_host_and_400_otherwise(
    locked: Served, path: str, hosts: int
) -> None:
    with socket.create_connection(("127.0.0.1", locked.port), timeout=PATIENCE) as wire:
        host = f"Host: 127.0.0.1:{locked.port}\r\n"
        wire.sendall(f"GET {path} HTTP/1.1\r\n{host * hosts}\r\n".encode())
        assert wire.makefile("rb").readline().split()[1] == b"400"  # RFC 9112, 3.2


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_every_name_of_loopback_is_served(both: Served, name: str) -> None:
    assert both.status("/health", Host=f"{name}:{both.port}") == 200


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:1", "http://localhost"]
)
def test_a_page_of_another_origin_is_refused_on_every_path_before_the_token(
    locked: Served, path: str, origin: str
) -> None:
    for token in (None, f"Bearer {WRITE}"):
        assert locked.status(path, Origin=origin, Authorization=token) == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_the_server_itself_is_served(both: Served, name: str) -> None:
    assert both.status("/health", Origin=f"http://{name}:{both.port}") == 200
    assert handshake(both, Origin=f"http://{name}:{both.port}")


# Tokens


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/", "/nothing-here"])
@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {WRITE}", WRITE]
)
def test_without_the_right_token_nothing_is_served(
    locked: Served, path: str, given: str | None
) -> None:
    for method in ("GET", "POST"):
        with locked.asked(path, method, Authorization=given) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_may_have_any_letters(tmp_path: Path) -> None:
    token = "voil\N{LATIN SMALL LETTER A WITH GRAVE}"  # noqa: S105  its last byte is a space elsewhere
    with served(tmp_path, settings={"FLEX_MCP_TOKEN": token}) as server:
        sent = f"Bearer {token}".encode().decode("latin-1")
        assert server.status("/nothing-here", Authorization=sent) == 404
        assert server.status("/nothing-here", Authorization=sent[:-1]) == 401


def test_no_authorization_server_is_promised(locked: Served) -> None:
    path = "/.well-known/oauth-protected-resource"
    for place in (path, f"{path}/mcp"):
        assert locked.status(place) == 401
        assert locked.status(place, Authorization=f"Bearer {WRITE}") == 404


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_the_token_to_write_writes(locked: Served, path: str, era: Any) -> None:
    async with connected(locked, path, era, WRITE) as client:
        recorded = await client.call_tool("record_trajectory", WRITING["record_trajectory"])
        assert not recorded.is_error, recorded.content
        assert recorded.structured_content["state"] == "pending"


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_the_token_to_read_reads_and_writes_nothing(
    locked: Served, path: str, era: Any
) -> None:
    async with connected(locked, path, era, READ) as client:
        found = await client.call_tool("search_experience", {"query": "an example"})
        assert not found.is_error, found.content
        resources = (await client.list_resources()).resources
        assert resources
        assert (await client.read_resource(str(resources[0].uri))).contents
        prompts = (await client.list_prompts()).prompts
        assert prompts
        for prompt in prompts:
            needed = {one.name: "x" for one in prompt.arguments or () if one.required}
            assert (await client.get_prompt(prompt.name, needed)).messages
        for tool, arguments in WRITING.items():
            result = await client.call_tool(tool, arguments)
            assert result.is_error, tool
            assert f"this token only reads: {tool} needs one that writes" in str(result.content)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_token_lists_what_it_may_call(locked: Served, path: str, era: Any) -> None:
    reading = {"search_experience", "get_experience"}
    async with connected(locked, path, era, READ) as client:
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == reading
        assert (listed.model_extra or {}).get("cacheScope", "private") == "private"
    async with connected(locked, path, era, WRITE) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == reading | {*WRITING}


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_session_is_told_once_what_waits(tmp_path: Path, path: str) -> None:
    with served(tmp_path) as server:
        async with connected(server, path, "legacy") as client:
            work = WRITING["record_trajectory"]
            assert not (await client.call_tool("record_trajectory", work)).is_error
        for _ in range(2):
            async with connected(server, path, "legacy") as client:
                found = [await client.call_tool("search_experience", {"query": "x"}) for _ in "ab"]
                told = [
                    "no lessons yet" in one.structured_content.get("notice", "") for one in found
                ]
                assert told == [True, False]
        async with connected(server, "/mcp", "auto") as client:
            one = await client.call_tool("search_experience", {"query": "x"})
            assert "no lessons yet" not in one.structured_content.get("notice", "")


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_a_token_with_a_name_stands_in_the_log(tmp_path: Path, era: Any) -> None:
    tokens = {"FLEX_MCP_TOKENS": "anna:aaa:curate, ci:ccc:read,bob:bbb"}
    with served(tmp_path, settings=tokens) as server:
        for token in ("aaa", "bbb"):
            async with connected(server, "/mcp", era, token) as client:
                work = WRITING["record_trajectory"] | {"key": token}
                assert not (await client.call_tool("record_trajectory", work)).is_error
        async with connected(server, "/mcp", era, "ccc") as client:
            assert (await client.call_tool("record_trajectory", work)).is_error
        assert server.status("/mcp", Authorization="Bearer anna") == 401
    with open_library(tmp_path / "library.db") as library:
        names = [one.client.split(":")[0] for one in library.last_writes(9) if one.ids]
    assert names == ["bob", "anna"]


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("anna", "FLEX_MCP_TOKENS, entry 1: write NAME:TOKEN, NAME:TOKEN:read"),
        ("anna:SECRET,b b:SECRET2", "FLEX_MCP_TOKENS, entry 2: write NAME:TOKEN"),
        ("anna:SECRET:all", "FLEX_MCP_TOKENS, entry 1: write NAME:TOKEN"),
        ("anna:read", "FLEX_MCP_TOKENS, entry 1: write NAME:TOKEN"),
        ("anna:${SECRET}", "FLEX_MCP_TOKENS, entry 1: write NAME:TOKEN"),
        ("anna:SECRET,bob:SECRET", "FLEX_MCP_TOKENS holds a token twice"),
    ],
)
def test_malformed_tokens_are_refused_and_not_quoted(tokens: str, sentence: str) -> None:
    said = refused(FLEX_MCP_TOKENS=tokens)
    assert sentence in said
    assert "SECRET" not in said


@asynccontextmanager
async def connected(
    server: Served, path: str, era: Any, token: str | None = None
) -> AsyncGenerator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if path == "/sse":
        async with Client(sse_client(f"{server.url}/sse", headers), mode=era) as client:
            yield client
        return
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as wire:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=wire)
        async with Client(transport, mode=era) as client:
            yield client


# Sizes


@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
def test_a_body_over_16_mib_is_refused_by_its_declared_length(both: Served, path: str) -> None:
    assert both.status(path, method="POST", body=b"{", Content_Length=str(16 * MIB + 1)) == 413


def test_a_body_over_16_mib_is_refused_when_its_length_was_not_declared(both: Served) -> None:
    with socket.create_connection(("127.0.0.1", both.port), timeout=PATIENCE) as wire:
        wire.sendall(
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{both.port}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            "Accept: application/json, text/event-stream\r\n\r\n".encode()
        )
        chunk = b"%x\r\n%b\r\n" % (MIB, b" " * MIB)
        wire.sendall(chunk * 16)
        wire.sendall(b"1\r\n \r\n")  # one byte too many, and the body has not ended
        assert wire.makefile("rb").readline().split()[1] == b"413"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_trajectory_of_five_megabytes_is_recorded(both: Served, path: str) -> None:
    steps = [{"kind": "observation", "content": f"{i} " + "x" * 500_000} for i in range(10)]
    async with connected(both, path, "auto") as client:
        recorded = await client.call_tool(
            "record_trajectory", {"task": "a long one", "outcome": "failure", "steps": steps}
        )
        assert not recorded.is_error, recorded.content


# What clients write on the wire


class Posted(NamedTuple):
    status: int
    kind: str
    messages: list[dict[str, Any]]


def posted(server: Served, body: bytes, path: str = "/mcp", **headers: str | None) -> Posted:
    """The status, the type and the last message that answer a body."""
    length = str(len(body))
    with server.asked(path, "POST", body, Content_Length=length, **headers) as response:
        said = [line.removeprefix(b"data: ") for line in response.read().splitlines()]
        kind = response.headers.get_content_type()
        return Posted(
            response.status, kind, [json.loads(one) for one in said if one.startswith(b"{")]
        )


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_body_that_cannot_be_taken_is_answered_as_over_stdio(
    both: Served, case: Refused, era: str
) -> None:
    session = handshake(both) if era == "2025-11-25" else None
    said = posted(both, case.sent, Mcp_Session_Id=session, MCP_Protocol_Version=era)
    assert said.status == 400
    (error,) = said.messages
    assert (error["id"], error["error"]["code"]) == (case.id, case.code)
    assert case.words in error["error"]["message"]


def test_a_body_that_can_be_mended_is_answered_as_any_other(both: Served) -> None:
    session = handshake(both)
    for body in TAKEN.values():
        said = posted(both, body, Mcp_Session_Id=session)
        assert said.status == 200
        assert not said.messages[-1]["result"]["isError"]


def test_over_sse_a_body_is_mended_or_refused_in_the_same_words(both: Served) -> None:
    with both.asked("/sse") as stream:
        address = [stream.readline().decode() for _ in range(2)][1].removeprefix("data: ").strip()
        for case in REFUSED.values():
            said = posted(both, case.sent, address)
            assert said.status == 400
            assert case.words in said.messages[0]["error"]["message"]
        for body in TAKEN.values():
            assert posted(both, body, address).status == 202


HELLO = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE})
STREAM, JSON = "text/event-stream", "application/json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, STREAM),
        ("", STREAM),
        ("*/*", STREAM),
        (STREAM, STREAM),
        ("TEXT/*;q=0.1", STREAM),
        ("application/json;q=0.9, text/event-stream;q=0.1", STREAM),
        (JSON, JSON),
        ("Application/Json; charset=utf-8", JSON),
        ("application/*", JSON),
        ("application/json, text/event-stream;q=0", JSON),
        ("text/event-stream;q=0.0, */*", JSON),
    ],
)
def test_a_client_gets_the_answer_in_a_type_that_it_accepts(
    both: Served, accept: str | None, kind: str
) -> None:
    said = posted(both, HELLO.encode(), Accept=accept)
    assert (said.status, said.kind) == (200, kind)
    assert said.messages[-1]["result"]["serverInfo"]["name"] == "flex-mcp"
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": MODERN}}
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/list"}
    said = posted(both, json.dumps(listed).encode(), Accept=accept, **headers)
    assert (said.status, said.kind) == (200, JSON)
    assert len(said.messages[-1]["result"]["tools"]) == 7


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "*/*;q=0"])
def test_a_client_that_accepts_neither_is_refused(both: Served, accept: str) -> None:
    assert posted(both, HELLO.encode(), Accept=accept).status == 406


def test_a_stream_is_for_those_who_accept_one(both: Served) -> None:
    session = handshake(both)
    assert both.status("/mcp", Accept=JSON, Mcp_Session_Id=session) == 406
    assert both.status("/mcp", Accept=None, Mcp_Session_Id=session) == 200
    listen = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen"}
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "subscriptions/listen"}
    assert posted(both, json.dumps(listen).encode(), Accept=JSON, **headers).status == 406


def test_a_client_without_a_stream_records_and_is_asked_nothing(both: Served) -> None:
    model: dict[str, Any] = {**HANDSHAKE, "capabilities": {"sampling": {}}}
    hello: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": model}
    with both.asked("/mcp", "POST", hello, Accept=JSON) as response:
        session = response.headers["Mcp-Session-Id"]

    def called(tool: str, **arguments: Any) -> dict[str, Any]:
        params = {"name": tool, "arguments": arguments}
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
        body = json.dumps(call).encode()
        said = posted(both, body, Accept=JSON, Mcp_Session_Id=session)
        assert (said.status, said.kind) == (200, JSON)
        return said.messages[-1]["result"]["structuredContent"]

    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    said = posted(both, json.dumps(done).encode(), Accept=JSON, Mcp_Session_Id=session)
    assert said.status == 202
    made = called("record_trajectory", task="x", outcome="failure", transcript="no stream")
    told = called("distill", trajectory_ids=[made["trajectory_id"]])
    assert told["brief_id"]  # its model would be asked on a stream


def test_a_client_without_a_stream_is_told_when_its_session_ends_before_the_answer(
    tmp_path: Path,
) -> None:
    with (
        held_model() as model,
        served(tmp_path, settings=model.settings) as server,
        ThreadPoolExecutor() as pool,
    ):
        session = handshake(server)
        ask(server, session, "tools/call", {"name": "record_trajectory", "arguments": WORK})
        call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "distill"}}
        body = json.dumps(call).encode()
        asked = pool.submit(posted, server, body, Accept=JSON, Mcp_Session_Id=session)
        assert model.asked.wait(PATIENCE)
        assert server.status("/mcp", method="DELETE", Mcp_Session_Id=session) == 200
        said = asked.result(PATIENCE)
    assert (said.status, said.kind) == (500, JSON)
    assert said.messages[0]["id"] == 7
    assert said.messages[0]["error"]["message"].startswith("the session ended before the answer")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=x"]
)
def test_the_content_type_may_have_parameters_and_any_case(both: Served, kind: str) -> None:
    assert posted(both, HELLO.encode(), Content_Type=kind).status == 200


def test_a_body_of_another_type_is_refused(both: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        assert both.status("/mcp", method="POST", body={}, Content_Type=kind) == 400


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_path_may_end_in_a_slash_or_not(locked: Served, end: str) -> None:
    token = f"Bearer {WRITE}"
    with locked.asked(f"/mcp{end}", "POST", json.loads(HELLO), Authorization=token) as answer:
        assert answer.status == 200
    with locked.asked(f"/sse{end}", Authorization=token) as stream:
        assert stream.status == 200
        lines = [stream.readline().decode() for _ in range(2)]
        session = lines[1].strip().partition("?")[2]
        address = f"/messages{end}?{session}"
        body = json.loads(HELLO)
        assert locked.status(address, method="POST", body=body, Authorization=token) == 202
    assert locked.status(f"/health{end}") == 200
    assert locked.status(f"/mcp{end}") == 401
    assert locked.status(f"/nothing-here{end}", Authorization=token) == 404


def test_other_methods_are_answered_and_leave_nothing_behind(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        for path in ("/mcp", "/sse", "/messages/"):
            for method in ("HEAD", "OPTIONS", "PUT", "PATCH"):
                assert server.status(path, method=method) == 405
        assert server.status("/health", method="HEAD") == 200
        assert server.status("/mcp", method="DELETE") == 400
        assert server.status("/mcp", method="DELETE", Mcp_Session_Id="nobody's") == 404
        server.process.terminate()
        _, said = server.process.communicate(timeout=PATIENCE)
        assert said == ""


# Where it may listen


@pytest.mark.parametrize(
    ("options", "settings", "lacking"),
    [
        ([], {}, {"FLEX_MCP_TOKEN", "--allowed-host"}),
        (["--allowed-host", "flex.example"], {}, {"FLEX_MCP_TOKEN"}),
        ([], {"FLEX_MCP_ALLOWED_HOSTS": "flex.example"}, {"FLEX_MCP_TOKEN"}),
        ([], {"FLEX_MCP_TOKEN": WRITE}, {"--allowed-host"}),
        ([], {"FLEX_MCP_READ_TOKEN": READ}, {"--allowed-host"}),
        (["--allowed-host", "flex.example"], {"FLEX_MCP_TOKEN": "  "}, {"FLEX_MCP_TOKEN"}),
    ],
)
def test_beyond_loopback_a_token_and_an_allowed_host_are_both_needed(
    options: list[str], settings: dict[str, str], lacking: set[str]
) -> None:
    said = refused("--host", "0.0.0.0", *options, **settings)  # noqa: S104  it is refused
    assert "0.0.0.0 can be reached from other machines" in said
    assert {one for one in ("FLEX_MCP_TOKEN", "--allowed-host") if one in said} == lacking


@pytest.mark.skipif(sys.platform == "darwin", reason="it has one address of loopback only")
def test_the_address_that_it_says_it_listens_at_is_served(tmp_path: Path) -> None:
    with (
        served(tmp_path, "--host", "127.0.0.2") as server,
        socket.create_connection(("127.0.0.2", server.port), timeout=PATIENCE) as wire,
    ):
        name = server.url.removeprefix("http://")
        wire.sendall(f"GET /health HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        assert wire.makefile("rb").readline().split()[1] == b"200"


def test_one_token_for_reading_and_writing_is_refused() -> None:
    said = refused(FLEX_MCP_TOKEN="same", FLEX_MCP_READ_TOKEN="same")  # noqa: S106  a test's
    assert "FLEX_MCP_TOKEN and FLEX_MCP_READ_TOKEN are the same" in said


def test_a_port_that_is_taken_is_refused(both: Served) -> None:
    said = refused("--port", str(both.port))
    assert f"127.0.0.1:{both.port} cannot be listened on" in said
    assert "--port" in said


@pytest.mark.parametrize("by", ["option", "setting"])
def test_beyond_loopback_only_the_allowed_host_is_answered(tmp_path: Path, by: str) -> None:
    options = ["--allowed-host", "flex.example"] if by == "option" else []
    names = {} if by == "option" else {"FLEX_MCP_ALLOWED_HOSTS": "other.example, Flex.Example"}
    settings = {"FLEX_MCP_TOKEN": WRITE, **names}
    everywhere = ["--host", "0.0.0.0"]  # noqa: S104  behind a token and a name
    with served(tmp_path, *everywhere, *options, settings=settings) as server:
        assert server.said == f"listening on http://0.0.0.0:{server.port}\n"
        for host in ("flex.example", f"flex.example:{server.port}", "FLEX.example"):
            assert server.status("/health", Host=host) == 200
            assert server.status("/mcp", Host=host) == 401
        for host in (f"127.0.0.1:{server.port}", "localhost", "0.0.0.0", "a.flex.example"):  # noqa: S104
            assert server.status("/health", Host=host) == 421
        assert handshake(server, Host="flex.example", Authorization=f"Bearer {WRITE}")


# The end


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_the_server_ends_cleanly_under_open_streams_and_what_it_acknowledged_is_stored(
    tmp_path: Path, how: str
) -> None:
    with served(tmp_path) as server:
        session = handshake(server)
        with (
            server.asked("/sse") as sse,
            server.asked("/mcp", Mcp_Session_Id=session) as stream,
        ):
            assert (sse.status, stream.status) == (200, 200)
            call = {"name": "record_trajectory", "arguments": WRITING["record_trajectory"]}
            made = ask(server, session, "tools/call", call)
            os.kill(server.process.pid, getattr(signal, how))
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(timeout=0.3)  # the streams keep it for longer
            os.kill(server.process.pid, getattr(signal, how))  # a second one changes nothing
            _, said = server.process.communicate(timeout=PATIENCE)
            assert server.process.returncode == 0
            assert said == ""
    id_ = made["structuredContent"]["trajectory_id"]
    with open_library(server.library) as reopened:
        assert [one.id for one in reopened.trajectories([id_])] == [id_]
    assert not server.library.with_name("library.db-wal").exists()


def ask(server: Served, session: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 2, "method": method, "params": params}
    with server.asked("/mcp", "POST", body, Mcp_Session_Id=session) as response:
        lines = response.read().decode().splitlines()
    said = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data: {")]
    (result,) = [one["result"] for one in said if one.get("id") == 2]
    return result
