"""Search as a library grows: time, memory, size and recall, from 1,000 experiences to a million.

    python benchmarks/scale.py TEXTS [--sizes 1000 10000 100000 1000000] [--embedder NAME]
        [--json FILE] [--svg FILE]

TEXTS is JSONL (plain or gzipped) of objects with a `text` (see corpus.py). One library grows from
size to size; each is measured by a new process: opening it, its first search, and when it has read
the vectors aside, 200 queries of 40 to 60 words that the corpus does not hold, each used once. A
search is `Library.search` for ten golden patterns, from the text to whole hits, embedding included,
without abstention so that there always are hits. Recall is that of the vector list's first ten
against all float32 vectors compared; the limit is one pass over their bytes. Times in ms.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

import numpy as np
from corpus import DOMAINS, documents, lesson, queries
from drawing import panels, save
from testbed import ceiling, goal, print_table, write

from flex_mcp import open_library
from flex_mcp.library.importing import Bundle
from flex_mcp.library.library import Library
from flex_mcp.models import Experience, ExperienceFilter, Filter, Level, Origin, Status, new_id
from flex_mcp.search.embedder import DEFAULT, load

SIZES = 1_000, 10_000, 100_000, 1_000_000
BATCH = 2_000  # experiences in one transaction
ADDED = 20  # one by one, each its own transaction
P50_GOALS = {10_000: 5.0, 100_000: 12.0, 1_000_000: 40.0}
RECALL_GOALS = {100_000: 1.0, 1_000_000: 1.0}
ASIDE = 0.5, 20e-6  # seconds until vectors are read aside, and for each of them, with some to spare
COLUMNS = (
    *("size", "build s", "add one", "open", "first", "p50", "p99", "filtered p50", "limit"),
    *("recall", "memory MB", "file MB"),
)


def ms(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return 1000 * (perf_counter() - began)


def grow(path: Path, texts: Sequence[str], start: int, embedder: str) -> float:
    """Bring the texts from `start` on in, as an import does; gives the seconds."""
    began = perf_counter()
    with open_library(path, embedder=embedder) as library:
        for first in range(start, len(texts), BATCH):
            batch = enumerate(texts[first : first + BATCH], first)
            library.import_bundle(Bundle(experiences=[_experience(*one) for one in batch]))
            print(f"\r{first:,} of {len(texts):,}", end="", file=sys.stderr, flush=True)
        took = perf_counter() - began
        library.calibrate()
    print(file=sys.stderr)
    return took


def _experience(number: int, text: str) -> Experience:
    proposed, now = lesson(text, number), datetime.now(UTC)
    return Experience(
        zone=proposed.zone,
        level=proposed.level,
        title=proposed.title,
        when=proposed.when,
        lesson=proposed.lesson,
        domain=proposed.domain,
        id=new_id("e"),
        origin=Origin(kind="imported", by="benchmark"),
        revision=1,
        created_at=now,
        updated_at=now,
    )


def searched(library: Library, query: str, domain: str | None = None) -> float:
    def search() -> None:
        library.search(query, limit=10, levels={Level.PATTERN}, domain=domain, abstain=False)

    return ms(search)


def recall(library: Library, asked: Sequence[str]) -> tuple[float, float]:
    """Of the vector list's first ten; and the milliseconds of one pass over all vectors."""
    made_by = library.statistics().vectors
    embedder = load(made_by.embedder if made_by else DEFAULT, cache=Path())
    vectors = [np.frombuffer(embedder.query(text), np.float32) for text in asked]
    with library.reading() as reading:
        ids = reading.experiences.ids(ExperienceFilter(statuses=frozenset({Status.ACTIVE})))
        chunks: list[bytes] = []
        firsts: list[int] = []  # the first chunk of each experience
        for start in range(0, len(ids), BATCH):
            found = reading.vectors.of(ids[start : start + BATCH])
            for id_ in ids[start : start + BATCH]:
                firsts.append(len(chunks))
                chunks += found[id_]
        held = np.frombuffer(b"".join(chunks), np.float32).reshape(len(chunks), -1)
        shares: list[float] = []
        for vector in vectors:
            cosines = np.maximum.reduceat(held @ vector, firsts)
            nearest = reading.vectors.nearest(vector.tobytes(), depth=100, wanted=Filter())[:10]
            tenth = np.partition(cosines, -10)[-10] - 1e-6  # as two ways of adding differ
            place = {id_: number for number, id_ in enumerate(ids)}
            shares.append(sum(cosines[place[row.id]] >= tenth for row in nearest) / 10)
        limit = min(ms(lambda: held @ vectors[0]) for _ in range(5))
    return fmean(shares), limit


