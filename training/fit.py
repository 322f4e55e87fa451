"""Make `flex_mcp/search/fit.json`: what tells whether a lesson fits a task.

    python training/fit.py SET... --served DIR... [--model-path FOLDER] [--out FILE]
        [--cache FOLDER]

A SET holds corpus.jsonl, queries.jsonl, qrels.jsonl; a DIR lessons.jsonl and tasks.jsonl
(benchmarks/served.py). Libraries of 12 to 400 documents are drawn from each, with queries whose
documents were left out, and queries of other sets. A logistic regression over the features of
flex_mcp/search/fit.py; a set weighs the same whatever its size, the DIRs more and sets that were
judged in part less. Short and long tasks, fitting and near ones weigh the same in calibrating
`relevance`, foreign ones half.

Each of the DIRs is reported by weights that were made without it: what is printed is out of fold.
"""

import argparse
import itertools
import json
import pickle
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from flex_mcp.library.library import Library
from flex_mcp.models import Action, Filter, Lesson, Level, Zone
from flex_mcp.search import baseline, fit, hits, ranking
from flex_mcp.search import embedder as embedders
from flex_mcp.search.candidates import Search, candidates
from flex_mcp.search.embedder import FASTEMBED, OURS, STATIC, Embedder
from flex_mcp.storage.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MODEL = f"{FASTEMBED}sentence-transformers/all-MiniLM-L6-v2"
SIZES = {12: 3, 45: 4, 150: 4, 400: 1}  # documents of a library: how many are drawn
OWN_SIZES = {10: 6, 40: 4, 80: 2, 1000: 1}
FITTING = 40  # queries of a library at most
FOREIGN = 5  # queries of each other set
JUDGED = 8  # candidates of a query that are learned from, beside those that help
DECAY = 3.0  # of the ridge
SEVERAL = (
    "flex_aime",
    "flex_rules",
)  # sets whose judgements name few of what would help: count less
LITTLE, OWN, USUAL = 0.15, 1.5, 0.5  # what a set weighs
KINDS = "ours", "static", "model", "words"
# By hand, out of fold.
SIGNS = {"ours": fit.Signs(background=0.3, length=-0.5, size=-0.4, lead=0.5)}
LEAST = 10  # lessons of a library from which on it calibrates


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    helpful: frozenset[str]
    kind: str  # fitting, near or far


@dataclass(frozen=True, slots=True)
class Drawn:
    """A library and what is asked of it."""

    name: str
    lessons: Mapping[str, Lesson]
    queries: Sequence[Query]


@dataclass(frozen=True, slots=True)
class Measured:
    """One query: features of its candidates, which of them help, and the library's background."""

    name: str
    size: int
    query: Query
    rows: "Floats"
    helps: "Floats"
    background: float
    terms: int


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def document(row: Mapping[str, str]) -> Lesson:
    title = row.get("title") or row["text"].split(". ")[0]
    return lesson({"zone": "golden", "level": "pattern", "lesson": row["text"], "title": title})


def lesson(row: Mapping[str, Any]) -> Lesson:
    return Lesson(
        zone=Zone(row["zone"]),
        level=Level(row["level"]),
        title=row["title"][:120],
        when=row.get("when", ""),
        lesson=row["lesson"][:8_000],
        examples=tuple(row.get("examples", ())),
        domain=row.get("domain"),
        tags=tuple(row.get("tags", ())),
        action=Action.ADD,
    )


def drawn_sets(folders: Sequence[Path], chance: random.Random) -> Iterator[Drawn]:
    """Libraries of documents; a part of the queries have theirs left out."""
    queries: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for folder in folders:
        helpful: dict[str, set[str]] = {}
        for pair in rows(folder / "qrels.jsonl"):
            helpful.setdefault(pair["qid"], set()).add(pair["did"])
        queries[folder.name] = [
            (row["text"], frozenset(helpful[row["id"]]))
            for row in rows(folder / "queries.jsonl")
            if row["id"] in helpful
        ]
    for folder in folders:
        corpus = {row["id"]: document(row) for row in rows(folder / "corpus.jsonl")}
        for size, times in SIZES.items():
            most = size if size < len(corpus) else len(corpus) * 2 // 3
            for _ in range(times):
                yield _drawn(folder.name, corpus, queries, most, chance)


