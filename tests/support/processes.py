"""Processes that work on a library, and whether they left it whole."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from flex_mcp import open_library
from flex_mcp.models import Filter

WORKER = Path(__file__).with_name("worker.py")


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
                found = reading.words.matching([line["marker"]], depth=9, wanted=Filter())
                assert [row.id for row in found] == [experience.id]
                (vector, _) = reading.vectors.of([experience.id])[experience.id]
                found = reading.vectors.nearest(vector, depth=1_000, wanted=Filter())
                assert experience.id in [row.id for row in found if row.score > 0.999]
        counts = library.statistics()
        assert counts.trajectories == counts.experiences == counts.revisions
