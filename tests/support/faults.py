"""What is said of a library's file when something goes wrong with it, and a server that hears it."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw

from flex_mcp import __version__, open_library
from flex_mcp.storage.sqlite.file import MIGRATIONS
from support.fakes import a_lesson, add
from support.stdio_server import Pipes, initialized, served

CHANCE = random.Random()

WORK = json.dumps({"task": "x", "outcome": "failure"})

QUERY = "pin the compiler version in the build image"

SAYS = {  # ~/library.db is its path
    "FULL": "no room is left on the disk of ~/library.db: free some space and try again; nothing was stored",
    "DISK": "the disk of ~/library.db failed (disk I/O error): check it, its room, and any limit on the size of files, then try again; nothing was stored",
    "READ_ONLY": "the library ~/library.db cannot be written: make the file and its folder writable, or name another with --library or FLEX_MCP_LIBRARY",
    "UNREACHABLE": "the library ~/library.db cannot be reached (Permission denied): check that its folder can be read",
    "GONE": "the library ~/library.db was deleted or moved while it was in use: put it back, or start flex-mcp again to begin a new one",
    "NONE": "~/library.db is damaged or no library of flex-mcp; it was left as it is: mend it with `flex-mcp doctor --repair --library ~/library.db`, go back to a copy with `flex-mcp restore`, or name another with --library or FLEX_MCP_LIBRARY",
    "VECTORS": "this library's vectors are damaged, so search goes by words alone: run `flex-mcp reindex`",
    "FOREIGN": "~/library.db is an SQLite file of another program; it was left as it is: name another with --library or FLEX_MCP_LIBRARY",
    "MISSING": "there is no library ~/library.db yet: begin one with `flex-mcp record`, `flex-mcp import` or a client (`flex-mcp install`), or check --library and FLEX_MCP_LIBRARY",
    "FOLDER": "the library ~/library.db is a folder: name a file in it",
    "ORPHAN": "~/library.db-wal holds the last changes of a library that is not there: put the library back beside it, or delete it to begin a new one",
    "NEWER": f"the library ~/library.db has schema 99, and this is {__version__}, which knows up to schema {len(MIGRATIONS)}: upgrade flex-mcp",
    "LOCKED": "the library ~/library.db is locked by another process (waited 10 s): try again in a moment",
    "FILES": "the library ~/library.db cannot be opened: too many files are open; close some, or raise the limit (ulimit -n)",
}


def says(name: str, path: Path) -> str:
    return SAYS[name].replace("~/library.db", str(path))


def noise(size: int) -> str:
    """Text that hardly compresses."""
    return CHANCE.randbytes(size).hex()


class Server:
    """A real server on its pipes, and what it acknowledged."""

    def __init__(self, pipes: Pipes, path: Path) -> None:
        initialized(pipes)
        self.pid = pipes.process.pid
        self._pipes = pipes
        self._path = path
        self.acknowledged: list[str] = []

    def call(self, name: str, **arguments: Any) -> tuple[bool, Any]:
        result = self._pipes.ask("tools/call", name=name, arguments=arguments)["result"]
        if result.get("isError"):
            return False, result["content"][0]["text"]
        return True, result["structuredContent"]

    def record(self, size: int = 10) -> None:
        """Something new, which is taken."""
        recorded, answer = self._record(size)
        assert recorded, answer
        self.acknowledged.append(answer["trajectory_id"])

    def record_until_refused(self, size: int) -> str:
        while True:
            recorded, answer = self._record(size)
            if not recorded:
                return answer
            self.acknowledged.append(answer["trajectory_id"])

    def _record(self, size: int) -> tuple[bool, Any]:
        task = {"task": noise(10), "outcome": "failure", "transcript": noise(size)}
        return self.call("record_trajectory", **task)

    def refuses(self, fault: str, *, searches: bool = True, size: int = 10) -> None:
        """A record gets this sentence, and so does a search, unless that goes on."""
        sentence = says(fault, self._path)
        assert self._record(size) == (False, sentence)
        if searches:
            self.search()
        else:
            assert self.call("search_experience", query=QUERY) == (False, sentence)

    def search(self) -> None:
        found, answer = self.call("search_experience", query=QUERY, limit=1)
        assert found, answer
        assert [hit["title"] for hit in answer["hits"]] == [a_lesson().title]

    def works(self) -> None:
        self.record()
        self.search()


def a_library(path: Path) -> Path:
    """One with one lesson, closed."""
    with open_library(path) as library:
        add(library, a_lesson())
    return path


def check_kept(path: Path, *trajectory_ids: str) -> None:
    """The file is sound, and these are in it."""
    with open_library(path) as library:
        found = [one.id for one in library.trajectories(trajectory_ids)]
    assert found == list(trajectory_ids)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(30_000)  # a server may be writing its log
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    connection.close()


def hashes(folder: Path) -> dict[str, str]:
    """Of every file but the -shm, which SQLite makes anew from the others."""
    found = (path for path in folder.iterdir() if path.is_file() and path.suffix != ".db-shm")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def command(*arguments: str | Path, stdin: str = "") -> tuple[int, str]:
    """`flex-mcp` as a process of its own: how it ended, and its sentence."""
    line = [sys.executable, "-P", "-m", "flex_mcp", *map(str, arguments)]
    ended = subprocess.run(line, input=stdin, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr.removeprefix("flex-mcp: ").strip()


def killed(path: Path, records: int = 5) -> list[str]:
    """What a process acknowledged that was killed: its -wal is left."""
    with served(path) as pipes:
        server = Server(pipes, path)
        for _ in range(records):
            server.record(2_000)
        pipes.process.kill()
        pipes.process.wait()
    return server.acknowledged
