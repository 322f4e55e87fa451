"""Processes record and search at once on one file, and one that writes is killed every second.

    python benchmarks/reliability.py [--minutes 2] [--processes 8] [--json FILE]

Four searches for one record of 1 to 50 KB, every other with a lesson. Two of the processes are
`flex-mcp` servers on their pipes, the others open the library from Python. What a process says that
it acknowledged is written down here, and looked up at the end; then the file and its indexes are
compared with the tables. A retrieval may be lost with its process; everything else may not.
"""

import argparse
import contextlib
import itertools
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from testbed import ceiling, write

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.errors import FlexError
from flex_mcp.storage.sqlite import file, search_index
from flex_mcp.storage.sqlite.queries import runner
from flex_mcp.tools.arguments import RecordArguments, SearchArguments
from flex_mcp.tools.tools import Caller, record_trajectory, search_experience
from flex_mcp.validation import checked

SERVERS = 2
SEARCHES = 0.8
WORDS = [first + last for first in "abcdefghijklmnoprst" for last in ("arbor", "istle", "umber")]
CHANCE = random.Random()
WAITING = "no lessons yet"  # what a session is told once, which is no error


@dataclass
class Seen:
    """What the processes said: ids that were acknowledged, errors, and milliseconds a call."""

    trajectories: list[str] = field(default_factory=list[str])
    experiences: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    records: list[float] = field(default_factory=list[float])
    searches: list[float] = field(default_factory=list[float])
    kills: int = 0
    left_behind: int = 0

    def take(self, milliseconds: float, answer: dict[str, Any] | str) -> None:
        if isinstance(answer, str):
            self.errors.append(answer)
        elif "hits" in answer:
            self.searches.append(milliseconds)
            notice = answer.get("notice", "")
            self.errors += [notice] if notice and WAITING not in notice else []
        else:
            self.records.append(milliseconds)
            self.trajectories.append(answer["trajectory_id"])
            self.experiences += [one["experience_id"] for one in answer["decisions"]]


def calls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Tools and their arguments, without end."""
    while True:
        words = " ".join(CHANCE.choices(WORDS, k=CHANCE.randint(150, 8_000)))
        if CHANCE.random() < SEARCHES:
            yield "search_experience", {"query": words[:300]}
            continue
        lesson = {"zone": "golden", "level": "pattern", "title": words[:60], "when": words[60:160]}
        lesson |= {"lesson": words[:400], "action": "add"}
        task = {"task": words[:200], "outcome": "success", "transcript": words}
        yield "record_trajectory", task | {"lessons": [lesson] * CHANCE.randint(0, 1)}


class Process:
    """A process that is told what to do, one line a call, and answers with one."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603

    def say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next line.

        Raises:
            BrokenPipeError: it has ended.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise BrokenPipeError
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int | None:
        """Let it finish; how it ended, or None where it does not."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=60)
        code = self._process.poll()
        self._process.kill()
        return code


class FromPython(Process):
    """Opens the library by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__([sys.executable, __file__, "--worker", str(path)])

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any] | str:
        self.say({"tool": tool, "arguments": arguments})
        return self.hear()["answer"]


class Served(Process):
    """The server, as a client starts it."""

    def __init__(self, path: Path) -> None:
        super().__init__([sys.executable, "-P", "-m", "flex_mcp", "serve", "--library", str(path)])
        client = {"name": "reliability", "version": "1"}
        given = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        self._ids = itertools.count()
        with contextlib.suppress(OSError):  # killed so soon
            self._ask("initialize", given)
            self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        while True:
            message = self.hear()
            if message.get("id") == number:
                return message["result"]

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any] | str:
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            return result["content"][0]["text"]
        return result["structuredContent"]


