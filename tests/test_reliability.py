"""The benchmark of reliability, for a few seconds: real processes, killed at random."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

RELIABILITY = Path(__file__).parents[1] / "benchmarks" / "reliability.py"


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_nothing_that_was_acknowledged_is_lost_by_processes_that_are_killed(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    line = [sys.executable, str(RELIABILITY), "--minutes", "0.2", "--json", str(results)]
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    (row,) = json.loads(results.read_text(encoding="utf-8"))["rows"]
    found = {name: row[name] for name in ("lost", "errors", "faults of the file", "left behind")}
    assert found == dict.fromkeys(found, 0), ran.stdout
    assert row["kills"] > 0
    assert row["acknowledged"] == row["found"]
