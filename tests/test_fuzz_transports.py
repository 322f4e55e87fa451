"""Hostile clients: frames over stdio, bodies over HTTP. None does any harm."""

import contextlib
import functools
import http.client
import itertools
import json
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import (
    LEAKS,
    anything,
    as_json,
    check_sentence,
    chosen,
    flipped,
    fuzzed,
    request,
    scalars,
    spoiled,
    texts,
)
from support.http_server import HANDSHAKE, Served, served
from support.patience import PATIENCE
from support.stdio_server import MODERN

from flex_mcp.server.tools import TOOLS
from flex_mcp.tools.uris import DOMAIN, EXPERIENCE, TRAJECTORY, ZONE

pytestmark = pytest.mark.process

TOOL_NAMES = [row[0].__name__ for row in TOOLS]
METHODS = [
    *("tools/list", "tools/call", "resources/list", "resources/read", "resources/subscribe"),
    *("resources/unsubscribe", "resources/templates/list", "prompts/list", "prompts/get", "ping"),
    *("completion/complete", "logging/setLevel", "server/discover", "subscriptions/listen"),
    *("initialize", "notifications/initialized", "notifications/cancelled", "x", ""),
]
URIS = ["flex://library", EXPERIENCE, TRAJECTORY, ZONE, DOMAIN, "flex://domain/", "skill://x"]

# Frames over stdio


class Wire:
    """A server process on its pipes, spoken to in bytes."""

    def __init__(self, folder: Path) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            "flex_mcp",
            "serve",
            "--library",
            str(folder / "l.db"),
        ]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        self._said: queue.Queue[bytes] = queue.Queue()
        self.stderr = b""
        self._numbers = itertools.count()
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._hear, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line)
        self._said.put(b"")

    def _hear(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr += line

    def send(self, *frames: bytes) -> None:
        assert self.process.stdin is not None
        for frame in frames:
            self.process.stdin.write(frame)
        self.process.stdin.flush()

    def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """The answer to a good request; all that comes before it is protocol too."""
        id_ = f"good-{next(self._numbers)}"
        self.send(as_json(request(id_, method, params)) + b"\n")
        while True:
            line = self._said.get(timeout=PATIENCE)
            assert line, f"the server ended: {self.stderr.decode()}"
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0", line
            if "error" in message and not message.get("method"):
                check_sentence(message["error"]["message"])
            if message.get("id") == id_:
                return message

    def shake_hands(self) -> None:
        assert "result" in self.ask("initialize", HANDSHAKE)
        self.send(as_json({"jsonrpc": "2.0", "method": "notifications/initialized"}) + b"\n")

    def check(self) -> None:
        assert self.process.poll() is None
        assert b"Traceback" not in self.stderr, self.stderr.decode()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


CALL = request(1, "tools/call", {"name": "search_experience", "arguments": {"query": "x"}})
READ = request(2, "resources/read", {"uri": "flex://library"})
GET = request("3", "prompts/get", {"name": "solve_with_experience", "arguments": {"task": "x"}})
COMPLETE = request(
    4,
    "completion/complete",
    {"ref": {"type": "ref/resource", "uri": DOMAIN}, "argument": {"name": "domain", "value": "a"}},
)
HELLO = request(5, "initialize", HANDSHAKE)
TOOL = request(6, "tools/list", {"_meta": MODERN})
GOOD = [CALL, READ, GET, COMPLETE, HELLO, TOOL]

params = st.one_of(
    anything,
    st.fixed_dictionaries({"uri": st.one_of(chosen(URIS), texts)}),
    st.fixed_dictionaries({"name": st.one_of(chosen(TOOL_NAMES), texts), "arguments": anything}),
    st.fixed_dictionaries({"cursor": texts}),
    st.fixed_dictionaries({"_meta": spoiled(MODERN)}),
)
messages = st.one_of(
    chosen(GOOD).flatmap(spoiled),
    st.builds(request, scalars, chosen(METHODS), params),
    st.fixed_dictionaries({"jsonrpc": chosen(["2.0", "1.0", 2, None]), "method": chosen(METHODS)}),
    st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": scalars, "result": anything}),
    st.lists(chosen(GOOD), max_size=3),
    anything,
)
frames = st.one_of(
    messages.map(as_json),
    messages.map(as_json),
    chosen(GOOD).map(as_json).flatmap(flipped),
    st.binary(max_size=60),
    chosen(
        [
            b"[" * 100_000,
            b'{"a":' * 20_000,
            b"\xff\xfe{}",
            b"\xef\xbb\xbf" + as_json(CALL),
            b'{"jsonrpc":"2.0","id":9,"method":"tools/list","x":"' + b"y" * 3_000_000 + b'"}',
            b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}',
            b'{"jsonrpc":"2.0","id":8,"method":"ping","params":[' + b"{}," * 400_000 + b"{}]}",
            b'{"jsonrpc":"2.0","id":7,"method":"ping","id":7,"method":"tools/list"}',
        ]
    ),
)


