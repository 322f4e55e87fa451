"""A search for ten among the same texts and vectors: ours, and stores that other memories use.

    python benchmarks/peers.py TEXTS [--sizes 10000 100000] [--only NAME ...] [--cache DIR]
        [--minutes 60] [--json FILE]

TEXTS makes the corpus and the queries (see corpus.py). Every peer is installed at a fixed version
into an environment of its own, under DIR or a temporary folder, and runs there in a process of its
own (peer.py), one after another; one that cannot is printed with its reason. All get the vectors of
the offline embedder for the texts and the queries, and 200 queries without and 200 others with the
filter that the domain equals one of eight. Hits come whole, with their text.

Ours is there twice: "vectors alone" is `VectorIndex.nearest` with the query's vector, as deep as
every search looks, and the ten best read, what the peers do; "flex-mcp" is `Library.search` whole,
from the text: embedding, words, fusion and all, without abstention, which would spare it hits of
foreign queries. Its build time has the embedding, the full-text index and the look for twins as
well. Recall@10 is against the exact float32 cosines of all texts, of those that the filter lets
through.
"""

import argparse
import json
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from corpus import DOMAINS, QUERIES, documents, lesson, queries
from peer import PEERS, Query, timed
from testbed import ceiling, fill, print_table, write

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import Filter, Snapshot
from flex_mcp.search.embedder import STATIC, load
from flex_mcp.search.ranking import DEPTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

LIMIT = 10
GOAL_SIZE = 100_000
OURS, ALONE = "flex-mcp", "flex-mcp, vectors alone"
PACKAGES = {
    "chromadb": "chromadb==1.5.9",
    "lancedb": "lancedb==0.40.0",
    "qdrant-client": "qdrant-client==1.20.0",
    "mcp-server-qdrant": "mcp-server-qdrant==0.8.1",
}
COLUMNS = "build s", "MB", "p50", "p99", "filtered p50", "filtered p99", "recall", "filtered recall"
RECALLS = "recall", "filtered recall"
DIGITS = 3
PEER = Path(__file__).with_name("peer.py")
INSTALLING = 15  # minutes
TIES = 1e-5  # a cosine so little under the tenth best is as good: float32 in another order

Row = dict[str, Any]


class Task(NamedTuple):
    """One size: the texts and their vectors, and the queries, which all name a domain or none."""

    texts: Sequence[str]
    vectors: "Matrix"
    plain: list[Query]
    filtered: list[Query]

    @property
    def domains(self) -> list[str]:
        return [lesson(text, number).domain or "" for number, text in enumerate(self.texts)]


def task(file: Path, size: int, count: int) -> Task:
    texts = list(documents(file, size))
    embedder = load(STATIC, cache=Path())
    lessons = (lesson(text, number) for number, text in enumerate(texts))
    snapshots = (
        Snapshot(zone=one.zone, level=one.level, title=one.title, when=one.when, lesson=one.lesson)
        for one in lessons
    )
    vectors = _rows(embedder.query(one.text) for one in snapshots)
    every = queries(file, 2 * count)
    asked = [
        Query(text, vector, None if number < count else DOMAINS[number % len(DOMAINS)])
        for number, (text, vector) in enumerate(
            zip(every, _rows(map(embedder.query, every)), strict=True)
        )
    ]
    return Task(texts, vectors, asked[:count], asked[count:])


def _rows(vectors: Iterable[bytes]) -> "Matrix":
    return np.stack([np.frombuffer(vector, np.float32) for vector in vectors])


class Whole:
    """Ours as an assistant meets it."""

    def __init__(self, library: Library, numbers: Mapping[str, int]) -> None:
        self._library = library
        self._numbers = numbers

    def search(self, query: Query) -> list[int]:
        found = self._library.search(
            query.text, limit=LIMIT, domain=query.domain, abstain=False, client="benchmark"
        )
        return [self._numbers[hit.experience.id] for hit in found.hits]


class Alone(Whole):
    """Its vectors without words."""

    def search(self, query: Query) -> list[int]:
        wanted = Filter(domain=query.domain)
        with self._library.reading() as reading:
            near = reading.vectors.nearest(query.vector.tobytes(), depth=DEPTH, wanted=wanted)
            hits = reading.experiences.get([row.id for row in near[:LIMIT]])
        return [self._numbers[hit.id] for hit in hits]


def ours(given: Task, folder: Path) -> Iterator[Row]:
    """The rows of our own: one library, both ways."""
    path = folder / "library.db"
    with open_library(path, embedder=STATIC) as library:
        lessons = {str(n): lesson(text, n) for n, text in enumerate(given.texts)}
        began = perf_counter()
        ids = fill(library, lessons)
        built = perf_counter() - began
        library.calibrate()
        numbers = {id_: int(number) for number, id_ in ids.items()}
        size = _megabytes(folder)
        for name, way in ((ALONE, Alone), (OURS, Whole)):
            one = way(library, numbers)
            results = {"plain": timed(one, given.plain), "filtered": timed(one, given.filtered)}
            row = _row(name, given, results | {"build s": built}, size)
            yield row if way is Alone else row | dict.fromkeys(RECALLS)


