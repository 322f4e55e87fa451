"""How well the Library ranks, in %: nDCG@10, Hit@1, Recall@5 and MRR on sets of documents.

    python benchmarks/retrieval.py DIR... [--json FILE]
        [--embedder NAME]... [--embedder-path FOLDER]

A DIR holds corpus.jsonl, queries.jsonl and qrels.jsonl (or labels: see testbed.py). Each document
becomes one golden pattern of a fresh library. Without --embedder, every one that is on this machine
is measured: the offline default, and the models in the cache.

The first row of a set is the ranking itself, without abstention, collapse and prior, with the 95 %
interval of its nDCG (bootstrap over the queries); the second is what an assistant is served, with
all three; the third is what words alone would give.
"""

import argparse
from collections.abc import Collection, Generator, Mapping, Sequence
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from testbed import TestSet, fill, goal, opened, print_table, read, write

from flex_mcp.library.library import Library
from flex_mcp.models import Filter, Level
from flex_mcp.search import model_files
from flex_mcp.search.candidates import Search, candidates
from flex_mcp.search.embedder import FASTEMBED, OURS, STATIC
from flex_mcp.settings import Settings
from flex_mcp.storage.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Measured = Mapping[str, NDArray[np.float64]]  # by set: a row a query, a column a metric

METRICS = "ndcg@10", "hit@1", "recall@5", "mrr"
DEPTH = 10
DRAWS = 2_000
ROWS = "", "served", "words alone"
GOALS = {  # of the mean nDCG@10 over these five sets
    OURS: 65.0,
    STATIC: 63.0,
    f"{FASTEMBED}sentence-transformers/all-MiniLM-L6-v2": 66.5,
}
FIVE = {"flex_aime", "flex_rules", "metatool", "theoremqa", "tldr"}


def metrics(ranking: Sequence[str], relevant: Collection[str]) -> list[float]:
    """Those of one query, in the order of METRICS; relevance is binary."""
    places = [place for place, id_ in enumerate(ranking[:DEPTH]) if id_ in relevant]
    gain = sum(1 / log2(place + 2) for place in places)
    ideal = sum(1 / log2(place + 2) for place in range(min(len(relevant), DEPTH)))
    return [
        gain / ideal,
        float(0 in places),
        sum(place < 5 for place in places) / len(relevant),
        1 / (places[0] + 1) if places else 0.0,
    ]


def measure(
    library: Library, test: TestSet, ids: Mapping[str, str]
) -> "dict[str, NDArray[np.float64]]":
    """By row: the metrics of each query that has something relevant.

    Args:
        library: holds the documents.
        test: the set.
        ids: experiences of the documents; one that is not stored is never found.
    """
    found: dict[str, list[list[float]]] = {row: [] for row in ROWS}
    store = SqliteStore(Path(library.name))
    for query, text in test.queries.items():
        relevant = {ids.get(document, document) for document in test.relevant[query]}
        if relevant:
            rankings = (
                _searched(library, text, served=False),
                _searched(library, text, served=True),
                _by_words(store, text),
            )
            for row, ranked in zip(ROWS, rankings, strict=True):
                found[row].append(metrics(ranked, relevant))
    store.close()
    return {row: 100 * np.array(values) for row, values in found.items()}


def _searched(library: Library, text: str, *, served: bool) -> list[str]:
    hits = library.search(
        text,
        limit=DEPTH,
        levels={Level.PATTERN},
        abstain=served,
        collapse=served,
        prior=served,
        client="benchmark",
    ).hits
    return [hit.experience.id for hit in hits]


def _by_words(store: SqliteStore, text: str) -> list[str]:
    with store.reading() as reading:
        found = candidates(reading, Search(text=text, wanted=Filter(), limit=DEPTH))
    return list(found.scores)[:DEPTH]


def interval(sets: "Sequence[NDArray[np.float64]]") -> tuple[float, float]:
    """Of the mean of the sets' means: each draw takes as many queries of each as it has."""
    chance = np.random.default_rng(0)
    means = [
        values[chance.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
        for values in sets
    ]
    low, high = np.percentile(np.mean(means, axis=0), [2.5, 97.5])
    return float(low), float(high)


def on_this_machine() -> list[str]:
    models = model_files.here(Settings().models)
    return [OURS, STATIC, *(FASTEMBED + name for name in models)]


def lines(measured: "Measured", row: str) -> Generator[tuple[str, ...]]:
    """Of the table: each set, and the mean of them."""
    means = {name: values.mean(axis=0) for name, values in measured.items()}
    means["mean"] = np.mean(list(means.values()), axis=0)
    for name, values in means.items():
        sets = list(measured.values()) if name == "mean" else [measured[name]]
        low, high = interval([one[:, 0] for one in sets])
        figures = (f"{value:.1f}" for value in values)
        yield (f"{name} {row}".strip(), f"{low:.1f}-{high:.1f}", *figures)


def as_json(measured: "Measured") -> dict[str, Any]:
    means = {name: values.mean(axis=0) for name, values in measured.items()}
    mean = np.mean(list(means.values()), axis=0)
    ndcg = {name: values[:, 0] for name, values in measured.items()}
    intervals = {name: interval([values]) for name, values in ndcg.items()}
    intervals["mean"] = interval(list(ndcg.values()))
    return {
        "sets": {name: _named(values) for name, values in means.items()},
        "mean": _named(mean),
        "intervals": {name: [round(end, 2) for end in ends] for name, ends in intervals.items()},
    }


def _named(values: "NDArray[np.float64]") -> dict[str, float]:
    rounded = (round(float(value), 2) for value in values)
    return dict(zip(METRICS, rounded, strict=True))


def compare_with_goals(embedder: str, by_row: "Mapping[str, Measured]") -> None:
    ndcg = {row: {name: one[:, 0].mean() for name, one in by_row[row].items()} for row in ROWS}
    if embedder in GOALS and set(ndcg[""]) == FIVE:
        mean = float(np.mean(list(ndcg[""].values())))
        goal(f"{embedder}: mean nDCG@10", GOALS[embedder], mean)
    least = min(ndcg[""][name] - alone for name, alone in ndcg["words alone"].items())
    goal(f"{embedder}: the set that gains least over words alone", 0.0, float(least))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--embedder", action="append", help="ours, static or fastembed:MODEL")
    parser.add_argument("--embedder-path", type=Path, metavar="FOLDER", help="its model's files")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    tests = [read(folder) for folder in arguments.sets]
    for embedder in arguments.embedder or on_this_machine():
        of_one = argparse.Namespace(embedder=embedder, embedder_path=arguments.embedder_path)
        by_row: dict[str, dict[str, NDArray[np.float64]]] = {row: {} for row in ROWS}
        for test in tests:
            with opened(of_one) as library:
                for row, values in measure(library, test, fill(library, test.documents)).items():
                    by_row[row][test.name] = values
        table = [line for row in ROWS for line in lines(by_row[row], row)]
        print_table((embedder, "interval", *METRICS), table)
        compare_with_goals(embedder, by_row)
        results[embedder] = as_json(by_row[""])
    write(arguments.json, results)


if __name__ == "__main__":
    main()
