"""Does what helps rise, and does chance do no harm? Searches whose outcomes are reported.

    python benchmarks/helpful.py DIR... [--json FILE]
        [--embedder fastembed:MODEL --embedder-path FOLDER]

A DIR is a set as retrieval.py takes it. **Chance**: every query is asked once and success or
failure is drawn for it; nDCG@10 of all queries is taken before and after, with the prior as users
have it. **Known**: a hash makes half of the experiences helpful and half misleading; drawn queries
are asked and reported by that, and the mean rank of the helpful hits among the ten is taken before
the first report and after the 50th.
"""

import argparse
import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

from retrieval import metrics
from testbed import TestSet, add_embedder, ceiling, fill, goal, opened, print_table, read, write

from flex_mcp.library.library import Library
from flex_mcp.models import Found, Outcome

QUERIES = 300  # of a set, drawn by a fixed seed
KNOWN = 20  # of them are asked again and again
REPORTS = 50
COLUMNS = "ndcg before", "ndcg after", "rank before", "rank after"


def ask(library: Library, query: str) -> Found:
    return library.search(query, limit=10, abstain=False, collapse=False, client="benchmark")


def ndcg(library: Library, test: TestSet, ids: dict[str, str], queries: Sequence[str]) -> float:
    found: list[float] = []
    for query in queries:
        relevant = {ids.get(document, document) for document in test.relevant[query]}
        hits = [hit.experience.id for hit in ask(library, test.queries[query]).hits]
        found.append(metrics(hits, relevant)[0])
    return 100 * fmean(found)


def drawn(test: TestSet) -> list[str]:
    answerable = [query for query in test.queries if test.relevant[query]]
    return random.Random(0).sample(answerable, min(QUERIES, len(answerable)))


def by_chance(test: TestSet, arguments: argparse.Namespace) -> tuple[float, float]:
    """nDCG@10 before and after outcomes that mean nothing."""
    chance = random.Random(1)
    queries = drawn(test)
    with opened(arguments) as library:
        ids = fill(library, test.documents)
        before = ndcg(library, test, ids, queries)
        for query in queries:
            found = ask(library, test.queries[query])
            outcome = chance.choice((Outcome.SUCCESS, Outcome.FAILURE))
            library.report(found.retrieval_id or "", outcome)
        return before, ndcg(library, test, ids, queries)


def helps(experience_id: str) -> bool:
    return sha256(experience_id.encode()).digest()[0] % 2 == 0


def rank(found: Found) -> float | None:
    """The mean rank of the helpful hits, from 1; None where all or none of them help."""
    places = [place for place, hit in enumerate(found.hits, 1) if helps(hit.experience.id)]
    return fmean(places) if 0 < len(places) < len(found.hits) else None


def by_use(test: TestSet, arguments: argparse.Namespace) -> tuple[float, float]:
    """The mean rank of helpful hits before and after the reports."""
    ranks: list[tuple[float, float]] = []
    with opened(arguments) as library:
        fill(library, test.documents)
        for query in drawn(test)[:KNOWN]:
            text = test.queries[query]
            before = rank(ask(library, text))
            for _ in range(REPORTS):
                report(library, ask(library, text))
            after = rank(ask(library, text))
            if before and after:
                ranks.append((before, after))
    return fmean(before for before, _ in ranks), fmean(after for _, after in ranks)


def report(library: Library, found: Found) -> None:
    by_use: dict[bool, list[str]] = {True: [], False: []}
    for hit in found.hits:
        by_use[helps(hit.experience.id)].append(hit.experience.id)
    outcome = Outcome.SUCCESS if by_use[True] else Outcome.FAILURE
    library.report(found.retrieval_id or "", outcome, helpful=by_use[True], harmful=by_use[False])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    add_embedder(parser)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for test in map(read, arguments.sets):
        figures = *by_chance(test, arguments), *by_use(test, arguments)
        rows.append({"set": test.name} | dict(zip(COLUMNS, figures, strict=True)))
    shown = [[row["set"], *(f"{row[column]:.2f}" for column in COLUMNS)] for row in rows]
    print_table((arguments.embedder, *COLUMNS), shown)
    lost = fmean(row["ndcg before"] - row["ndcg after"] for row in rows)
    risen = fmean(row["rank before"] - row["rank after"] for row in rows)
    goals = [
        ceiling("mean nDCG lost to outcomes that mean nothing", 0.2, lost),
        goal("ranks that helpful hits rise within 50 reports, more than", 0.01, risen),
    ]
    write(arguments.json, {"rows": rows, "goals": goals})


if __name__ == "__main__":
    main()
