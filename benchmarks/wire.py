"""What the benchmarks over stdio share: a server process, spoken to line by line, and texts."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
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
WORD = re.compile("[a-z]{4,}$")
SUBJECTS, SUBJECT = 200, 60  # subjects, and words of one
OWN, JOINED = 0.5, 0.2  # shares of words: the subject's, two in one


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
    return [sys.executable, "-P", "-m", "flex_mcp", "serve", "--library", str(library)]


def bare() -> list[str]:
    return [sys.executable, "-c", BARE]


def texts(folder: Path | None, length: int) -> TestSet:
    """A set's first documents with its queries; synthesised ones without a folder."""
    if folder is not None:
        whole = read(folder)
        documents = dict(list(whole.documents.items())[:length])
        return TestSet(whole.name, documents, whole.queries, whole.relevant)
    speak = Speaker(random.Random(1))
    documents = {str(number): speak.lesson() for number in range(length)}
    queries = {str(number): speak.text(speak.subject(), 20) for number in range(200)}
    return TestSet("synthesised", documents, queries, {})


class Speaker:
    """Texts that cost a search what real ones do.

    The words are those that the tokenizer of the offline embedder knows, the frequent ones as much
    more frequent as in a language; half of a text's words are its subject's, and some are two in
    one, as identifiers are: 1.4 tokens a word, as in FLEX's lessons.
    """

    def __init__(self, chance: random.Random) -> None:
        path = files("flex_mcp.search") / "vectors" / "tokenizer.json"
        places: Mapping[str, int] = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
        self._words = [word for word in sorted(places, key=places.__getitem__) if WORD.match(word)]
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))
        self._subjects = [chance.sample(self._words, SUBJECT) for _ in range(SUBJECTS)]
        self._chance = chance

    def subject(self) -> Sequence[str]:
        return self._chance.choice(self._subjects)

    def lesson(self) -> Lesson:
        subject = self.subject()
        return Lesson(
            zone=self._chance.choice(list(Zone)),
            level=self._chance.choice(list(Level)),
            title=self.text(subject, 8)[:TITLE_LIMIT],
            when=self.text(subject, 12),
            lesson=self.text(subject, 60),
            action=Action.ADD,
        )

    def text(self, subject: Sequence[str], length: int) -> str:
        return " ".join(self._word(subject) for _ in range(length))

    def _word(self, subject: Sequence[str]) -> str:
        if self._chance.random() < JOINED:
            return f"{self._plain(subject)}_{self._plain(subject)}"
        return self._plain(subject)

    def _plain(self, subject: Sequence[str]) -> str:
        if self._chance.random() < OWN:
            return self._chance.choice(subject)
        return self._chance.choices(self._words, cum_weights=self._weights)[0]


def stock(path: Path, documents: Mapping[str, Lesson]) -> None:
    with open_library(path) as library:
        fill(library, documents)
