"""Real processes on one file at once; test_faults.py has what goes wrong with them."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import Worker, check_whole

from flex_mcp import open_library

pytestmark = pytest.mark.process

CHANCE = random.Random()
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
            retrieval = reading.retrievals.get(line["retrieval_id"])
            assert retrieval is not None
            assert set(retrieval.served) == set(line["hits"])
    check_whole(path, written)