def measure(path: Path, asked: Sequence[str]) -> dict[str, float]:
    """What a new process sees of a library."""
    began = perf_counter()
    with open_library(path) as library:
        opened = 1000 * (perf_counter() - began)
        first = searched(library, asked[0])
        sleep(2 * ASIDE[0] + ASIDE[1] * library.statistics().experiences)
        plain = [searched(library, query) for query in asked[1 : len(asked) // 2]]
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # KB, but on macOS
        filtered = [
            searched(library, query, DOMAINS[number % len(DOMAINS)])
            for number, query in enumerate(asked[len(asked) // 2 :])
        ]
        found, limit = recall(library, asked)
        added = [
            ms(
                lambda text=text: library.apply(
                    [lesson(f"Remember: {text}", 0)], client="benchmark"
                )
            )
            for text in asked[:ADDED]
        ]
    cuts = quantiles(plain, n=100)
    return {
        "add one": quantiles(added, n=2)[0],
        "open": opened,
        "first": first,
        "p50": cuts[49],
        "p99": cuts[98],
        "filtered p50": quantiles(filtered, n=2)[0],
        "limit": limit,
        "recall": found,
        "memory MB": held,
        "file MB": path.stat().st_size / 1e6,
    }


def in_a_new_process(path: Path, texts: Path) -> dict[str, float]:
    command = [sys.executable, __file__, str(texts), "--measure", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  ours
    return json.loads(done.stdout)


def goals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    by_size = {row["size"]: row for row in rows}
    for size, most in P50_GOALS.items():
        if size in by_size:
            found.append(ceiling(f"p50 at {size:,}, ms", most, by_size[size]["p50"]))
    for size, least in RECALL_GOALS.items():
        if size in by_size:
            found.append(
                goal(f"recall of the vector list at {size:,}", least, by_size[size]["recall"])
            )
    return found


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    figure, (axes,) = panels(1)
    sizes = [row["size"] for row in rows]
    for column in ("p50", "p99", "filtered p50", "limit"):
        axes.plot(sizes, [row[column] for row in rows], marker="o", label=column)
    axes.set(xscale="log", yscale="log", xlabel="experiences", ylabel="ms")
    axes.legend()
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", type=Path, metavar="TEXTS")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="SIZE")
    parser.add_argument("--embedder", default=DEFAULT, help=f"{DEFAULT} (default), or static")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, queries(given.texts))))
        return
    rows: list[dict[str, Any]] = []
    texts = list(documents(given.texts, max(given.sizes)))
    with TemporaryDirectory(prefix="flex-mcp-") as folder:
        path = Path(folder) / "library.db"
        start = 0
        for size in sorted(given.sizes):
            built = grow(path, texts[:size], start, given.embedder)
            rows.append({"size": size, "build s": built} | in_a_new_process(path, given.texts))
            start = size
            print(json.dumps(rows[-1]), file=sys.stderr)
    shown = [
        [
            f"{row['size']:,}",
            *(f"{row[column]:.{3 if column == 'recall' else 1}f}" for column in COLUMNS[1:]),
        ]
        for row in rows
    ]
    print_table(COLUMNS, shown)
    write(given.json, {"rows": rows, "goals": goals(rows)})
    if given.svg:
        draw(rows, given.svg)


if __name__ == "__main__":
    main()
