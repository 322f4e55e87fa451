"""Two processes record and search at once on one new file; what was acknowledged is looked up.

    python benchmarks/two_processes.py [--seconds 60] [--processes 2] [--json FILE]

Prints what was recorded and searched, what was lost, what was raised, the slowest calls, and what
`PRAGMA integrity_check` says. Goal: nothing lost, nothing raised.
"""

import argparse
import multiprocessing
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
from testbed import goal, write

from flex_mcp import open_library
from flex_mcp.errors import FlexError
from flex_mcp.models import Outcome, Trajectory


@dataclass
class Work:
    """What one process did: ids that were acknowledged, errors, and milliseconds a call."""

    recorded: list[str] = field(default_factory=list[str])
    lessons: list[str] = field(default_factory=list[str])
    retrievals: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    record_ms: list[float] = field(default_factory=list[float])
    search_ms: list[float] = field(default_factory=list[float])


def work(path: Path, number: int, seconds: float) -> Work:
    """Four searches for one trajectory of 1 to 50 KB with a lesson, until the time is over."""
    chance, done = random.Random(number), Work()  # noqa: S311  no secret
    end = time.monotonic() + seconds
    with open_library(path) as library:
        while time.monotonic() < end:
            words = " ".join(chance.choice(WORDS) for _ in range(chance.randint(150, 8_000)))
            started = time.monotonic()
            try:
                if chance.random() < 0.2:  # noqa: PLR2004  one in five
                    made = library.record(
                        Trajectory(task=words[:200], outcome=Outcome.SUCCESS, transcript=words),
                        lessons=[lesson(words[:400])],
                    )
                    done.recorded.append(made.trajectory_id)
                    done.lessons += [one.experience_id or "" for one in made.decisions]
                    done.record_ms.append(1000 * (time.monotonic() - started))
                else:
                    found = library.search(words[:300], abstain=False)
                    done.retrievals.append(found.retrieval_id or "")
                    done.search_ms.append(1000 * (time.monotonic() - started))
            except FlexError as error:
                done.errors.append(str(error))
    return done


def lesson(words: str) -> dict[str, object]:
    return {
        "zone": "golden",
        "level": "pattern",
        "title": words[:60],
        "when": words[60:160],
        "lesson": words,
        "action": "add",
    }


WORDS = [
    first + last for first in "abcdefghklmnop" for last in ("arbor", "istle", "umber", "eacon")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
            running = [
                pool.apply_async(work, (path, number, given.seconds))
                for number in range(given.processes)
            ]
            done = [one.get() for one in running]
        lost, integrity = missing(path, done)
    errors = [error for one in done for error in one.errors]
    row: dict[str, Any] = {
        "recorded": sum(len(one.recorded) for one in done),
        "searched": sum(len(one.retrievals) for one in done),
        "lost": lost,
        "errors": len(errors),
        "integrity": integrity,
        "record median ms": statistics.median(ms for one in done for ms in one.record_ms),
        "record slowest ms": max(ms for one in done for ms in one.record_ms),
        "search median ms": statistics.median(ms for one in done for ms in one.search_ms),
        "search slowest ms": max(ms for one in done for ms in one.search_ms),
    }
    for name, value in row.items():
        print(f"{name:<18} {value:.1f}" if isinstance(value, float) else f"{name:<18} {value}")
    for error in errors[:5]:
        print(error)
    acknowledged = row["recorded"] + row["searched"]
    goals = [
        goal("share of the acknowledged that is there", 1.0, 1 - lost / acknowledged),
        goal("share of the calls without an error", 1.0, 1 - len(errors) / acknowledged),
    ]
    write(given.json, {"rows": [row], "goals": goals})


def missing(path: Path, done: list[Work]) -> tuple[int, str]:
    """How many of the ids are not in the library, and what SQLite says of the file."""
    with open_library(path) as library, library.reading() as reading:
        lost = 0
        for one in done:
            lost += len(set(one.recorded)) - len(reading.trajectories(sorted(set(one.recorded))))
            lost += len(set(one.lessons)) - len(reading.experiences(sorted(set(one.lessons))))
            lost += sum(reading.retrieval(id_) is None for id_ in one.retrievals)
    return lost, str(apsw.Connection(str(path)).pragma("integrity_check"))


if __name__ == "__main__":
    main()
