"""Real processes on one file at once; test_faults.py has what goes wrong with them."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from flex_mcp import open_library
from flex_mcp.models import Filter

pytestmark = pytest.mark.process

CHANCE = random.Random()  # noqa: S311  no secret: when to kill
WORKER = Path(__file__).parent / "support" / "worker.py"


class Worker:
    """A started worker.py; it has said that it is ready, and waits."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-W", "error", str(WORKER), *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.line() == {"ready": True}

    def line(self) -> dict[str, Any]:
        assert self.process.stdout
        text = self.process.stdout.readline()
        if not text:
            pytest.fail(f"the worker ended: {self.process.communicate()[1]}")
        return json.loads(text)

    def go(self) -> None:
        self.tell("go")

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def rest(self) -> list[dict[str, Any]]:
        """All that it still says; what a kill cut off is no line."""
        out, _ = self.process.communicate()
        return [json.loads(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]

    def end(self) -> list[dict[str, Any]]:
        """All that it still says until it ends by itself."""
        out, err = self.process.communicate()
        assert (self.process.returncode, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def started(*arguments: str | Path) -> Worker:
        workers.append(Worker(*arguments))
        return workers[-1]

    yield started
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def check_whole(path: Path, acknowledged: list[dict[str, Any]]) -> None:
    """The file is sound, and all that was acknowledged is there and can be found."""
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    connection.close()
    with open_library(path) as library:
        for line in acknowledged:
            assert library.trajectories([line["trajectory"]]), line
            (experience,) = library.get([line["experience"]])
            assert experience.evidence == (line["trajectory"],)
            assert [one.revision for one in library.history(experience.id)] == [1]
            with library.reading() as reading:
                found = reading.matching([line["marker"]], depth=9, wanted=Filter())
                assert [row.id for row in found] == [experience.id]
                (vector,) = reading.vectors([experience.id])[experience.id]
                found = reading.nearest(vector, depth=1_000, wanted=Filter())
                assert experience.id in [row.id for row in found if row.score > 0.999]
        counts = library.statistics()
        assert counts.trajectories == counts.experiences == counts.revisions


# At once


def test_eight_processes_open_a_new_file_at_once(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    workers = [start("open", tmp_path / "library.db") for _ in range(8)]
    for worker in workers:
        worker.go()
    answers = [line for worker in workers for line in worker.end()]
    assert len(answers) == 8
    assert len({line["library_id"] for line in answers}) == 1


def test_two_processes_on_a_new_file_lose_nothing_and_see_what_they_wrote(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path, rounds = tmp_path / "library.db", 25
    workers = [start("churn", path, name, str(rounds)) for name in ("one", "two")]
    for worker in workers:
        worker.go()
    answers = [worker.end() for worker in workers]
    written = [line for lines in answers for line in lines if "marker" in line]
    assert len(written) == 2 * rounds
    for lines in answers:
        for wrote, found in zip(lines[::2], lines[1::2], strict=True):
            assert wrote["experience"] in found["hits"]
            assert found["retrieval_id"]
            assert found["notices"] == []
    with open_library(path) as library, library.reading() as reading:
        for line in (line for lines in answers for line in lines[1::2]):
            retrieval = reading.retrieval(line["retrieval_id"])
            assert retrieval is not None
            assert set(retrieval.served) == set(line["hits"])
    check_whole(path, written)
