"""How well the Library ranks, in %: nDCG@10, Hit@1, Recall@5 and MRR on sets of documents.

    python benchmarks/retrieval.py DIR... [--json FILE]
        [--embedder fastembed:MODEL --embedder-path FOLDER]

A DIR holds corpus.jsonl, queries.jsonl and qrels.jsonl (or labels: see testbed.py). Each document
becomes one golden pattern of a fresh library. The first row of a set is the ranking itself, without
abstention, collapse and prior; the second is what an assistant is served, with all three.
"""

import argparse
from collections.abc import Collection, Sequence
from math import log2
from pathlib import Path
from statistics import fmean

from testbed import TestSet, add_embedder, fill, opened, print_table, read, write

from flex_mcp.library import Library
from flex_mcp.models import Level

METRICS = "ndcg@10", "hit@1", "recall@5", "mrr"
DEPTH = 10


def metrics(ranking: Sequence[str], relevant: Collection[str]) -> list[float]:
    """Those of one query, in the order of METRICS; relevance is binary."""
    places = [place for place, id_ in enumerate(ranking[:DEPTH]) if id_ in relevant]
    gain = sum(1 / log2(place + 2) for place in places)
    ideal = sum(1 / log2(place + 2) for place in range(min(len(relevant), DEPTH)))
    return [
        gain / ideal,
        float(0 in places),
        sum(place < 5 for place in places) / len(relevant),  # noqa: PLR2004  recall@5
        1 / (places[0] + 1) if places else 0.0,
    ]


def measure(library: Library, test: TestSet, ids: dict[str, str], *, served: bool) -> list[float]:
    """The means over the queries that have something relevant; an unstored document is not found.

    Args:
        library: holds the documents.
        test: the set.
        ids: experiences of the documents.
        served: with abstention, collapse and prior.
    """
    found: list[list[float]] = []
    for query, text in test.queries.items():
        if relevant := {ids.get(document, document) for document in test.relevant[query]}:
            hits = library.search(
                text,
                limit=DEPTH,
                levels={Level.PATTERN},
                abstain=served,
                collapse=served,
                prior=served,
                client="benchmark",
            ).hits
            found.append(metrics([hit.experience.id for hit in hits], relevant))
    return [100 * fmean(column) for column in zip(*found, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    add_embedder(parser)
    arguments = parser.parse_args()
    plain: dict[str, list[float]] = {}
    served: dict[str, list[float]] = {}
    for folder in arguments.sets:
        test = read(folder)
        with opened(arguments) as library:
            ids = fill(library, test.documents)
            plain[test.name] = measure(library, test, ids, served=False)
            served[test.name] = measure(library, test, ids, served=True)
    for figures in (plain, served):
        figures["mean"] = [fmean(column) for column in zip(*figures.values(), strict=True)]
    print_table(
        (arguments.embedder, *METRICS),
        [
            (head, *(f"{value:.1f}" for value in values))
            for name in plain
            for head, values in ((name, plain[name]), ("  served", served[name]))
        ],
    )
    rounded = {
        name: {metric: round(value, 2) for metric, value in zip(METRICS, values, strict=True)}
        for name, values in plain.items()
    }
    mean = rounded.pop("mean")
    write(arguments.json, {arguments.embedder: {"sets": rounded, "mean": mean}})


if __name__ == "__main__":
    main()
