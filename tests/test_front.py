"""The front and the live server give the same answers; only the moment differs."""

import functools
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from support.examples import examples
from support.patience import PATIENCE
from support.stdio_server import MODERN, Pipes, initialized

import flex_mcp
from flex_mcp import open_library
from flex_mcp.__main__ import served
from flex_mcp.app import App
from flex_mcp.server.description import description
from flex_mcp.server.server import build_server
from flex_mcp.transports import fast_calls, fast_start

ROOT = Path(__file__).parent.parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors of POSIX")


def request(id_: Any, method: str, params: Any = None, **more: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": id_, "method": method, **more}
    return message if params is None else message | {"params": params}


def initialize(version: Any, id_: Any = 0, **more: Any) -> dict[str, Any]:
    client = {"name": "test", "version": "1"}
    handshake = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
    return request(id_, "initialize", handshake | more)


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LISTS = [request(1, "tools/list"), request(2, "prompts/list", {})]
PROBE = [
    request(0, "server/discover", {"_meta": MODERN}),
    request(1, "tools/list", {"_meta": MODERN}),
    request("p", "prompts/list", {"_meta": MODERN}),
]
CLAUDE: dict[str, Any] = {
    "capabilities": {"roots": {"listChanged": True}, "elicitation": {"form": {}, "url": {}}},
    "clientInfo": {"name": "claude-code", "title": "Claude Code", "version": "2.1.330"},
}

# What clients open with, and some that none should.
OPENINGS: dict[str, Sequence[Any]] = {
    "Claude Code's probe": PROBE,
    "its handshake": [initialize("2025-11-25", **CLAUDE), INITIALIZED, *LISTS],
    "Codex": [initialize("2025-06-18", capabilities={"elicitation": {}}), INITIALIZED, *LISTS],
    "2025-03-26": [initialize("2025-03-26"), INITIALIZED, *LISTS],
    "2024-11-05": [initialize("2024-11-05"), INITIALIZED, *LISTS],
    "an older version": [initialize("2024-10-07"), INITIALIZED, *LISTS],
    "a newer version": [initialize("2099-01-01"), INITIALIZED, *LISTS],
    "the stateless version by handshake": [initialize("2026-07-28"), INITIALIZED, *LISTS],
    "no version": [initialize(""), initialize(None, 5), initialize(7, 6), *LISTS],
    "no parameters": [request(0, "initialize"), request(1, "initialize", {}), *LISTS],
    "odd parameters": [
        initialize("2025-11-25", capabilities={"roots": {"listChanged": "yes, please"}}),
        initialize("2025-11-25", 1, clientInfo={"name": "no version"}),
        initialize("2025-11-25", 2, more=1, _meta={"progressToken": 1}),
        request(3, "tools/list", {"cursor": "x"}),
        request(4, "tools/list", {"cursor": None}),
        request(5, "tools/list", {"_meta": {"progressToken": 3}}),
        request(6, "tools/list", {"_meta": 1}),
    ],
    "a handshake twice": [initialize("2025-06-18"), initialize("2024-11-05", 9), *LISTS],
    "lists before the handshake": [*LISTS, initialize("2025-11-25", 3), request(4, "tools/list")],
    "lists without the notification": [initialize("2025-11-25"), *LISTS],
    "methods that nobody knows": [initialize("2025-11-25"), request(1, "tools/lists"), *PROBE[1:]],
    "old after new": [*PROBE, initialize("2025-11-25", 7), INITIALIZED, request(8, "tools/list")],
    "new after old": [initialize("2025-06-18"), INITIALIZED, *PROBE[1:], request(8, "tools/list")],
    "new versions that are none": [
        request(1, "server/discover", {"_meta": MODERN | {fast_start.VERSION: "2099-01-01"}}),
        request(2, "tools/list", {"_meta": MODERN | {fast_start.VERSION: "2025-06-18"}}),
        request(3, "tools/list", {"_meta": MODERN | {fast_start.VERSION: 3}}),
        request(4, "tools/list", {"_meta": {fast_start.VERSION: "2026-07-28"}}),
        request(5, "tools/list", {"_meta": MODERN, "cursor": "x"}),
    ],
    "a handshake's version without one": [
        request(1, "tools/list", {"_meta": MODERN | {fast_start.VERSION: "2025-06-18"}}),
    ],
    "odd ids": [
        initialize("2025-11-25", 1.0),
        initialize("2025-11-25", None),
        initialize("2025-11-25", id_=True),
        initialize("2025-11-25", "é"),
        request(2**70, "tools/list"),
        request(-1, "tools/list"),
        request("", "tools/list"),
        request("x", "tools/list"),
        request("x", "prompts/list"),
    ],
    "no objects": [[], 3, "x", None, [initialize("2025-11-25")], {}, *LISTS],
    "odd objects": [
        {"id": 1, "method": "initialize"},
        request(1, "initialize", [1]),
        request(3, "ping") | {"jsonrpc": "1.0"},
        request(4, "tools/list", more=1),
        request(5, "resources/list"),
        {"jsonrpc": "2.0", "id": 6, "result": {}},
        INITIALIZED | {"params": {"_meta": {}}},
        INITIALIZED,
    ],
}
TEXTS: dict[str, Sequence[bytes]] = {
    "spaces": [json.dumps(initialize("2025-11-25"), indent=None).encode() + b" \t\r", b""],
    "a return in a line": [json.dumps(initialize("2025-11-25")).encode().replace(b", ", b",\r", 1)],
    "a name twice": [b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'],
    "half a character": [json.dumps(initialize("2025-11-25", "\ud83d")).encode()],
    "no UTF-8": [json.dumps(initialize("2025-11-25", "_")).encode().replace(b"_", b"\xff")],
    "a mark first": [b"\xef\xbb\xbf" + json.dumps(initialize("2025-11-25")).encode()],
    "no numbers": [b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}'],
    "too long": [
        json.dumps(
            initialize("2025-11-25", capabilities={"experimental": {"x": {"y": "z" * 70_000}}})
        ).encode()
    ],
    "too deep": [
        json.dumps(initialize("2025-11-25", capabilities={"experimental": {"x": {}}}))
        .replace('{"x": {}}', '{"x": {"y": %s}}' % ("[" * 300 + "]" * 300))
        .encode()
    ],
}
ALL: dict[str, list[bytes]] = {
    **{name: [json.dumps(one).encode() for one in lines] for name, lines in OPENINGS.items()},
    **{
        name: [*lines, *(json.dumps(one).encode() for one in LISTS)]
        for name, lines in TEXTS.items()
    },
}


# The same answers, in memory: every opening, and random ones.


async def live(lines: Sequence[bytes], app: App | None = None) -> list[dict[str, Any]]:
    """What the server writes for these lines."""
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](100)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](100)
    server = build_server(app or App(library="/nowhere/library.db"))
    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    written: list[dict[str, Any]] = []

    async def until(id_: Any) -> dict[str, Any]:
        async for one in from_server:
            message = one.message.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if message.get("id") == id_:
                return message
            written.append(message)
        raise AssertionError("the server ended")

    async def ping(id_: str) -> None:
        await to_server.send(parsed(json.dumps(request(id_, "ping")).encode()))
        await until(id_)

    async with anyio.create_task_group() as tasks:
        options = low.create_initialization_options()
        tasks.start_soon(low.run, incoming, outgoing, options)
        for line in lines:
            await to_server.send(parsed(line))
        if app is not None:  # a search takes its time
            written.append(await until(json.loads(lines[-1])["id"]))
        await ping("first")  # it may overtake others,
        await ping("second")  # but not twice
        tasks.cancel_scope.cancel()
    for stream in (to_server, incoming, outgoing, from_server):
        stream.close()
    return written


