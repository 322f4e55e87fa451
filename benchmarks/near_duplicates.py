"""From which cosine on do two lessons say the same? Precision and recall of the silent discard.

    python benchmarks/near_duplicates.py [SOURCE...] [--json FILE] [--model-path FOLDER] [--wrong]

`near_duplicates.jsonl` holds pairs of lessons, labelled by hand: `same` (who has the one loses
nothing when the other is discarded), `near` (to be merged: one says what the other does not) and
`different`. Pairs of FLEX rules are named by file, zone, entry and rule, with a hash of both texts;
SOURCE is where these are: FLEX libraries, and the folder of the set flex_rules. Without them only
our own pairs are measured. MiniLM is measured where FOLDER has its files.

Compared is what the Library compares when a lesson comes in: `Snapshot.text`, that is title, `when`
and lesson. Of an imported rule the title is its first sentence, and `when` the category with the
first line of the method (the set has the category alone): the rules of one ENTRY share it, as the
lessons of one brief may. It says where a rule was learned, so those labels go by the claim and the
conditions of the rule itself; in our own pairs `when` counts like the rest.

FLEX pairs are of one zone. Most are the nearest by either embedder, with `when` and without, or by
shared words; the others were drawn from the middle and the bottom by a fixed seed. Our own are
harder than life: paraphrases, and texts that differ in a number, a negation, an order, a condition
or a word. So the shares are for comparing thresholds, and none of them is that of daily use.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import sqrt
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

import numpy as np
from testbed import goal, print_table, rows, write

from flex_mcp.embedder import FASTEMBED, STATIC, Embedder, load
from flex_mcp.errors import EmbedderError
from flex_mcp.exchange.flex import RULE, parts_of, title_of
from flex_mcp.models import Level, Snapshot, Zone, fingerprint
from flex_mcp.ranking import same_claim

PAIRS = Path(__file__).with_suffix(".jsonl")
MODEL = FASTEMBED + "sentence-transformers/all-MiniLM-L6-v2"
SOURCES = "flex", "own", "all"
LABELLED = 100  # FLEX pairs, at least
FOUND = 0.95  # share of the same and near pairs that `related` is to find

Pair = tuple[dict[str, Any], str, str]  # as listed, and both texts


class Rated(NamedTuple):
    """A pair with its cosine, as the product rounds it, and whether `same_claim` lets it pass."""

    listed: Mapping[str, Any]
    texts: Sequence[str]
    cosine: float
    passes: bool


class Rule(NamedTuple):
    """Pairs from a threshold on are found: rightly, if they have a wanted label."""

    name: str
    wanted: frozenset[str]
    guarded: bool
    thresholds: Sequence[float]


HIGH, WIDE = [n / 100 for n in range(80, 100)], [n / 100 for n in range(30, 95, 5)]
ALONE = Rule("discard by cosine alone", frozenset({"same"}), guarded=False, thresholds=HIGH)
DISCARD = Rule("discard with same_claim", frozenset({"same"}), guarded=True, thresholds=HIGH)
RELATED = Rule("related", frozenset({"same", "near"}), guarded=False, thresholds=WIDE)


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


def _snapshot(text: str, when: str) -> Snapshot:
    title = title_of(text)
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
    pairs = [(row, *texts) for row in listed if (texts := _texts(row, known))]
    if absent := len(listed) - len(pairs):
        print(f"{absent} of {len(listed)} pairs are left out: name their files", file=sys.stderr)
    return pairs


def _texts(row: Mapping[str, Any], known: Mapping[str, Snapshot]) -> tuple[str, str] | None:
    if row["source"] == "own":
        return "\n".join(row["first"].values()), "\n".join(row["second"].values())
    if not {row["first"], row["second"]} <= known.keys():
        return None
    one, other = known[row["first"]], known[row["second"]]
    if not fingerprint(one.lesson.strip(), other.lesson.strip()).startswith(row["hash"]):
        print(f"changed since: {row['first']} or {row['second']}", file=sys.stderr)
        return None
    return one.text, other.text


def embedders(folder: Path | None) -> Iterator[Embedder]:
    cache = Path(gettempdir())  # unused: nothing is fetched
    yield load(STATIC, cache=cache)
    try:
        if folder is not None:
            yield load(MODEL, cache=cache, folder=folder)
    except EmbedderError as error:
        print(error, file=sys.stderr)


def cosine(embedder: Embedder, held: str, new: str) -> float:
    """Of the new text's first chunk and the nearest one of the other.

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


