"""The real server process on its pipes: what clients send first, how it ends, what it imports."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import Client, StdioServerParameters
from support.odd_messages import REFUSED, TAKEN
from support.patience import PATIENCE
from support.stdio_server import MODERN, Pipes, initialized, served

from flex_mcp import open_library

pytestmark = pytest.mark.process


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_a_client_of_the_handshake_era_is_answered_in_its_version(
    tmp_path: Path, version: str
) -> None:
    with served(tmp_path / "library.db") as pipes:
        result = initialized(pipes, version)
        assert result["protocolVersion"] == version
        assert result["serverInfo"]["name"] == "flex-mcp"
        assert "search_experience" in result["instructions"]
        assert len(pipes.ask("tools/list")["result"]["tools"]) == 7
    assert not (tmp_path / "library.db").exists()  # no file before it is needed


def test_a_client_of_the_stateless_era_is_served_without_a_handshake(tmp_path: Path) -> None:
    with served(tmp_path / "library.db") as pipes:
        discovered = pipes.ask("server/discover", _meta=MODERN)["result"]
        assert "search_experience" in discovered["instructions"]
        called = pipes.ask(
            "tools/call", _meta=MODERN, name="search_experience", arguments={"query": "a task"}
        )["result"]
        assert called["structuredContent"]["nothing_relevant"]


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_real_client_works_with_the_real_process(tmp_path: Path, era: Any) -> None:
    arguments = ["-P", "-m", "flex_mcp", "serve", "--library", str(tmp_path / "library.db")]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with Client(server, mode=era) as client:
        recorded = await client.call_tool("record_trajectory", {"task": "x", "outcome": "failure"})
        assert recorded.structured_content["state"] == "pending"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["closed stdin", "SIGTERM", "SIGINT"])
def test_the_server_ends_cleanly_and_what_it_acknowledged_is_stored(
    tmp_path: Path, how: str
) -> None:
    library = tmp_path / "library.db"
    with served(library) as pipes:
        initialized(pipes)
        arguments = {"task": "x", "outcome": "failure"}
        made = pipes.ask("tools/call", name="record_trajectory", arguments=arguments)["result"]
        search = {"query": "an example"}
        found = pipes.ask("tools/call", name="search_experience", arguments=search)["result"]
        if how == "closed stdin":
            assert pipes.process.stdin is not None
            pipes.process.stdin.close()
        else:
            os.kill(pipes.process.pid, getattr(signal, how))
        assert pipes.process.wait(timeout=PATIENCE) == 0
        assert pipes.process.stdout is not None
        assert pipes.process.stdout.read() == ""
    with open_library(library) as reopened:
        id_ = made["structuredContent"]["trajectory_id"]
        assert [one.id for one in reopened.trajectories([id_])] == [id_]
        with reopened.reading() as reading:
            assert reading.retrievals.get(found["structuredContent"]["retrieval_id"]) is not None
    assert not library.with_name("library.db-wal").exists()


def test_the_server_ends_in_silence_when_its_client_goes_away_before_the_answer(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "library.db") as pipes:
        initialized(pipes)
        assert pipes.process.stdout is not None
        pipes.process.stdout.close()
        pipes.send({"jsonrpc": "2.0", "id": 99, "method": "tools/list", "params": {}})
        assert pipes.process.wait(timeout=PATIENCE) == 0
        assert pipes.process.stderr is not None
        assert pipes.process.stderr.read() == ""


def test_garbage_on_stdin_is_survived_and_stdout_carries_the_protocol_only(tmp_path: Path) -> None:
    with served(tmp_path / "library.db") as pipes:
        assert pipes.process.stdin is not None
        pipes.process.stdin.write("this is no JSON\n{}\n[]\n")
        initialized(pipes)
        bad = pipes.ask("tools/call", name="search_experience", arguments={"query": ""})["result"]
        assert bad["isError"]
        assert bad["content"] == [{"type": "text", "text": "query is empty: say it in words"}]


@pytest.mark.parametrize("fast", ["0", "1"])
@pytest.mark.parametrize("when", ["before the handshake", "after it"])
def test_every_line_is_answered_and_the_server_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: str, when: str
) -> None:
    monkeypatch.setenv("FLEX_MCP_FAST_START", fast)
    with served(tmp_path / "library.db") as pipes:
        lines = cast("TextIOWrapper", pipes.process.stdin).buffer
        if when == "after it":
            initialized(pipes)
        lines.write(b"".join(case.sent + b"\n" for case in REFUSED.values()))
        lines.write(b'\n \r\n{"jsonrpc":"2.0","method":"notifications/x","params":[]}\n')
        lines.flush()
        errors = heard(pipes, len(REFUSED))
        if when == "before the handshake":
            initialized(pipes)
        lines.write(b"".join(line + b"\n" for line in TAKEN.values()))
        lines.flush()
        results = heard(pipes, len(TAKEN))
        assert len(pipes.ask("tools/list")["result"]["tools"]) == 7
    for case, said in zip(REFUSED.values(), errors, strict=True):
        assert (said["id"], said["error"]["code"]) == (case.id, case.code)
        assert case.words in said["error"]["message"]
    assert {said["id"] for said in results} == set(range(21, 29))
    assert not any(said["result"]["isError"] for said in results)


def heard(pipes: Pipes, number: int) -> list[dict[str, Any]]:
    """So many messages of the server."""
    assert pipes.process.stdout is not None
    return [json.loads(pipes.process.stdout.readline()) for _ in range(number)]


@pytest.mark.parametrize("fast", ["0", "1"])
def test_a_recording_with_half_of_a_pair_in_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: str
) -> None:
    monkeypatch.setenv("FLEX_MCP_FAST_START", fast)
    with served(tmp_path / "library.db") as pipes:
        initialized(pipes)
        work = {"task": "cut \ud83d", "outcome": "failure", "transcript": "\ude00 low"}
        made = pipes.ask("tools/call", name="record_trajectory", arguments=work)["result"]
        id_ = made["structuredContent"]["trajectory_id"]
    with open_library(tmp_path / "library.db") as library:
        (kept,) = library.trajectories([id_])
    assert (kept.task, kept.transcript) == ("cut \ufffd", "\ufffd low")


def test_the_handshake_imports_no_model_no_storage_and_no_vectors() -> None:
    heavy = ["numpy", "tokenizers", "fastembed", "onnxruntime", "anthropic", "apsw", "sqlite_vec"]
    heavy += ["flask", "django", "fastapi", "aiohttp", "rich.progress", "flex_mcp.library.library"]
    code = f"import sys, flex_mcp.server.server; print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_server_brings_in_no_web_framework_beyond_what_mcp_does() -> None:
    own = top_level_modules("flex_mcp.server.server") - top_level_modules("mcp.server.mcpserver")
    assert own - sys.stdlib_module_names <= {"flex_mcp", "platformdirs"}


def top_level_modules(imported: str) -> set[str]:
    code = (
        f"import json, sys, {imported}; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name for name in json.loads(run.stdout) if not name.startswith("_")}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["closed stdin", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("again", [None, "SIGTERM", "SIGINT"])
def test_a_model_that_does_not_answer_keeps_no_process_and_one_more_signal_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, again: str | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with served(tmp_path / "library.db") as pipes:
            initialized(pipes)
            arguments = {"task": "x", "outcome": "failure"}
            pipes.ask("tools/call", name="record_trajectory", arguments=arguments)
            call: dict[str, Any] = {"name": "distill", "arguments": {}}
            pipes.send({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": call})
            connection, _ = silent.accept()  # it asks now, and waits
            with connection:
                if how == "closed stdin":
                    assert pipes.process.stdin is not None
                    pipes.process.stdin.close()
                else:
                    pipes.process.send_signal(getattr(signal, how))
                if again is not None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        pipes.process.wait(timeout=0.5)  # while it gives up
                    pipes.process.send_signal(getattr(signal, again))
                assert pipes.process.wait(timeout=PATIENCE) == 0
                assert pipes.process.stderr is not None
                assert pipes.process.stderr.read() == ""
    with open_library(tmp_path / "library.db") as library:
        assert library.statistics().by_state == {"pending": 1}


@pytest.mark.parametrize("fast", ["0", "1"])
def test_a_setting_that_cannot_be_used_stops_no_handshake(
    monkeypatch: pytest.MonkeyPatch, fast: str
) -> None:
    monkeypatch.setenv("FLEX_MCP_FAST_START", fast)
    with served(Path("~nobody-is-called-so/library.db")) as pipes:
        initialized(pipes)
        assert len(pipes.ask("tools/list")["result"]["tools"]) == 7
        search = {"query": "a task"}
        called = pipes.ask("tools/call", name="search_experience", arguments=search)["result"]
        assert called["isError"]
        assert "names a home that is not here" in called["content"][0]["text"]
        assert "names a home" in pipes.ask("resources/list")["error"]["message"]
