"""When do two lessons say the same? What is discarded unseen, and what is shown for a merge.

    python benchmarks/duplicates.py [SOURCE...] [--json FILE] [--model-path FOLDER] [--wrong]

`tests/data/near_duplicates.jsonl` holds pairs of lessons, each read and labelled by hand (from the
second draw on with its cosine unseen). Asked is what is lost when only one of the two is kept,
examples, reasons, wording and details that a reader would see to anyway aside:

- `same`: nothing, whichever is kept;
- `covers`: nothing, if the fuller one is kept: it gives all the advice of the other;
- `near`: something, whichever is kept: one topic, and each gives advice of its own;
- `different`: they advise different things, or against each other.

True, for a merge, are `same` and `covers`: keeping both adds nothing to the fuller one. For the
silent discard only `same` is. `near` and `different` are false for both.

Pairs of FLEX rules are named by file, zone, entry and rule, with a hash of both texts; SOURCE is
where these are: FLEX libraries, and the folder of the set flex_rules. Without them only our own
pairs are measured. Of a rule the title is its first sentence, and `when` the category with the
first line of the method (the set has the category alone): it says where the rule was learned, so
these labels go by the rule itself; in our own pairs `when` counts like the rest.

FLEX pairs are of one zone, from four draws: the nearest by either embedder or by shared words, with
some from the middle and the bottom (207); by a fixed seed, up to twenty from each band of cosine
from 0.6 on, of the whole text and of the rule alone (140); since many are of one family, what an
answer must look like, up to thirty from each band outside of it, by the rule alone (84); and, when
the decision was fixed, the second draw again with another seed (89). From the second on no rule is
drawn more than twice. What is outside of the family is measured by itself, too. Our own are harder
than life: paraphrases, and texts that differ in a number, a negation, an order, a condition or a
word. None of the shares is that of daily use.

The share of common words from which on a lesson restates another is chosen on one half of the FLEX
pairs of cosine 0.6 and more, by a hash of their names, and measured on the other: the lowest in
steps of 0.05 from which on 95 % of what is found is true. So is the best cosine, to compare.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from math import sqrt
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

import numpy as np
from testbed import goal, print_table, rows, write

from flex_mcp.errors import EmbedderError
from flex_mcp.exchange.flex import RULE, parts_of, title_of
from flex_mcp.models import Level, Relation, Snapshot, Zone, fingerprint
from flex_mcp.search.duplicates import RESTATES, content_stems, relation, same_claim, shared
from flex_mcp.search.embedder import FASTEMBED, OURS, STATIC, Embedder, load

PAIRS = Path(__file__).parents[1] / "tests" / "data" / "near_duplicates.jsonl"
MODEL = FASTEMBED + "sentence-transformers/all-MiniLM-L6-v2"
DRAWN = 0.6  # the cosine from which on pairs count for the goal
LABELLED, TRUE = 200, 60  # such pairs, at least, and the true ones among them
PRECISION, RECALL = 0.95, 0.5
FOUND = 0.95  # share of the true and near pairs that `related` is to find
STEPS = [n / 100 for n in range(30, 100, 5)]
MERGE, SAME = frozenset({"same", "covers"}), frozenset({"same"})
FORMAT = "format", "<answer>"  # a rule with one of these is of the large family


class Pair(NamedTuple):
    """A pair as listed, both lessons, and the share of words that they have in common."""

    listed: Mapping[str, Any]
    lessons: tuple[Snapshot, Snapshot]
    shared: float

    @property
    def is_flex(self) -> bool:
        return self.listed["source"] == "flex"

    @property
    def held_out(self) -> bool:
        names = f"{self.listed['first']}|{self.listed['second']}"
        return sha256(names.encode()).digest()[-1] % 2 == 1

    @property
    def in_family(self) -> bool:
        return all(any(sign in one.lesson.casefold() for sign in FORMAT) for one in self.lessons)


class Rated(NamedTuple):
    """A pair with its cosine by one embedder, as the product rounds it."""

    pair: Pair
    cosine: float


class Judged(NamedTuple):
    """What a threshold finds among pairs, how much of it is true, and how much there is."""

    found: int
    right: int
    true: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0  # none is wrong

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    def shown(self) -> list[str]:
        figures = self.precision, wilson(self.right, self.found), self.recall
        return [str(self.found), *(f"{100 * one:.1f}" if self.found else "-" for one in figures)]


COLUMNS = "precision", "lower", "recall"
Score = Callable[[Rated], float]


def by_words(one: Rated) -> float:
    return one.pair.shared


def by_cosine(one: Rated) -> float:
    return one.cosine


def rules(source: Path) -> Iterator[tuple[str, Snapshot]]:
    """The rules of a FLEX library or of the set, under the names that the pairs give them."""
    if source.is_dir():
        for row in rows(source / "corpus.jsonl"):
            yield f"{source.resolve().name}/{row['id']}", _snapshot(row["text"], row["cat"])
        return
    zones = json.loads(source.read_text(encoding="utf-8"))["library"]
    for zone, entries in zones.items():
        for place, entry in enumerate(entries):
            where = f"{source.stem}/{zone}/{place}"
            found = [part for kind, _, part in parts_of(entry, Zone(zone), where) if kind == RULE]
            yield from ((f"{where}/{number}", part) for number, part in enumerate(found))


def _snapshot(text: str, when: str, title: str | None = None) -> Snapshot:
    title = title_of(text) if title is None else title
    return Snapshot(zone=Zone.GOLDEN, level=Level.PRINCIPLE, title=title, when=when, lesson=text)


def read(sources: Iterable[Path]) -> list[Pair]:
    """The pairs that can be measured here; what is left out is told."""
    known: dict[str, Snapshot] = {}
    for source in sources:
        if source.exists():
            known |= rules(source)
        else:
            print(f"there is no {source}", file=sys.stderr)
    listed = rows(PAIRS)
    held = [(row, lessons) for row in listed if (lessons := _lessons(row, known))]
    if absent := len(listed) - len(held):
        print(f"{absent} of {len(listed)} pairs are left out: name their files", file=sys.stderr)
    return [Pair(row, both, shared(*map(content_stems, both))) for row, both in held]


def _lessons(
    row: Mapping[str, Any], known: Mapping[str, Snapshot]
) -> tuple[Snapshot, Snapshot] | None:
    names = row["first"], row["second"]
    if row["source"] == "own":
        one, other = (_snapshot(own["lesson"], own["when"], own["title"]) for own in names)
        return one, other
    if not {*names} <= known.keys():
        return None
    one, other = (known[name] for name in names)
    if not fingerprint(one.lesson.strip(), other.lesson.strip()).startswith(row["hash"]):
        print(f"changed since: {row['first']} or {row['second']}", file=sys.stderr)
        return None
    return one, other


def embedders(folder: Path | None) -> Iterator[Embedder]:
    cache = Path(gettempdir())  # unused: nothing is fetched
    yield load(OURS, cache=cache)
    yield load(STATIC, cache=cache)
    try:
        if folder is not None:
            yield load(MODEL, cache=cache, folder=folder)
    except EmbedderError as error:
        print(error, file=sys.stderr)


def cosine(embedder: Embedder, held: str, new: str) -> float:
    """Of the new text's first chunk and the nearest one of the other; headings are left out.

    Each is embedded alone: with a quantised model, what shares the batch moves it by about 0.01.
    """
    vector = np.frombuffer(embedder.passages([new])[0][0], np.float32)
    chunks = [np.frombuffer(chunk, np.float32) for chunk in embedder.passages([held])[0]]
    return round(max(float(chunk @ vector) for chunk in chunks), 3)


def wilson(right: int, found: int) -> float:
    """The lower bound of a share, at 95 %."""
    z, share = 1.96, right / (found or 1)
    spread = z * sqrt(share * (1 - share) * found + z * z / 4)
    return max(0.0, (right + z * z / 2 - spread) / (found + z * z))


def judged(
    rated: Iterable[Rated], score: Score, at: float, wanted: frozenset[str] = MERGE
) -> Judged:
    rated = list(rated)
    true = [one.pair.listed["label"] in wanted for one in rated]
    found = [right for right, one in zip(true, rated, strict=True) if score(one) >= at]
    return Judged(len(found), sum(found), sum(true))


def chosen(rated: Sequence[Rated], score: Score) -> float:
    """The lowest threshold from which on enough of what is found is true."""
    lowest = 1.0
    for at in reversed(STEPS):
        if judged(rated, score, at).precision < PRECISION:
            break
        lowest = at
    return lowest


def restated(name: str, rated: Sequence[Rated]) -> list[dict[str, Any]]:
    """Thresholds chosen on one half of the FLEX pairs, measured on the other."""
    drawn = [one for one in rated if one.pair.is_flex and one.cosine >= DRAWN]
    chosen_on = [one for one in drawn if not one.pair.held_out]
    held_out = [one for one in drawn if one.pair.held_out]
    parts = {
        "half": chosen_on,
        "held out": held_out,
        "other families": [one for one in held_out if not one.pair.in_family],
    }
    found: list[dict[str, Any]] = []
    for score, what in ((by_words, "common words"), (by_cosine, "cosine")):
        at = chosen(chosen_on, score)
        print(f"\n{name}, restated by {what}: {at:.2f} is chosen on the half; held out, its rest")
        heads = [head for part in parts for head in (part, *COLUMNS)]
        lines = [
            [cell for pairs in parts.values() for cell in judged(pairs, score, t).shown()]
            for t in STEPS
        ]
        marks = [f"{t:.2f}" for t in STEPS]
        print_table(
            ("from", *heads), [(mark, *line) for mark, line in zip(marks, lines, strict=True)]
        )
        rule = f"restated by {what}"
        found += [_row(name, rule, part, at, judged(parts[part], score, at)) for part in parts]
        same = judged(held_out, score, at, SAME)
        found.append(_row(name, rule, "held out, same", at, same))
        print(f"held out, of {same.true} that are `same`, {same.right} are found")
    return found


def _row(name: str, rule: str, part: str, at: float, one: Judged) -> dict[str, Any]:
    figures = {"found": one.found, "right": one.right, "true": one.true}
    shares = {"precision": one.precision, "recall": one.recall}
    lower = wilson(one.right, one.found)
    about = {"embedder": name, "rule": rule, "part": part, "threshold": at}
    return about | figures | shares | {"lower": lower}


def discarded(rated: Iterable[Rated], near: float) -> list[Rated]:
    """What the Library would discard unseen."""
    texts = ((one, *(lesson.text for lesson in one.pair.lessons)) for one in rated)
    return [one for one, held, new in texts if one.cosine >= near and same_claim(held, new)]


def dropped(name: str, rated: Sequence[Rated], near: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in ("flex", "own"):
        pairs = [one for one in rated if one.pair.listed["source"] == part]
        true = sum(one.pair.listed["label"] in SAME for one in pairs)
        gone = discarded(pairs, near)
        right = sum(one.pair.listed["label"] in SAME for one in gone)
        one = Judged(len(gone), right, true)
        print(f"{name}, {part}: {right} of {true} are discarded, wrongly {len(gone) - right}")
        found.append(_row(name, "discard", part, near, one))
    return found


def judge(embedder: Embedder, pairs: Sequence[Pair], *, wrong: bool) -> dict[str, Any]:
    """Rows and goals of an embedder; its tables are printed."""
    name = embedder.vectors.embedder.rsplit("/", 1)[-1]
    rated = [Rated(pair, cosine(embedder, *(one.text for one in pair.lessons))) for pair in pairs]
    table = restated(name, rated)
    print()
    table += dropped(name, rated, embedder.near_duplicate)
    gone = [row for row in table if row["rule"] == "discard"]
    related = judged(rated, by_cosine, embedder.related, MERGE | {"near"})
    ours = next(row for row in table if row["part"] == "held out")
    print(f"{name}: chosen {ours['threshold']}, in the product {RESTATES}")
    if wrong:
        tell_wrong(rated, ours["threshold"])
    right = sum(row["right"] for row in gone) / (sum(row["found"] for row in gone) or 1)
    return {
        "rows": table,
        "goals": [
            goal(f"{name}, held out, restated: precision", PRECISION, ours["precision"]),
            goal(f"{name}, held out, restated: recall", RECALL, ours["recall"]),
            goal(f"{name}, discards that are right", 1.0, right),
            goal(f"{name}, true and near pairs among the related", FOUND, related.recall),
        ],
    }


def tell_wrong(rated: Iterable[Rated], at: float) -> None:
    for pair, score in sorted(rated, key=lambda one: -one.pair.shared):
        label = pair.listed["label"]
        if pair.is_flex and pair.shared >= at and score >= DRAWN and label not in MERGE:
            print(f"{pair.shared:.3f}, {label}:", *(one.lesson for one in pair.lessons), sep="\n")


def counted(rated: Sequence[Pair], drawn: Sequence[float]) -> list[dict[str, Any]]:
    counts = Counter((pair.listed["source"], pair.listed["label"]) for pair in rated)
    print(", ".join(f"{source} {label} {counts[source, label]}" for source, label in counts))
    labels = [
        pair.listed["label"]
        for pair, score in zip(rated, drawn, strict=True)
        if pair.is_flex and score >= DRAWN
    ]
    print(f"FLEX pairs from {DRAWN} on: {dict(Counter(labels))}")
    opposed = Counter(
        f"{pair.listed['source']} {pair.listed['label']}"
        for pair in rated
        if relation(*pair.lessons) is Relation.CONTRADICTS
    )
    print(f"said to contradict each other: {dict(opposed)}")
    return [
        goal(f"labelled FLEX pairs from {DRAWN} on", LABELLED, len(labels)),
        goal("true ones among them", TRUE, sum(label in MERGE for label in labels)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--model-path", type=Path, metavar="FOLDER", help="MiniLM's files")
    parser.add_argument("--wrong", action="store_true", help="show what is wrongly found")
    arguments = parser.parse_args()
    pairs = read(arguments.sources)
    results: dict[str, Any] = {"rows": [], "goals": []}
    for embedder in embedders(arguments.model_path):
        if not results["goals"]:
            texts = [[one.text for one in pair.lessons] for pair in pairs]
            results["goals"] += counted(pairs, [cosine(embedder, *both) for both in texts])
        for key, found in judge(embedder, pairs, wrong=arguments.wrong).items():
            results[key] += found
    write(arguments.json, results)


if __name__ == "__main__":
    main()