def measured(rated: Sequence[Rated], rule: Rule, at: float, source: str) -> dict[str, Any]:
    """What a threshold finds among the pairs of a source, and how much of it is wanted."""
    own = [one for one in rated if source in {one.listed["source"], "all"}]
    found = [one for one in own if one.cosine >= at and (one.passes or not rule.guarded)]
    right = sum(one.listed["label"] in rule.wanted for one in found)
    wanted = sum(one.listed["label"] in rule.wanted for one in own)
    return {
        "rule": rule.name,
        "threshold": at,
        "source": source,
        "found": len(found),
        "precision": right / len(found) if found else 1.0,  # none is wrong
        "lower": wilson(right, len(found)),
        "recall": right / wanted if wanted else 1.0,
    }


def show(name: str, rule: Rule, table: Sequence[Mapping[str, Any]]) -> None:
    """A line for each threshold, the columns for each source, %."""
    print(f"\n{name}, {rule.name}")
    heads = [head for one in SOURCES for head in (one, "precision", "lower", "recall")]
    lines = [
        [cell for row in table if row["threshold"] == at for cell in _cells(row)]
        for at in rule.thresholds
    ]
    marks = [f"{at:.2f}" for at in rule.thresholds]
    print_table(("from", *heads), [(at, *line) for at, line in zip(marks, lines, strict=True)])


def _cells(row: Mapping[str, Any]) -> list[str]:
    figures = [row[column] for column in ("precision", "lower", "recall")]
    return [str(row["found"]), *(f"{100 * one:.1f}" if row["found"] else "-" for one in figures)]


def suggested(table: Sequence[Mapping[str, Any]], source: str) -> str:
    """Precision first: the lowest threshold from which on no discard is wrong, if there is one."""
    own = [row for row in table if row["source"] == source and row["precision"] == 1]
    if not own:
        return f"{source} none"
    lowest = min(own, key=lambda row: row["threshold"])
    return f"{source} {lowest['threshold']:.2f} ({lowest['found']} discarded)"


def judge(name: str, embedder: Embedder, rated: Sequence[Rated]) -> dict[str, list[dict[str, Any]]]:
    """Rows and goals of an embedder; its tables are printed with what they suggest."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for rule in (ALONE, DISCARD, RELATED):
        at_each = [(at, source) for at in rule.thresholds for source in SOURCES]
        tables[rule.name] = [measured(rated, rule, *which) for which in at_each]
        show(name, rule, tables[rule.name])
    near, related = embedder.near_duplicate, embedder.related
    sources = {one.listed["source"] for one in rated} | {"all"}
    clean = ", ".join(suggested(tables[DISCARD.name], one) for one in SOURCES if one in sources)
    print(f"\n{name}: near_duplicate is {near}; lowest without a wrong discard: {clean}")
    all_ = [row for row in tables[RELATED.name] if row["source"] == "all"]
    enough = max(row["threshold"] for row in all_ if row["recall"] >= FOUND)
    print(f"{name}: related is {related}; the highest that finds {FOUND:.0%}: {enough:.2f}")
    right = measured(rated, DISCARD, near, "all")["precision"]
    found = measured(rated, RELATED, related, "all")["recall"]
    return {
        "rows": [{"embedder": name} | row for table in tables.values() for row in table],
        "goals": [
            goal(f"{name}, discards that are right", 1.0, right),
            goal(f"{name}, same and near pairs found", FOUND, found),
        ],
    }


def tell_wrong(rated: Iterable[Rated], near: float) -> None:
    for listed, texts, score, passes in sorted(rated, key=lambda one: -one.cosine):
        if score >= near and passes and listed["label"] != "same":
            print(f"{score:.3f}, {listed['label']}:", *texts, sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--model-path", type=Path, metavar="FOLDER", help="MiniLM's files")
    parser.add_argument("--wrong", action="store_true", help="show what is wrongly discarded")
    arguments = parser.parse_args()
    pairs = read(arguments.sources)
    counts = Counter((row["source"], row["label"]) for row, *_ in pairs)
    print(", ".join(f"{source} {label} {counts[source, label]}" for source, label in counts))
    labelled = sum(count for (source, _), count in counts.items() if source == "flex")
    results = {"rows": [], "goals": [goal("labelled FLEX pairs", LABELLED, labelled)]}
    for embedder in embedders(arguments.model_path):
        rated = [
            Rated(row, both, cosine(embedder, *both), same_claim(*both)) for row, *both in pairs
        ]
        name = embedder.vectors.embedder.rsplit("/", 1)[-1]
        for key, found in judge(name, embedder, rated).items():
            results[key] += found
        if arguments.wrong:
            tell_wrong(rated, embedder.near_duplicate)
    write(arguments.json, results)


if __name__ == "__main__":
    main()
