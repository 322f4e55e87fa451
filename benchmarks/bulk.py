"""What it costs to record many trajectories, without and with lessons: seconds of CPU and clock.

    python benchmarks/bulk.py [--works 1000] [--embedder NAME] [--json FILE]

`Library.record_many` on a new library, in this process, with one thread of BLAS. The texts are made
up: a task, a short transcript, and none or one lesson of some thirty words that no other repeats.
The cost of starting is left out: one work is recorded before. CPU is that of the program and of the
system for it.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from testbed import ceiling, print_table, write

from flex_mcp import open_library
from flex_mcp.models import DecisionKind, Recorded
from flex_mcp.settings import one_thread

GOAL = 5.0  # seconds of CPU for a thousand works
TOOLS = ["compiler", "linker", "cache", "runner", "index", "mirror", "proxy", "queue", "scheduler"]
FAULTS = ["drops a section", "hangs at the end", "runs out of memory", "reads an old file"]
CURES = ["pin its release", "clear its folder", "start it alone", "raise its limit", "turn it off"]


def works(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    for number in range(count):
        tool, fault, cure = (chance.choice(words) for words in (TOOLS, FAULTS, CURES))
        step = f"$ make module-{number}\n{tool}: error {chance.randrange(10**6)}: it {fault}\n"
        yield {
            "task": f"Mend the build of module {number}, whose {tool} {fault}",
            "outcome": chance.choice(["success", "failure"]),
            "transcript": step * 10,
            "lessons": [
                {
                    "zone": chance.choice(["golden", "warning", "mixed"]),
                    "level": chance.choice(["principle", "pattern", "instance"]),
                    "title": f"Module {number}: {cure} when the {tool} {fault}",
                    "when": f"Building module {number} on runner {chance.randrange(1000)}.",
                    "lesson": (
                        f"The {tool} of module {number} {fault} from release {number % 97} on "
                        f"where {chance.choice(TOOLS)} {chance.randrange(10**5)} is used: {cure}, "
                        f"and look at line {chance.randrange(10**4)} of its log before anything."
                    ),
                }
            ],
        }


def measured(count: int, embedder: str | None, *, lessons: bool) -> dict[str, Any]:
    first, *many = works(count + 1)
    if not lessons:
        for one in (first, *many):
            del one["lessons"]
    with (
        TemporaryDirectory(prefix="flex-mcp-") as folder,
        open_library(Path(folder) / "library.db", embedder=embedder) as library,
    ):
        library.record(first)
        cpu, clock = process_time(), perf_counter()
        made = library.record_many(many)
        cpu, clock = process_time() - cpu, perf_counter() - clock
        vectors = library.statistics().vectors
    kept = [one for one in made if isinstance(one, Recorded)]
    if len(kept) < len(many):
        sys.exit("some were refused")
    decisions = [decision.decision for one in kept for decision in one.decisions]
    return {
        "works": len(kept),
        "lessons added": decisions.count(DecisionKind.ADD),
        "embedder": vectors.embedder if vectors else "-",
        "CPU s": round(cpu, 2),
        "s": round(clock, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--works", type=int, default=1_000)
    parser.add_argument("--embedder")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    one_thread()
    rows = [measured(given.works, given.embedder, lessons=lessons) for lessons in (False, True)]
    print_table([*rows[0]], [[str(value) for value in row.values()] for row in rows])
    goals = [
        ceiling(f"CPU s for 1,000 {what}", GOAL, row["CPU s"] * 1_000 / row["works"])
        for what, row in zip(("without lessons", "with a lesson each"), rows, strict=True)
    ]
    write(given.json, {"rows": rows, "goals": goals})


if __name__ == "__main__":
    main()
