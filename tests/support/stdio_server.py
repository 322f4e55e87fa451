"""The server process on its pipes."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODERN: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"roots": {}, "elicitation": {"form": {}}},
    "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "2.1.330"},
}


class Pipes:
    """A server process, spoken to line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._id = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._id += 1
        self.send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        while True:
            assert self.process.stdout is not None
            message: dict[str, Any] = json.loads(self.process.stdout.readline())
            if message.get("id") == self._id:
                return message

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()


@contextmanager
def served(library: Path) -> Generator[Pipes]:
    command = [sys.executable, "-P", "-m", "flex_mcp", "serve", "--library", str(library)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Pipes(process)
        finally:
            process.kill()


def initialized(pipes: Pipes, version: str = "2025-11-25") -> dict[str, Any]:
    client = {"name": "codex", "version": "0.169.0"}
    result = pipes.ask(
        "initialize", protocolVersion=version, capabilities={"elicitation": {}}, clientInfo=client
    )["result"]
    pipes.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return result