def peer(name: str, given: Task, folder: Path, cache: Path, minutes: float) -> Row:
    """A peer's row; where it cannot run, one with the reason."""
    about: Row = {"store": name, "texts": len(given.texts)}
    try:
        python = _environment(cache, PACKAGES[name.partition(",")[0]])
        _hand_over(given, folder)
        command = [str(python), str(PEER), name, str(folder)]
        results = json.loads(_output(command, minutes).splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        return about | {"reason": f"it took over {error.timeout / 60:g} minutes"}
    except (subprocess.CalledProcessError, OSError, ValueError, IndexError) as error:
        return about | {"reason": _reason(error)}
    return _row(name, given, results, _megabytes(folder / "store"))


def _environment(cache: Path, package: str) -> Path:
    """The Python that has a package, which is installed once; the user's pip settings hold."""
    folder = cache / package
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    installed = folder / "installed"
    if not installed.exists():
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _output([*pip, "install", package, "numpy"], INSTALLING)
        installed.touch()
    return python


def _output(command: Sequence[str], minutes: float) -> str:
    return subprocess.run(  # noqa: S603  of our own making
        command, check=True, capture_output=True, text=True, timeout=60 * minutes
    ).stdout


def _hand_over(given: Task, folder: Path) -> None:
    np.save(folder / "vectors.npy", given.vectors)
    np.save(folder / "asked.npy", np.stack([one.vector for one in given.plain + given.filtered]))
    about = {
        "texts": given.texts,
        "domains": given.domains,
        "queries": [(one.text, one.domain) for one in given.plain + given.filtered],
        "limit": LIMIT,
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _reason(error: Exception) -> str:
    told = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return (str(told).strip().splitlines() or [type(error).__name__])[-1]


def _row(name: str, given: Task, results: Mapping[str, Any], size: float) -> Row:
    row: Row = {"store": name, "texts": len(given.texts), "build s": results["build s"], "MB": size}
    for kind, asked in (("", given.plain), ("filtered ", given.filtered)):
        one = results["filtered" if kind else "plain"]
        cuts = quantiles(one["ms"], n=100)
        row |= {f"{kind}p50": cuts[49], f"{kind}p99": cuts[98]}
        row[f"{kind}recall"] = recall(given, asked, one["found"])
    return row


def recall(given: Task, asked: Sequence[Query], found: Sequence[Sequence[int]]) -> float:
    """The mean share of the exact ten nearest that was found; a tie with the tenth counts."""
    domains, shares = np.array(given.domains), list[float]()
    for query, numbers in zip(asked, found, strict=True):
        cosines = given.vectors @ query.vector
        if query.domain is not None:
            cosines[domains != query.domain] = -1
        wanted = min(LIMIT, int(np.sum(cosines > -1)))
        tenth = np.partition(cosines, -wanted)[-wanted]
        shares.append(float(np.sum(cosines[list(numbers)] >= tenth - TIES)) / wanted)
    return fmean(shares)


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def measured(given: Task, arguments: argparse.Namespace, cache: Path) -> Iterator[Row]:
    names = arguments.only if arguments.only is not None else list(PEERS)
    with TemporaryDirectory(prefix="flex-mcp-") as folder:
        yield from ours(given, Path(folder))
    for name in names:
        with TemporaryDirectory(prefix="flex-mcp-") as folder:
            yield peer(name, given, Path(folder), cache, arguments.minutes)


def show(made: Sequence[Row]) -> None:
    """A table, and those that could not run with their reasons."""
    table: list[list[str]] = []
    for row in made:
        if "reason" in row:
            print(f"{row['store']}, {row['texts']} texts, cannot run: {row['reason']}")
        else:
            figures = (row[column] for column in COLUMNS)
            cells = ("-" if figure is None else f"{figure:.{DIGITS}g}" for figure in figures)
            table.append([row["store"], str(row["texts"]), *cells])
    print_table(("ms, top ten", "texts", *COLUMNS), table)


def goals(found: Sequence[Row]) -> list[Row]:
    """Ours whole, beside each peer that ran."""
    large = {row["store"]: row for row in found if row["texts"] == GOAL_SIZE}
    if OURS not in large:
        return []
    our = large[OURS]["filtered p50"]
    return [
        ceiling(f"{our:.1f} ms filtered, as a share of {name}", 1, our / row["filtered p50"])
        for name, row in large.items()
        if name in PEERS and "reason" not in row
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("texts", type=Path, metavar="TEXTS")
    parser.add_argument("--sizes", nargs="+", type=int, default=[10_000, GOAL_SIZE])
    parser.add_argument("--queries", type=int, default=QUERIES, help="of each kind")
    parser.add_argument("--only", nargs="*", choices=list(PEERS), metavar="PEER")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keeps what is installed")
    parser.add_argument("--minutes", type=float, default=60, help="for one peer and size")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    found: list[Row] = []
    with nullcontext(given.cache) if given.cache else TemporaryDirectory() as cache:
        for size in given.sizes:
            one = task(given.texts, size, given.queries)
            made = list(measured(one, given, Path(cache).absolute()))
            show(made)
            found += made
    write(given.json, {"rows": found, "goals": goals(found)})


if __name__ == "__main__":
    main()