def _drawn(
    name: str,
    corpus: Mapping[str, Lesson],
    queries: Mapping[str, Sequence[tuple[str, frozenset[str]]]],
    size: int,
    chance: random.Random,
) -> Drawn:
    own = chance.sample(queries[name], len(queries[name]))
    fitting: list[tuple[str, frozenset[str]]] = []
    needed: set[str] = set()
    while own and len(fitting) < FITTING and len(needed | own[-1][1]) <= 0.8 * size:
        fitting.append(own.pop())
        needed |= fitting[-1][1]
    near = [one for one in own if not one[1] & needed][: len(fitting) * 2 // 3]
    banned = needed.union(*(one[1] for one in near))
    rest = chance.sample(sorted(corpus.keys() - banned), len(corpus.keys() - banned))
    ids = sorted(needed & corpus.keys()) + rest[: max(0, size - len(needed))]
    asked = [Query(text, helpful & {*ids}, "fitting") for text, helpful in fitting]
    asked += [Query(text, frozenset(), "near") for text, _ in near]
    for other, theirs in queries.items():
        if _field(other) != _field(name):
            asked += [
                Query(text, frozenset(), "far") for text, _ in chance.sample([*theirs], FOREIGN)
            ]
    return Drawn(name, {id_: corpus[id_] for id_ in ids}, asked)


def _field(name: str) -> str:
    """Sets of one field are not foreign to each other."""
    return "mathematics" if name.startswith(("flex", "theorem")) else name


def drawn_served(folder: Path, chance: random.Random) -> Iterator[Drawn]:
    """Libraries of a folder's lessons, with all its tasks."""
    lessons = {row["id"]: lesson(row) for row in rows(folder / "lessons.jsonl")}
    tasks = rows(folder / "tasks.jsonl")
    for size, times in OWN_SIZES.items():
        for _ in range(times):
            needed: dict[str, None] = {}
            fitting = [task for task in tasks if task["helpful"]]
            for task in chance.sample(fitting, len(fitting)):
                if len(needed) < 0.7 * size:
                    needed |= dict.fromkeys(task["helpful"])
            rest = [id_ for id_ in lessons if id_ not in needed]
            ids = [*needed, *chance.sample(rest, len(rest))][:size]
            asked = [_query(task, frozenset(ids)) for task in tasks]
            yield Drawn(folder.name, {id_: lessons[id_] for id_ in ids}, asked)


def _query(task: Mapping[str, Any], there: frozenset[str]) -> Query:
    helpful = frozenset(task["helpful"]) & there
    kind = "fitting" if helpful else "far" if task["kind"] == "far" else "near"
    return Query(task["task"], helpful, kind)


class Remembering:
    """An embedder that embeds no text twice: libraries share their texts."""

    def __init__(self, embedder: Embedder) -> None:
        self.vectors, self.kind = embedder.vectors, embedder.kind
        self.near_duplicate, self.related = embedder.near_duplicate, embedder.related
        self._embedder = embedder
        self._queries: dict[str, bytes] = {}
        self._passages: dict[tuple[str, str | None], list[bytes]] = {}

    def query(self, text: str) -> bytes:
        if text not in self._queries:
            self._queries[text] = self._embedder.query(text)
        return self._queries[text]

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:
        pairs = list(itertools.zip_longest(texts, headings))
        for text, heading in pairs:
            if (text, heading) not in self._passages:
                given = ([text],) if heading is None else ([text], [heading])
                self._passages[text, heading] = self._embedder.passages(*given)[0]
        return [self._passages[pair] for pair in pairs]


def measured(drawn: Drawn, embedder: Embedder, kind: str) -> list[Measured]:
    """What the product's own search says of each query."""
    found: list[Measured] = []
    with (
        TemporaryDirectory(prefix="flex-mcp-") as folder,
        Library(
            SqliteStore(Path(folder) / "library.db"), lambda _name, _fetch: embedder, wanted=None
        ) as library,
    ):
        names = dict(filled(library, drawn.lessons))
        with library.reading() as reading:
            generic = baseline.generic(embedder, None)
            background = baseline.measure(reading, embedder, generic)
            for query in drawn.queries:
                search = _search(query.text, embedder, generic, kind)
                there = candidates(reading, search)
                if not there.scores:
                    continue
                ids = there.compared
                usual = background.background if background else None
                above = hits.above(reading, search, there, usual, len(names))
                helps = np.array([names[id_] in query.helpful for id_ in ids], np.float64)
                nearest = fit.nearest_of(search.generic, 0.0)
                rows_ = hits.rows(there, len(names), nearest)
                found.append(
                    Measured(drawn.name, len(names), query, rows_, helps, above, len(there.terms))
                )
    return found


def filled(library: Library, lessons: Mapping[str, Lesson]) -> Iterator[tuple[str, str]]:
    ids = list(lessons)
    for start in range(0, len(ids), 50):
        batch = ids[start : start + 50]
        for id_, decision in zip(
            batch, library.apply([lessons[id_] for id_ in batch], typed=True), strict=True
        ):
            yield str(decision.experience_id), id_


def _search(text: str, embedder: Embedder, generic: "NDArray[np.float32]", kind: str) -> Search:
    if kind == "words":
        return Search(text=text, wanted=Filter(), limit=5)
    vector = embedder.query(ranking.ends(text))
    return Search(
        text=text,
        wanted=Filter(),
        limit=5,
        vector=vector,
        kind=kind,
        generic=(generic @ np.frombuffer(vector, np.float32)).tolist(),
    )


def regression(x: "Floats", y: "Floats", weights: "Floats", decay: float = DECAY) -> "Floats":
    """Weights and bias, last, of a ridge-regularised logistic regression, by Newton's steps."""
    mean, deviation = x.mean(0), x.std(0) + 1e-9
    design = np.column_stack(((x - mean) / deviation, np.ones(len(x))))
    ridge = np.diag([decay] * x.shape[1] + [0.0])
    found = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (weights * (p - y)) + ridge @ found
        curve = (design * (weights * p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(curve, slope)
        found -= step
        if np.abs(step).max() < 1e-8:
            break
    scaled = found[:-1] / deviation
    return np.append(scaled, found[-1] - mean @ scaled)


def fitted(found: Sequence[Measured], own: frozenset[str], kind: str) -> fit.Fit:
    """The weights from these queries; `relevance` is calibrated on the sets `own`."""
    x: list[Floats] = []
    y: list[Floats] = []
    sets: list[str] = []
    for one in found:
        kept = [k for k, helps in enumerate(one.helps) if k < JUDGED or helps]
        x.append(one.rows[kept])
        y.append(one.helps[kept])
        sets += [one.name] * len(kept)
    share = {name: _share(name, own) / count for name, count in Counter(sets).items()}
    weights = np.array([share[name] for name in sets]) * 10_000
    *parts, bias = regression(np.vstack(x), np.concatenate(y), weights).tolist()
    served = [one for one in found if one.name in own]
    cosine, apart = (fit.FEATURES.index(name) for name in ("cosine", "apart"))
    nearest = float(np.mean([one.rows[0, cosine] - one.rows[0, apart] for one in served]))
    signs = SIGNS.get(kind, fit.SIGNS)
    return _calibrated(fit.Fit(tuple(parts), bias, 1.0, 0.0, nearest, signs=signs), served)


def _share(name: str, own: frozenset[str]) -> float:
    return OWN if name in own else LITTLE if name in SEVERAL else USUAL


def _calibrated(made: fit.Fit, found: Sequence[Measured]) -> fit.Fit:
    """With what makes a probability of the first decision."""
    found = [one for one in found if one.size >= LEAST]
    groups = [(one.name, one.size, one.query.kind, _is_long(one)) for one in found]
    counts = Counter(groups)
    weights = np.array([_balance(group[2]) / counts[group] for group in groups]) * 1_000
    raw = np.array([[raw_of(one, made)] for one in found])
    fits = np.array([float(one.query.kind == "fitting") for one in found])
    scale, shift = regression(raw, fits, weights, decay=0.1).tolist()
    return replace(made, scale=scale, shift=shift)


def _balance(kind: str) -> float:
    return 1.0 if kind != "far" else 0.5


def _is_long(one: Measured) -> bool:
    return len(one.query.text.split()) > 30


def raw_of(one: Measured, made: fit.Fit) -> float:
    return fit.raw(fit.log_odds(one.rows, made), one.background, one.terms, one.size, made.signs)


def relevance_of(one: Measured, made: fit.Fit) -> float:
    odds = fit.log_odds(one.rows, made)
    return fit.relevance(odds, one.background, one.terms, one.size, made)


def report(found: Sequence[Measured], made: fit.Fit, name: str) -> None:
    """What would be served, by cuts of the relevance."""
    for size in sorted({one.size for one in found}):
        there = [one for one in found if one.size == size]
        relevant = [relevance_of(one, made) for one in there]
        for cut in sorted({0.3, 0.4, fit.RELEVANT, 0.6, 0.7}):
            served: dict[tuple[str, bool], list[bool]] = {}
            right: list[float] = []
            wanted: list[bool] = []
            for one, share in zip(there, relevant, strict=True):
                kind = one.query.kind
                served.setdefault((kind, _is_long(one)), []).append(share >= cut)
                if kind == "fitting":
                    odds = np.array(fit.log_odds(one.rows, made))
                    chosen = np.flatnonzero(odds >= odds.max() - fit.RATIO)[:5]
                    chosen = chosen if share >= cut else chosen[:0]
                    right += one.helps[chosen].tolist()
                    wanted.append(bool(one.helps[chosen].any()))
            shares = {key: float(np.mean(value)) for key, value in served.items()}
            print(
                f"{name:<9} {size:>4} lessons, cut {cut}: precision {np.mean(right or [0]):.2f}, "
                f"wanted {np.mean(wanted):.2f}, near short {shares.get(('near', False), 0):.2f} "
                f"long {shares.get(('near', True), 0):.2f}, "
                f"far {max(shares.get(('far', long), 0) for long in (False, True)):.2f}"
            )


def all_measured(given: argparse.Namespace, kind: str) -> list[Measured]:
    """What the searches of all libraries say; with `--cache` they are made once."""
    kept = given.cache and given.cache / f"{kind}.pickle"
    if kept and kept.exists():
        with kept.open("rb") as file:
            return pickle.load(file)  # noqa: S301  made by ourselves
    chance = random.Random(1)
    name = {"ours": OURS, "model": MODEL}.get(kind, STATIC)
    embedder = Remembering(embedders.load(name, cache=Path(), folder=given.model_path))
    drawn = [*drawn_sets(given.sets, chance)]
    drawn += [one for folder in given.served for one in drawn_served(folder, chance)]
    found: list[Measured] = []
    for number, one in enumerate(drawn, start=1):
        found += measured(one, embedder, kind)
        print(f"\r{kind}: {number} of {len(drawn)} libraries", end="", file=sys.stderr)
    print(file=sys.stderr)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with kept.open("wb") as file:
            pickle.dump(found, file)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET")
    parser.add_argument("--served", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model-path", type=Path, metavar="FOLDER", help="a MiniLM's files")
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    parser.add_argument("--out", type=Path, default=Path("flex_mcp/search/fit.json"))
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keeps what was measured")
    given = parser.parse_args()
    own = frozenset(folder.name for folder in given.served)
    made: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    for kind in given.kind or KINDS:
        if kind == "model" and given.model_path is None:
            continue
        found = all_measured(given, kind)
        print(f"{kind}: {len(found):,} queries")
        for left_out in sorted(own):
            rest = [one for one in found if one.name != left_out]
            without = fitted(rest, own - {left_out}, kind)
            report([one for one in found if one.name == left_out], without, left_out)
        whole = fitted(found, own, kind)
        weights = {
            name: round(value, 4) for name, value in zip(fit.FEATURES, whole.weights, strict=True)
        }
        fusion = made.get(kind, {}).get("fusion", fit.USUAL._asdict())
        made[kind] = {
            "fusion": fusion,
            "signs": whole.signs._asdict(),
            "weights": weights,
            "bias": round(whole.bias, 4),
            "scale": round(whole.scale, 4),
            "shift": round(whole.shift, 4),
            "nearest": round(whole.nearest, 4),
        }
        given.out.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
