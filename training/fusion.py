"""Fit what words, vectors and tokens count in the order of a search, by the length of the task.

    python training/fusion.py SET... --served DIR... --kind KIND [--model-path FOLDER]

A SET and a DIR are as for fit.py, each searched as one library. It tries a grid of shares
(flex_mcp/search/fit.py, `Fusion`) for short and for long tasks and takes the best of each: of the
mean over the sets of how early the first that helps comes (the reciprocal of its rank), where the
served libraries count as much as all sets. What each set would have by the shares that the others
choose is printed: that is out of fold. The shares are written to `--out`; fit.py comes after it.
"""

import argparse
import itertools
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from fit import MODEL, Remembering, document, filled, lesson, rows

from flex_mcp.library.library import Library
from flex_mcp.models import Filter, Lesson
from flex_mcp.search import embedder as embedders
from flex_mcp.search import ranking
from flex_mcp.search.candidates import terms_of
from flex_mcp.search.embedder import OURS, STATIC, Embedder
from flex_mcp.search.fit import LONG, SHORT, Shares
from flex_mcp.search.token_match import PARTS, tokens
from flex_mcp.storage.protocol import Transaction
from flex_mcp.storage.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUERIES = 300  # of a set, by chance
POOL = 60  # candidates whose tokens are compared
GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
ALL = [Shares(vectors, tokens_) for vectors in GRID[0] for tokens_ in GRID[1]]
MIDDLE = (SHORT * LONG) ** 0.5  # content words: below, a task counts as short
CHANGED = 0.01  # reciprocal rank; a share that gains less is left as it is nearest to the usual


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, and by shares one over the rank of the first that helps, 0 beyond the tenth."""

    name: str
    long: bool
    reciprocal: Mapping[Shares, float]


def asked(
    name: str,
    lessons: Mapping[str, Lesson],
    queries: Sequence[tuple[str, frozenset[str]]],
    embedder: Embedder,
) -> list[Asked]:
    """Each query's lists in a library of all lessons."""
    with (
        TemporaryDirectory(prefix="flex-mcp-") as folder,
        Library(
            SqliteStore(Path(folder) / "library.db"), lambda _name, _fetch: embedder, wanted=None
        ) as library,
    ):
        names = dict(filled(library, lessons))
        with library.reading() as reading:
            return [_one(name, reading, names, query, embedder) for query in queries]


def _one(
    name: str,
    reading: Transaction,
    names: Mapping[str, str],
    query: tuple[str, frozenset[str]],
    embedder: Embedder,
) -> Asked:
    text, helpful = query
    terms = ranking.content_terms(terms_of(reading, text))
    words, depth, all_ = ranking.search_words(terms), ranking.DEPTH, Filter()
    matching = reading.words.matching(words, depth=depth, wanted=all_)
    vector = embedder.query(ranking.ends(text))
    nearest = reading.vectors.nearest(vector, depth=depth, wanted=all_)
    pool = list(
        dict.fromkeys(
            row.id
            for pair in itertools.zip_longest(nearest, matching)
            for row in pair
            if row is not None
        )
    )[:POOL]
    held = reading.words.tokens(pool, tokens().layout)
    parts: NDArray[np.float32] = tokens().likeness(
        ranking.ends(text), [held[id_] for id_ in pool]
    ) @ np.array(PARTS)
    alike = dict(zip(pool, parts.tolist(), strict=True))
    mine = frozenset(made for made, id_ in names.items() if id_ in helpful)

    def reciprocal(shares: Shares) -> float:
        scores = ranking.fuse(nearest, matching, shares.vectors)
        compared = {id_: alike[id_] for id_ in [*scores][: ranking.COMPARED] if id_ in alike}
        ordered = [*ranking.refine(scores, compared, shares.tokens)][:10]
        return next((1 / at for at, one in enumerate(ordered, 1) if one in mine), 0.0)

    return Asked(name, len(terms) >= MIDDLE, {shares: reciprocal(shares) for shares in ALL})


def best(found: Sequence[Asked], served: frozenset[str], usual: Shares) -> Shares:
    """The shares of the grid that bring what helps first, one set weighing as much as another."""
    figures = {shares: mean(found, served, shares) for shares in ALL}
    most = max(figures.values())
    good = [shares for shares, figure in figures.items() if figure >= most - CHANGED]
    return min(good, key=lambda one: sum(abs(a - b) for a, b in zip(one, usual, strict=True)))


def mean(found: Sequence[Asked], served: frozenset[str], shares: Shares) -> float:
    """Of the sets and of the served libraries, half each."""
    by_set: dict[str, list[float]] = {}
    for one in found:
        by_set.setdefault(one.name, []).append(one.reciprocal[shares])
    sides = [
        [fmean(values) for name, values in by_set.items() if (name in served) is side]
        for side in (False, True)
    ]
    return fmean(fmean(side) for side in sides if side)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET")
    parser.add_argument("--served", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--kind", required=True, choices=("ours", "static", "model"))
    parser.add_argument("--model-path", type=Path, metavar="FOLDER", help="a MiniLM's files")
    parser.add_argument("--out", type=Path, default=Path("flex_mcp/search/fit.json"))
    given = parser.parse_args()
    name = {"ours": OURS, "static": STATIC, "model": MODEL}[given.kind]
    embedder = Remembering(embedders.load(name, cache=Path(), folder=given.model_path))
    chance = random.Random(1)
    found: list[Asked] = []
    for folder in [*given.sets, *given.served]:
        lessons, queries = _read(folder)
        found += asked(
            folder.name, lessons, chance.sample(queries, min(QUERIES, len(queries))), embedder
        )
        print(f"{folder.name}: {len(lessons):,} lessons", file=sys.stderr)
    served = frozenset(folder.name for folder in given.served)
    made = json.loads(given.out.read_text(encoding="utf-8"))
    for length, long in (("short", False), ("long", True)):
        own = [one for one in found if one.long is long]
        usual = Shares(*made[given.kind]["fusion"][length])
        for left_out in sorted({one.name for one in own}):
            rest = [one for one in own if one.name != left_out]
            tried = [one for one in own if one.name == left_out]
            chosen = best(rest, served, usual)
            before, after = (fmean(one.reciprocal[by] for one in tried) for by in (usual, chosen))
            print(
                f"{length:<5} {left_out:<12} {len(tried):>4} tasks: {before:.3f} by {usual}, "
                f"{after:.3f} by {chosen}"
            )
        made[given.kind]["fusion"][length] = list(best(own, served, usual))
    given.out.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def _read(folder: Path) -> tuple[dict[str, Lesson], list[tuple[str, frozenset[str]]]]:
    if (folder / "lessons.jsonl").exists():
        held = {row["id"]: lesson(row) for row in rows(folder / "lessons.jsonl")}
        tasks = rows(folder / "tasks.jsonl")
        return held, [(one["task"], frozenset(one["helpful"])) for one in tasks if one["helpful"]]
    helpful: dict[str, set[str]] = {}
    for pair in rows(folder / "qrels.jsonl"):
        helpful.setdefault(pair["qid"], set()).add(pair["did"])
    queries = [
        (row["text"], frozenset(helpful[row["id"]]))
        for row in rows(folder / "queries.jsonl")
        if row["id"] in helpful
    ]
    return {row["id"]: document(row) for row in rows(folder / "corpus.jsonl")}, queries


if __name__ == "__main__":
    main()