class Place:
    """One of the processes, and whoever takes its place when it is killed."""

    def __init__(
        self, start: Callable[[], FromPython | Served], seen: Seen, ended: threading.Event
    ) -> None:
        self._start, self._seen, self._ended = start, seen, ended
        self._killed = self._wrote = False
        self._process: FromPython | Served | None = None
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def kill(self) -> bool:
        """Kill what runs there; False where it has not recorded anything yet."""
        process = self._process
        if process is None or self._killed or not self._wrote:
            return False
        self._killed = True
        process.kill()
        return True

    def _work(self) -> None:
        while not self._ended.is_set():
            self._process = process = self._start()
            with contextlib.suppress(OSError):
                self._live(process)
            killed = self._killed
            self._process = None
            code = process.end()
            self._seen.left_behind += code is None
            if code and not killed:
                self._seen.errors.append(f"a process ended by itself with {code}")
            self._killed = self._wrote = False

    def _live(self, process: FromPython | Served) -> None:
        process.call("search_experience", {"query": "what loads all that it needs"})
        for tool, arguments in calls():
            if self._ended.is_set():
                return
            started = time.monotonic()
            answer = process.call(tool, arguments)
            self._seen.take(1_000 * (time.monotonic() - started), answer)
            self._wrote = self._wrote or tool == "record_trajectory"


def run(path: Path, seconds: float, processes: int) -> Seen:
    """Let them work for so long, and on until one was killed, and kill one a second."""
    seen, ended = Seen(), threading.Event()
    starts = [Served if place < SERVERS else FromPython for place in range(processes)]
    places = [Place(lambda start=start: start(path), seen, ended) for start in starts]
    until = time.monotonic() + seconds
    while time.monotonic() < until or not seen.kills:
        time.sleep(1)
        CHANCE.shuffle(places)
        seen.kills += any(place.kill() for place in places)
    ended.set()
    for place in places:
        place.thread.join()
    return seen


def worker(path: Path) -> None:
    """Do what stdin says, until it ends."""
    app, caller = App(library=str(path)), Caller("reliability", None)
    tools: dict[str, tuple[Any, Any]] = {
        "search_experience": (search_experience, SearchArguments),
        "record_trajectory": (record_trajectory, RecordArguments),
    }
    for line in sys.stdin:
        asked = json.loads(line)
        function, takes = tools[asked["tool"]]
        try:
            answer: Any = function(app, checked(takes, asked["arguments"]), caller).content
        except FlexError as error:
            answer = str(error)
        sys.stdout.write(json.dumps({"answer": answer}) + "\n")
        sys.stdout.flush()
    app.close()


def found(path: Path, seen: Seen) -> int:
    """How many of the ids that were acknowledged are there."""
    with open_library(path) as library:
        trajectories = library.trajectories(seen.trajectories)
        return len(trajectories) + len(library.get(seen.experiences))


def faults(path: Path) -> list[str]:
    """What is wrong with the file, its keys and its indexes."""
    with contextlib.closing(file.connect(path)) as connection:
        wrong = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        wrong = [] if wrong == ["ok"] else wrong
        wrong += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")

        def rows(question: str) -> set[tuple[Any, ...]]:
            return {tuple(row) for row in connection.execute(question)}

        active = "(SELECT number FROM experiences WHERE status = 'active')"
        if rows("SELECT id FROM words_docsize") != rows(active[1:-1]):
            wrong.append("the words are not those of the active experiences")
        if search_index.mistakes(runner(connection)):
            wrong.append("the vectors are not those of the experiences")
    return wrong


def row(seen: Seen, there: int, wrong: list[str]) -> dict[str, Any]:
    acknowledged = len(seen.trajectories) + len(seen.experiences)
    made: dict[str, Any] = {
        "kills": seen.kills,
        "searches": len(seen.searches),
        "records": len(seen.records),
        "acknowledged": acknowledged,
        "found": there,
        "lost": acknowledged - there,
        "errors": len(seen.errors),
        "faults of the file": len(wrong),
        "left behind": seen.left_behind,
    }
    for name, times in (("search", seen.searches), ("record", seen.records)):
        cuts = statistics.quantiles(times, n=100) if len(times) > 1 else [0.0] * 99
        made |= {f"{name} p50 ms": round(cuts[49], 1), f"{name} p99 ms": round(cuts[98], 1)}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        worker(given.worker)
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        seen = run(path, 60 * given.minutes, given.processes)
        wrong = faults(path)
        made = row(seen, found(path, seen), wrong)
    for name, value in made.items():
        print(f"{name:<20} {value}")
    for problem in [*wrong, *seen.errors][:10]:
        print(problem)
    of_all = ("lost", "errors", "faults of the file", "left behind")
    goals = [ceiling(name, 0, made[name]) for name in of_all]
    write(given.json, {"rows": [made], "goals": goals})


if __name__ == "__main__":
    main()