def in_one_line(frame: bytes, end: bytes) -> bytes:
    return frame.replace(b"\n", b" ") + end


lines = st.builds(
    in_one_line,
    frames,
    chosen([b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n", b"\n\n", b"\0\n"]),
)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    made = Wire(tmp_path_factory.mktemp("wire"))
    made.shake_hands()
    yield made
    made.end()


@fuzzed(60)
@given(sent=st.lists(lines, min_size=1, max_size=4))
def test_whatever_a_client_says_over_stdio_the_next_request_is_answered(
    wire: Wire, sent: list[bytes]
) -> None:
    wire.send(*sent)
    assert len(wire.ask("tools/list", {})["result"]["tools"]) == 7
    wire.check()


@fuzzed(5)
@given(sent=st.lists(lines, min_size=1, max_size=4))
def test_whatever_a_client_opens_with_a_good_handshake_is_answered(
    tmp_path_factory: pytest.TempPathFactory, sent: list[bytes]
) -> None:
    wire = Wire(tmp_path_factory.mktemp("opening"))
    try:
        wire.send(*sent)
        wire.shake_hands()
        assert len(wire.ask("tools/list")["result"]["tools"]) == 7
        wire.check()
    finally:
        wire.end()


# Requests over HTTP


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("server")) as made:
        threading.Thread(target=functools.partial(_drain, made), daemon=True).start()
        yield made


def _drain(made: Served) -> None:
    assert made.process.stderr is not None
    for line in made.process.stderr:
        made.said += line


paths = st.one_of(
    chosen(["/mcp", "/mcp", "/mcp", "/sse", "/messages/?session_id=x", "/health", "/mcp/", "//"]),
    chosen(["/messages/?session_id=" + "0" * 32, "/messages/", "/%00", "/..%2f", "*", "/" * 500]),
)
names = ["Mcp-Session-Id", "MCP-Protocol-Version", "Accept", "Content-Type", "Mcp-Method", "Origin"]
header = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
values = st.one_of(
    header,
    chosen(["2026-07-28", "2025-11-25", "1999-01-01", "application/json", "text/event-stream"]),
    chosen(["application/json, text/event-stream", "x" * 3000, "null", "a,b"]),
)


@fuzzed(80)
@given(
    path=paths,
    method=chosen(["POST", "POST", "POST", "GET", "DELETE", "PUT", "OPTIONS", "HEAD", "BREW"]),
    headers=st.dictionaries(chosen(names), values, max_size=4),
    body=frames,
)
def test_whatever_comes_over_http_is_answered_with_no_fault_of_ours(
    server: Served, path: str, method: str, headers: dict[str, str], body: bytes
) -> None:
    usual = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before its end
            wire.request(method, path, body, usual | headers)
        answer = wire.getresponse()
        assert answer.status < 500, (answer.status, answer.read())
        said = answer.read() if answer.getheader("Content-Length") and method != "HEAD" else b""
        if answer.status >= 400:
            assert not LEAKS.search(said.decode()), said
    finally:
        wire.close()
    assert server.status("/health") == 200
    assert "Traceback" not in server.said, server.said


@fuzzed(20)
@given(sent=st.one_of(st.binary(max_size=200), flipped(b"POST /mcp HTTP/1.1\r\nHost: a\r\n\r\n")))
def test_what_is_no_http_at_all_is_refused(server: Served, sent: bytes) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as wire,
        contextlib.suppress(ConnectionResetError, BrokenPipeError),
    ):
        wire.sendall(sent)
        wire.shutdown(socket.SHUT_WR)
        assert not wire.recv(200).startswith(b"HTTP/1.1 5")
    assert server.status("/health") == 200