def parsed(line: bytes) -> SessionMessage | Exception:
    try:
        text = line.decode(errors="replace")
        return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
    except ValueError as error:
        return error


def fronted(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """What the front writes before it leaves the rest to the server."""
    opening, written = fast_start.Opening(description()), list[dict[str, Any]]()
    for line in lines:
        answer = opening.answer(line)
        if answer is None:
            break
        if answer:
            written.append(json.loads(answer))
    return written


def by_id(messages: Sequence[dict[str, Any]]) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for message in messages:
        found.setdefault(message.get("id"), []).append(message)
    return found


def agree(lines: Sequence[bytes]) -> int:
    expected, given_ = by_id(anyio.run(live, lines)), by_id(fronted(lines))
    for id_, answers in given_.items():
        assert answers == expected[id_][: len(answers)]
    return len(given_)


@pytest.mark.parametrize("name", ALL)
def test_what_the_front_answers_is_what_the_server_answers(name: str) -> None:
    agree([line for line in ALL[name] if b"\r" not in line])


@pytest.mark.parametrize(
    ("name", "answers"),
    [("Claude Code's probe", 3), ("its handshake", 3), ("Codex", 3), ("2024-11-05", 3)],
)
def test_usual_openings_are_answered_whole(name: str, answers: int) -> None:
    assert len(fronted(ALL[name])) == answers


VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "2099-01-01", ""]
leaves: list[Any] = [None, True, "x", 1, {}]
capabilities: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(
        ["roots", "sampling", "elicitation", "experimental", "extensions", "tasks", "x"]
    ),
    st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.dictionaries(
            st.sampled_from(["listChanged", "form", "url", "tools", "context", "x"]), inner
        ),
        max_leaves=4,
    ),
    max_size=3,
)
clients: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "", 1])},
    optional={
        "version": st.sampled_from(["1", 1]),
        "title": st.sampled_from(["x", None]),
        "websiteUrl": st.just("x"),
        "icons": st.sampled_from(
            [[], [{"src": "x"}], [{"src": 1}], [{"src": "x", "sizes": ["1"]}]]
        ),
    },
)
envelopes: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {fast_start.VERSION: st.sampled_from(VERSIONS)},
    optional={
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": clients,
        "progressToken": st.just(1),
    },
)
plain: list[Any] = [{}, None, [], 1, {"cursor": None}, {"_meta": {}}, {"x": 1}]
parameters: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(plain),
    st.fixed_dictionaries({"_meta": envelopes}, optional={"cursor": st.just("x")}),
    st.fixed_dictionaries(
        {"protocolVersion": st.sampled_from(VERSIONS), "capabilities": capabilities},
        optional={"clientInfo": clients, "_meta": st.sampled_from([{}, {"x": 1}])},
    ),
)
methods = st.sampled_from(
    ["initialize", "server/discover", "tools/list", "prompts/list", "ping", "nonsense"]
)
messages = st.one_of(
    st.sampled_from([message for opening in OPENINGS.values() for message in opening]),
    st.just(INITIALIZED),
    st.builds(request, st.integers(0, 9), methods, parameters),
    st.builds(initialize, st.sampled_from(VERSIONS), capabilities=capabilities),
)


