"""A process that opens libraries, whatever they are: `python handling.py`, a path a line.

It answers each with a line of JSON: what was said at each step, empty where it went well; a fault
that is no sentence of ours is told as a traceback. If SQLite itself crashes, so does only this one.
"""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from flex_mcp import open_library
from flex_mcp.errors import FlexError
from flex_mcp.exchange.files import Format, export_library
from flex_mcp.library.library import Library
from flex_mcp.models import Outcome, Trajectory
from flex_mcp.tools import pages

QUERY = "Pin the compiler version in the build image before a release."


def look(library: Library) -> None:
    for one in library.experiences(limit=20):
        pages.experience_page(library, one.id)
    with library.reading() as reading:
        ids = reading.trajectories.ids()
    for id_ in ids[:20]:
        pages.trajectory_page(library, id_)


def count(library: Library) -> None:
    pages.statistics(library, 5)
    pages.library_page(library)
    library.last_writes(20)


def record(library: Library) -> None:
    library.record(Trajectory(task="Build the wheel", outcome=Outcome.SUCCESS))


def export(library: Library) -> None:
    for form in Format:
        for _ in export_library(library, form):
            pass


STEPS: dict[str, Callable[[Library], object]] = {
    "search": lambda library: library.search(QUERY),
    "look": look,
    "count": count,
    "export": export,
    "record": record,
    "search again": lambda library: library.search("dates in UTC"),
}


def handled(path: Path) -> dict[str, str]:
    said = dict.fromkeys(("open", *STEPS), "")
    step = "open"
    try:
        with open_library(path) as library:
            for step, does in STEPS.items():
                try:
                    does(library)
                except FlexError as error:
                    said[step] = str(error)
            step = "open"
    except FlexError as error:
        said["open"] = str(error)
    except Exception:  # noqa: BLE001  it is told
        said[step] = traceback.format_exc()
    return said


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(handled(Path(line.strip()))) + "\n")
        sys.stdout.flush()
