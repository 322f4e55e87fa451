"""Does the Library know when nothing fits? `Found.relevance` of own against foreign queries.

    python benchmarks/abstention.py DIR... [--json FILE] [--whole]
        [--embedder fastembed:MODEL --embedder-path FOLDER]

Each set (see testbed.py) becomes a library, and so do 20, 100 and 1,000 of its documents, unless
`--whole` is given. The queries of sets of another field are foreign to it, and so are queries of
its own for which it holds nothing (clinc150's `oos`). Nothing is fitted to any of the sets.
Columns, %: ROC-AUC; own and foreign queries served; foreign ones that would be served if the cut
served 95 % of the own.
"""

import argparse
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from testbed import TestSet, add_embedder, ceiling, fill, goal, opened, print_table, read, write

from flex_mcp.library.library import Library

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE_FIELD = {"flex_aime", "flex_rules", "theoremqa"}, {"banking77", "clinc150"}
QUERIES = 200  # of each set, drawn by a fixed seed
SAMPLES = 20, 100, 1_000
GOALS = {"foreign": (0.985, 0.08), "oos": (0.96, 0.18)}  # AUC, served at 95 % of the own
COLUMNS = "auc", "own_served", "foreign_served", "foreign_served_at_95"


def drawn(items: Sequence[str], count: int) -> list[str]:
    return random.Random(0).sample(items, min(count, len(items)))


def foreign(one: TestSet, other: TestSet) -> bool:
    return one.name != other.name and not any({one.name, other.name} <= both for both in ONE_FIELD)


def asked(library: Library, queries: Sequence[str]) -> tuple["NDArray[np.float64]", float]:
    """The relevance of each query's answer, and the share of the queries served."""
    found = [library.search(text, client="benchmark") for text in queries]
    served = fmean(not answer.nothing_relevant for answer in found)
    return np.array([answer.relevance for answer in found], np.float64), served


def compared(library: Library, own: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    """The figures in the order of COLUMNS."""
    (inside, inside_served), (outside, outside_served) = (asked(library, q) for q in (own, others))
    figures = (
        float(np.sign(inside[:, None] - outside).mean() + 1) / 2,
        inside_served,
        outside_served,
        float(np.mean(outside >= np.quantile(inside, 0.05))),
    )
    return dict(zip(COLUMNS, figures, strict=True))


def measured(
    test: TestSet, sets: Sequence[TestSet], size: int, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """A row against foreign queries, and one against those that are out of scope."""
    documents = {id_: test.documents[id_] for id_ in drawn(list(test.documents), size)}
    strangers = [
        text
        for other in sets
        if foreign(test, other)
        for text in drawn(other.own(other.documents), QUERIES)
    ]
    against = {"foreign": strangers, "oos": drawn(test.out_of_scope, QUERIES)}
    with opened(arguments) as library:
        fill(library, documents)
        library.calibrate()
        own = drawn(test.own(documents), QUERIES)
        for name, others in against.items():
            if own and others:
                about = {
                    "library": test.name,
                    "documents": len(documents),
                    "whole": len(documents) == len(test.documents),
                    "against": name,
                }
                yield about | compared(library, own, others)


def means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    columns = zip(*([row[name] for name in COLUMNS] for row in rows), strict=True)
    return dict(zip(COLUMNS, map(fmean, columns), strict=True))


def goals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the libraries as they are, and of these with their samples."""
    found: list[dict[str, Any]] = []
    kinds = ("whole",) if all(row["whole"] for row in rows) else ("whole", "all sizes")
    for against, (least, most) in GOALS.items():
        for which in kinds:
            chosen = [
                row
                for row in rows
                if row["against"] == against and (row["whole"] or which == "all sizes")
            ]
            if chosen:
                mean = means(chosen)
                found += [
                    goal(f"{against} AUC, {which}", least, mean["auc"]),
                    ceiling(
                        f"{against} served at 95 %, {which}", most, mean["foreign_served_at_95"]
                    ),
                ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--whole", action="store_true", help="no smaller libraries")
    add_embedder(parser)
    arguments = parser.parse_args()
    sets = [read(folder) for folder in arguments.sets]
    rows: list[dict[str, Any]] = []
    for test in sets:
        whole = len(test.documents)
        smaller = [] if arguments.whole else [size for size in SAMPLES if size < whole]
        for size in (*smaller, whole):
            rows += measured(test, sets, size, arguments)
    averages: list[dict[str, Any]] = [
        {"library": "mean", "documents": "", "against": against, **means(chosen)}
        for against in GOALS
        if (chosen := [row for row in rows if row["against"] == against])
    ]
    print_table(
        (arguments.embedder, "documents", "against", *COLUMNS),
        [
            (
                row["library"],
                str(row["documents"]),
                row["against"],
                *(f"{100 * row[column]:.1f}" for column in COLUMNS),
            )
            for row in (*rows, *averages)
        ],
    )
    write(arguments.json, {"rows": rows, "goals": goals(rows)})


if __name__ == "__main__":
    main()