@settings(max_examples=examples(250))
@given(st.lists(messages, min_size=1, max_size=6))
def test_any_mixture_is_answered_as_the_server_answers_it(mixture: list[Any]) -> None:
    agree([json.dumps(message).encode() for message in mixture])


# Searches: the front gives the server's own answer, or leaves them to it.

TASK = "pin the compiler version in the build image"
LESSON = {
    "zone": "golden",
    "level": "pattern",
    "title": "Pin the compiler version",
    "when": "you make a build image",
    "lesson": "Pin the compiler version in the build image before a release.",
}


def search(id_: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    params = {"name": "search_experience", "arguments": arguments}
    return request(id_, "tools/call", params | more)


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Generator[App]:
    app = App(library=str(tmp_path_factory.mktemp("front") / "library.db"))
    app.library.apply([LESSON])
    yield app
    app.close()


def searched(app: App, lines: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What the front answers to the last line."""
    opening = fast_start.Opening(description(), functools.partial(fast_calls.answered, app))
    answers = [opening.answer(json.dumps(line).encode()) for line in lines]
    return None if answers[-1] is None else json.loads(answers[-1])


def same(answer: dict[str, Any]) -> str:
    """An answer without what each search makes anew."""
    id_ = answer["result"]["structuredContent"]["retrieval_id"]
    return json.dumps(answer, sort_keys=True).replace(id_, "r_")


@pytest.mark.parametrize(
    "lines",
    [
        [initialize("2024-11-05"), INITIALIZED, search(1, {"query": TASK})],
        [initialize("2025-11-25"), INITIALIZED, search(1, {"query": TASK, "limit": 1})],
        [
            initialize("2025-11-25"),
            INITIALIZED,
            search("a", {"query": TASK}, _meta={"progressToken": 3, "claudecode/toolUseId": "x"}),
        ],
        [search(1, {"query": "soak the beans overnight"}, _meta=MODERN)],
        [search(1, {"query": TASK}, _meta=MODERN | {"progressToken": "p"})],
    ],
)
def test_a_usual_search_is_answered_as_the_server_answers_it(
    lessons: App, lines: list[dict[str, Any]]
) -> None:
    fast = searched(lessons, lines)
    assert fast is not None
    (slow,) = by_id(anyio.run(live, [json.dumps(line).encode() for line in lines], lessons))[
        lines[-1]["id"]
    ]
    assert same(fast) == same(slow)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"query": " "},
        {"query": 3},
        {"query": "x" * 30_000},
        {"query": TASK, "limit": 0},
        {"query": TASK, "limit": True},
        {"query": TASK, "limit": None},
        {"query": TASK, "levels": ["pattern"]},
        {"query": TASK, "more": 1},
        [],
    ],
)
def test_any_other_search_is_the_servers(lessons: App, arguments: Any) -> None:
    assert searched(lessons, [search(1, arguments, _meta=MODERN)]) is None


@pytest.mark.parametrize(
    "lines",
    [
        [search(1, {"query": TASK})],
        [initialize("2025-11-25"), search(1, {"query": TASK})],
        [search(1, {"query": TASK}, _meta={**MODERN, fast_start.CLIENT_INFO: {}})],
        [search(1, {"query": TASK}, task={"ttl": 1}, _meta=MODERN)],
        [
            initialize("2025-11-25"),
            INITIALIZED,
            search(1, {"query": TASK}, _meta={"io.modelcontextprotocol/related-task": {}}),
        ],
        [
            request(1, "tools/call", {"name": "distill", "arguments": {}, "_meta": MODERN}),
        ],
    ],
)
def test_a_search_by_no_plain_client_is_the_servers(
    lessons: App, lines: list[dict[str, Any]]
) -> None:
    assert searched(lessons, lines) is None


def test_a_search_that_fails_is_the_servers(tmp_path: Path) -> None:
    (tmp_path / "library.db").write_text("no library")
    app = App(library=str(tmp_path / "library.db"))
    assert searched(app, [search(1, {"query": TASK}, _meta=MODERN)]) is None


# Real processes: the front with the server behind it.


@contextmanager
def running(*arguments: str, pass_fds: Sequence[int] = ()) -> Generator[Pipes]:
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        pass_fds=pass_fds,
    ) as process:
        try:
            yield Pipes(process)
        finally:
            process.kill()


def said(lines: Sequence[bytes], library: Path) -> tuple[dict[Any, Any], int]:
    """All that a real process answers, and how it ends."""
    end = [json.dumps(request(name, "ping")).encode() for name in ("first", "second")]
    heard: list[dict[str, Any]] = []
    with running("-P", "-m", "flex_mcp", "serve", "--library", str(library)) as pipes:
        stdin, stdout = pipes.process.stdin, pipes.process.stdout
        assert isinstance(stdin, io.TextIOWrapper)
        assert stdout is not None
        for batch in ([*lines, end[0]], [end[1]]):
            stdin.buffer.write(b"".join(line + b"\n" for line in batch))
            stdin.flush()
            while not heard or heard[-1].get("id") != json.loads(batch[-1])["id"]:
                heard.append(json.loads(stdout.readline()))
        stdin.close()
        heard += [json.loads(line) for line in stdout]
        return by_id(heard), pipes.process.wait(timeout=PATIENCE)


@pytest.mark.process
@pytest.mark.parametrize(
    "name",
    [
        "Claude Code's probe",
        "its handshake",
        "2024-11-05",
        "odd ids",
        "a return in a line",
        "spaces",
    ],
)
def test_the_real_process_answers_as_without_a_front(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = said(ALL[name], tmp_path / "library.db")
    monkeypatch.setenv("FLEX_MCP_FAST_START", "0")
    assert fast == said(ALL[name], tmp_path / "library.db")
    assert fast[1] == 0


SLOW = """
import os, sys
from flex_mcp.transports.process import Process
from flex_mcp.transports import fast_calls, fast_start
class Slow(Process):
    def server(self):
        print("not for the client")
        if os.read(int(sys.argv[1]), 1) != b"1":
            raise RuntimeError("it cannot be loaded")
        return super().server()
fast_start.serve(Slow(sys.argv[2]))
"""


class Slow(Pipes):
    """A server that loads when it is let."""

    def __init__(self, process: subprocess.Popen[str], gate: int) -> None:
        super().__init__(process)
        self._gate = gate

    def load(self, *, fails: bool = False) -> None:
        os.write(self._gate, b"0" if fails else b"1")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def slow(tmp_path: Path) -> Generator[Slow]:
    if sys.platform == "win32":
        pytest.skip("descriptors of POSIX")
    wait, gate = os.pipe()
    library = str(tmp_path / "library.db")
    with running("-c", SLOW, str(wait), library, pass_fds=[wait]) as pipes:
        yield Slow(pipes.process, gate)
    os.close(wait)
    os.close(gate)


@pytest.mark.process
def test_the_handshake_and_the_lists_wait_for_nothing(slow: Slow, tmp_path: Path) -> None:
    initialized(slow)
    assert len(slow.ask("tools/list")["result"]["tools"]) >= 7
    assert "prompts" in slow.ask("prompts/list")["result"]
    slow.load()
    arguments = {"query": "x", "levels": ["pattern"]}  # the server's business
    found = slow.ask("tools/call", name="search_experience", arguments=arguments)["result"]
    id_ = found["structuredContent"]["retrieval_id"]
    code, out, err = slow.end()
    assert (code, out, err) == (0, "", "not for the client\n")
    with open_library(tmp_path / "library.db") as library, library.reading() as reading:
        retrieval = reading.retrievals.get(id_)
        assert retrieval is not None
        assert retrieval.client == "codex 0.169.0"  # the server heard the handshake too


@pytest.mark.process
def test_a_usual_search_waits_for_nothing_and_is_kept(slow: Slow, tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        library.apply([LESSON])
    initialized(slow)
    found = slow.ask("tools/call", name="search_experience", arguments={"query": TASK})["result"]
    assert [hit["title"] for hit in found["structuredContent"]["hits"]] == [LESSON["title"]]
    os.kill(slow.process.pid, signal.SIGTERM)
    assert slow.end()[:2] == (0, "")
    with open_library(tmp_path / "library.db") as library, library.reading() as reading:
        retrieval = reading.retrievals.get(found["structuredContent"]["retrieval_id"])
        assert retrieval is not None
        assert retrieval.client == "codex 0.169.0"


@pytest.mark.process
def test_a_client_that_asks_much_without_a_pause_is_answered_whole(slow: Slow) -> None:
    initialized(slow)
    slow.load()
    long = "x" * 1_000
    for number in range(200):  # more than the system's pipe holds
        slow.send(request(f"{number} {long}", "ping"))
        assert slow.process.stdout is not None
        assert json.loads(slow.process.stdout.readline())["id"].startswith(f"{number} ")
    assert "resources" in slow.ask("resources/list")["result"]
    assert slow.end()[:2] == (0, "")


@pytest.mark.process
@posix
def test_a_second_signal_does_not_cut_the_end_short(slow: Slow, tmp_path: Path) -> None:
    initialized(slow)
    found = slow.ask("tools/call", name="search_experience", arguments={"query": TASK})["result"]
    for _ in range(2):
        os.kill(slow.process.pid, signal.SIGTERM)
    assert slow.end()[:2] == (0, "")
    with open_library(tmp_path / "library.db") as library, library.reading() as reading:
        assert reading.retrievals.get(found["structuredContent"]["retrieval_id"]) is not None


@pytest.mark.process
def test_the_server_takes_over_the_library_that_was_searched(slow: Slow) -> None:
    initialized(slow)
    found = slow.ask("tools/call", name="search_experience", arguments={"query": TASK})["result"]
    assert found["structuredContent"]["nothing_relevant"]
    slow.load()
    lesson = {name: value for name, value in LESSON.items() if value}
    made = slow.ask(
        "tools/call",
        name="record_trajectory",
        arguments={"task": TASK, "outcome": "failure", "transcript": "x", "lessons": [lesson]},
    )["result"]
    assert not made["isError"]
    found = slow.ask("tools/call", name="search_experience", arguments={"query": TASK})["result"]
    assert len(found["structuredContent"]["hits"]) == 1
    assert slow.end()[:2] == (0, "")


@pytest.mark.process
@pytest.mark.usefixtures("broken_sdk")
def test_a_client_that_only_searches_needs_no_sdk() -> None:
    with running("-P", "-m", "flex_mcp") as pipes:
        initialized(pipes)
        found = pipes.ask("tools/call", name="search_experience", arguments={"query": TASK})
        assert found["result"]["structuredContent"]["nothing_relevant"]
        assert pipes.process.communicate(timeout=PATIENCE) == ("", "")
        assert pipes.process.returncode == 0


@pytest.mark.process
def test_what_the_front_does_not_know_waits_for_the_server_in_order(slow: Slow) -> None:
    initialized(slow)
    slow.send(request("a", "ping"))
    slow.send(request("b", "tools/list"))
    slow.load()
    ids: set[str] = set()
    for _ in range(2):
        assert slow.process.stdout is not None
        ids.add(json.loads(slow.process.stdout.readline())["id"])
    assert ids == {"a", "b"}
    assert slow.end()[:2] == (0, "")


@pytest.mark.process
def test_a_request_may_come_in_pieces(slow: Slow) -> None:
    assert slow.process.stdin is not None
    assert slow.process.stdout is not None
    text = json.dumps(initialize("2025-11-25", title="é"))
    slow.process.stdin.write(text[:40])
    slow.process.stdin.flush()
    slow.load()
    slow.process.stdin.write(text[40:] + "\n")
    slow.process.stdin.flush()
    assert json.loads(slow.process.stdout.readline())["result"]["protocolVersion"] == "2025-11-25"
    assert slow.end()[:2] == (0, "")


@pytest.mark.process
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_cleanly_before_the_server_is_there(
    slow: Slow, tmp_path: Path, how: str
) -> None:
    initialized(slow)
    os.kill(slow.process.pid, getattr(signal, how))
    assert slow.end()[:2] == (0, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_a_client_that_leaves_early_hears_no_answer_twice(slow: Slow, tmp_path: Path) -> None:
    initialized(slow)
    slow.ask("tools/list")
    slow.send(request("late", "ping"))
    assert slow.process.stdin is not None
    slow.process.stdin.close()
    slow.load()
    assert slow.process.stdout is not None
    heard = [json.loads(line) for line in slow.process.stdout]
    assert [message["id"] for message in heard] in ([], ["late"])  # as the SDK has it
    assert slow.process.wait(timeout=PATIENCE) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_an_error_while_it_loads_reaches_the_user(slow: Slow) -> None:
    initialized(slow)
    slow.send(request("x", "resources/list"))
    slow.load(fails=True)
    code, out, err = slow.end()
    assert (code, out) == (1, "")
    assert "RuntimeError: it cannot be loaded" in err


@pytest.mark.process
def test_a_client_that_reads_late_loses_nothing(tmp_path: Path) -> None:
    lines = [initialize("2025-11-25"), INITIALIZED]
    lines += [request(number, "tools/list") for number in range(1, 101)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with running(
        "-P", "-m", "flex_mcp", "serve", "--library", str(tmp_path / "library.db")
    ) as pipes:
        process = pipes.process
        assert process.stdin is not None
        assert process.stdout is not None
        writer = threading.Thread(target=lambda: pipes.process.stdin.write(text))  # pyright: ignore[reportOptionalMemberAccess]
        writer.start()
        ids = [json.loads(process.stdout.readline())["id"] for _ in range(101)]
        writer.join()
        assert sorted(ids) == list(range(101))
        big = "x" * 1_000_000
        made = pipes.ask(
            "tools/call",
            name="record_trajectory",
            arguments={"task": "x", "outcome": "failure", "transcript": big},
        )
        assert made["result"]["structuredContent"]["state"] == "pending"


# When there is a front.


@pytest.fixture
def broken_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK that cannot be imported."""
    (tmp_path / "mcp").mkdir()
    text = "raise RuntimeError('this SDK is broken')"
    (tmp_path / "mcp" / "__init__.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")


@pytest.mark.process
@pytest.mark.usefixtures("broken_sdk")
def test_the_command_starts_with_the_front() -> None:
    with running("-P", "-m", "flex_mcp") as pipes:
        initialized(pipes)
        pipes.send(request("x", "ping"))
        pipes.send(request("y", "resources/list"))  # what only the server answers
        _, err = pipes.process.communicate(timeout=PATIENCE)
        assert "this SDK is broken" in err
        assert pipes.process.returncode == 1


@pytest.mark.process
@pytest.mark.usefixtures("broken_sdk")
@pytest.mark.parametrize("setting", ["FLEX_MCP_FAST_START=0", "FLEX_MCP_SKILLS=1"])
def test_a_setting_starts_the_server_plainly(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*setting.split("="))
    with running("-P", "-m", "flex_mcp") as pipes:
        text = json.dumps(initialize("2025-11-25")) + "\n"
        out, err = pipes.process.communicate(text, timeout=PATIENCE)
        assert out == ""
        assert "this SDK is broken" in err


@pytest.mark.process
def test_the_front_imports_the_standard_library_only() -> None:
    code = "import sys; before = set(sys.modules); import flex_mcp.__main__; print(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = run.stdout.split()
    own = {name for name in names if name.split(".")[0] == flex_mcp.__name__}
    assert own == {
        "flex_mcp",
        "flex_mcp.__main__",
        "flex_mcp.server",
        "flex_mcp.server.description",
        "flex_mcp.transports",
        "flex_mcp.transports.fast_start",
        "flex_mcp.transports.process",
        "flex_mcp.version",
    }
    assert {name.split(".")[0] for name in names} - own <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("words", "library"),
    [
        ("", ""),
        ("serve", ""),
        ("serve --transport stdio", ""),
        ("serve --transport=stdio --library=x.db", "x.db"),
        ("serve --library x.db", "x.db"),
        ("--library x.db serve", "x.db"),
        ("--library x.db", "x.db"),
        ("--library=a=b.db", "a=b.db"),
        ("serve --transport http", None),
        ("serve --library", None),
        ("serve --library --help", None),
        ("serve --library a --library b", None),
        ("serve --help", None),
        ("serve serve", None),
        ("--transport stdio", None),
        ("--version", None),
        ("search x", None),
    ],
)
def test_only_a_plain_start_over_stdio_has_a_front(words: str, library: str | None) -> None:
    assert served(words.split()) == library
