"""What the benchmarks over stdio share: a server process, spoken to line by line, and texts."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import Any

from testbed import TestSet, fill, read

from flex_mcp import open_library
from flex_mcp.models import TITLE_LIMIT, Action, Lesson, Level, Zone

BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
def noop(query: str) -> str:
    return query
server.run()
"""
SYLLABLES = [first + last for first in "bdfghklmnprstvz" for last in ("a", "el", "in", "or", "um")]
VOCABULARY = 20_000  # words; the n-th is n times as rare as the first, as in a language


class Server:
    """A server process, and the milliseconds since it was started."""

    def __init__(self, command: Sequence[str], **settings: str) -> None:
        kept = ("FLEX_MCP_", "ANTHROPIC_", "PYTHONDONTWRITEBYTECODE")
        variables = os.environ.items()  # noqa: TID251  the user's own must not colour the figures
        environment = {name: value for name, value in variables if not name.startswith(kept)}
        self._started = perf_counter()
        self._process = subprocess.Popen(  # noqa: S603  of our own making
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | settings,
        )
        self._id = 0

    @property
    def age(self) -> float:
        return 1000 * (perf_counter() - self._started)

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params or {}})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: Mapping[str, Any] = json.loads(line)
            if answer.get("id") == self._id:
                result: Mapping[str, Any] = answer["result"]
                if result.get("isError"):
                    break
                return result
        raise SystemExit(f"{method} failed: {self._process.args}")

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def initialize(self) -> None:
        client = {"name": "benchmark", "version": "1"}
        self.ask(
            "initialize",
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client},
        )
        self._send({"method": "notifications/initialized"})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def started(command: Sequence[str], **settings: str) -> Generator[Server]:
    server = Server(command, **settings)
    try:
        yield server
    finally:
        server.close()


def ours(library: Path) -> list[str]:
    return [sys.executable, "-m", "flex_mcp", "serve", "--library", str(library)]


def bare() -> list[str]:
    return [sys.executable, "-c", BARE]


def texts(folder: Path | None, length: int) -> TestSet:
    """A set's first documents with its queries; synthesised ones without a folder."""
    if folder is not None:
        whole = read(folder)
        documents = dict(list(whole.documents.items())[:length])
        return TestSet(whole.name, documents, whole.queries, whole.relevant)
    chance = random.Random(1)  # noqa: S311  no secret
    words = list({"".join(chance.choices(SYLLABLES, k=3)): None for _ in range(VOCABULARY)})
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))

    def text(length: int) -> str:
        return " ".join(chance.choices(words, cum_weights=weights, k=length))

    documents = {str(number): _lesson(chance, text) for number in range(length)}
    queries = {str(number): text(20) for number in range(200)}
    return TestSet("synthesised", documents, queries, {})


def _lesson(chance: random.Random, text: Callable[[int], str]) -> Lesson:
    return Lesson(
        zone=chance.choice(list(Zone)),
        level=chance.choice(list(Level)),
        title=text(8)[:TITLE_LIMIT],
        when=text(12),
        lesson=text(60),
        action=Action.ADD,
    )


def stock(path: Path, documents: Mapping[str, Lesson]) -> None:
    with open_library(path) as library:
        fill(library, documents)
