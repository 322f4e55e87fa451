"""What the updater is asked does not grow with the library: characters of its question.

    python benchmarks/updater_size.py SET_DIR [SET_DIR ...]
        [--json FILE] [--embedder fastembed:MODEL --embedder-path FOLDER]

Documents of the sets, shuffled, become experiences; fifty stay out and are new lessons. At 100,
1,000 and 10,000 experiences each of these is put to the updater beside its nearest experiences.
"""

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from testbed import add_embedder, fill, goal, opened, print_table, read, write

from flex_mcp.learning import updater
from flex_mcp.learning.llm import WINDOW
from flex_mcp.learning.prompts import Prompts
from flex_mcp.library.library import Library
from flex_mcp.models import Lesson

SIZES = (100, 1_000, 10_000)
LESSONS = 50
GOAL = 0.8  # the smaller median as a share of the larger


def asked(library: Library, lesson: Lesson) -> int:
    """Characters of the question about one lesson."""
    nearest = library.neighbours(
        [f"{lesson.title}\n{lesson.lesson}"],
        limit=updater.NEAREST,
        levels={lesson.level},
        zones={lesson.zone},
    )
    prompt = updater.question(Prompts(), [lesson], [nearest], WINDOW)
    return 0 if prompt is None else len(prompt.system) + len(prompt.messages[0].text)


def measured(library: Library, lessons: Sequence[Lesson]) -> Mapping[str, float]:
    started = perf_counter()
    sizes = sorted(asked(library, lesson) for lesson in lessons)
    seconds = (perf_counter() - started) / len(lessons)
    return {"median": median(sizes), "largest": sizes[-1], "ms": round(seconds * 1000, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Does the updater's question grow?")
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET_DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    add_embedder(parser)
    arguments = parser.parse_args()
    found = [one for folder in arguments.sets for one in read(folder).documents.items()]
    random.Random(7).shuffle(found)
    documents, lessons = dict(found[LESSONS:]), [lesson for _, lesson in found[:LESSONS]]
    rows: list[dict[str, float]] = []
    with opened(arguments) as library:
        names, held = list(documents), 0
        for size in SIZES:
            fill(library, {name: documents[name] for name in names[held:size]})
            held = size
            experiences = library.statistics().experiences
            rows.append({"experiences": experiences, **measured(library, lessons)})
    heads = ("experiences", "median characters", "largest", "ms a lesson")
    print_table(heads, [[f"{value:,}" for value in row.values()] for row in rows])
    sizes = [row["median"] for row in rows]
    goals = [goal("smallest median / largest", GOAL, min(sizes) / max(sizes))]
    write(arguments.json, {"rows": rows, "goals": goals})


if __name__ == "__main__":
    main()
