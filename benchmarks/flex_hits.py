"""Does a problem find the ENTRY of a FLEX library that was learned from it? Hit@5.

    python benchmarks/flex_hits.py FLEX_JSON PROBLEMS_JSONL SET_DIR
        [--json FILE] [--embedder fastembed:MODEL --embedder-path FOLDER]

The library file is imported; each question of the problems is searched as an assistant does it. An
ENTRY is found when one of its parts is among the hits, which are five at most. Which ENTRY belongs
to which problem the set's qrels say, by documents named after the library file. Its instance is a
worked example of that very problem, so the table has a column of searches without instances too.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from testbed import add_embedder, goal, opened, print_table, rows, write

from flex_mcp.exchange.files import import_file
from flex_mcp.library.library import Library
from flex_mcp.models import Level

HITS = 5
GENERAL = Level.PRINCIPLE, Level.PATTERN
GOAL = 0.85


def parts(library: Library, folder: Path) -> dict[str, frozenset[str]]:
    """The experiences of each document's ENTRY: both hold the same trajectory."""
    with library.reading() as reading:
        entries = reading.imports.entries()
    by_trajectory = {
        json.loads(entry.json)["revised_trajectory"]: frozenset(
            part.experience_id for part in entry.parts
        )
        for entry in entries
    }
    corpus = rows(folder / "corpus.jsonl")
    return {row["id"]: by_trajectory.get(row["trajectory"], frozenset[str]()) for row in corpus}


def pairs(problems: Path, folder: Path, name: str) -> list[tuple[str, str]]:
    """Questions of the problems, each with a document of the library of this name."""
    questions = {row["question"] for row in rows(problems)}
    texts = {row["id"]: row["text"] for row in rows(folder / "queries.jsonl")}
    return [
        (texts[row["qid"]], row["did"])
        for row in rows(folder / "qrels.jsonl")
        if row["did"].startswith(f"{name}/") and texts[row["qid"]] in questions
    ]


def searched(library: Library, question: str, held: frozenset[str]) -> dict[str, Any]:
    """Where an ENTRY's best part stands among the hits of all levels, and without instances."""

    def place(levels: Iterable[Level]) -> int | None:
        hits = library.search(question, limit=HITS, levels=levels, client="benchmark").hits
        places = (place for place, hit in enumerate(hits, 1) if hit.experience.id in held)
        return next(places, None)

    return {"place": place(Level), "place_without_instances": place(GENERAL)}


def share(results: Sequence[dict[str, Any]], column: str) -> float:
    return fmean(row[column] is not None for row in results)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("library", type=Path, metavar="FLEX_JSON")
    parser.add_argument("problems", type=Path, metavar="PROBLEMS_JSONL")
    parser.add_argument("set", type=Path, metavar="SET_DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    add_embedder(parser)
    arguments = parser.parse_args()
    with opened(arguments) as library:
        import_file(library, arguments.library, client="benchmark")
        entries = parts(library, arguments.set)
        asked = pairs(arguments.problems, arguments.set, arguments.library.stem)
        results = [
            {"entry": document} | searched(library, question, entries[document])
            for question, document in asked
        ]
    print_table(
        ("entry", "place", "without instances"),
        [tuple(str(cell or "-") for cell in row.values()) for row in results],
    )
    print(f"Hit@{HITS} without instances: {share(results, 'place_without_instances'):.3f}")
    reached = goal(f"Hit@{HITS}", GOAL, share(results, "place"))
    write(arguments.json, {"rows": results, "goals": [reached]})


if __name__ == "__main__":
    main()
