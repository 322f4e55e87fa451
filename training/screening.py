"""Makes `flex_mcp/safety/wording.bin`: how much each run of words says that a text gives orders.

    python training/screening.py TEXTS... [--lessons FILE...] [--plain SET...] [--out FILE]

TEXTS are lines {"label": "attack" | "harmless", "family", "lang", "draw", "text"}
(`training/data/`), FILE are lessons (`benchmarks/data/served/`), SET are lines with "text", both
harmless. A logistic regression over hashed runs of words; of an attack only its worst stretch
counts, found anew in each round, of a harmless text every one. The cuts come from texts that the
weights did not see: a fold is what was written in one draw, since texts of one draw share ideas. Of
look-alikes and plain lessons as many are held back as `LOOKALIKES` and `LESSONS` say. FLEX's
lessons must not be among them.
"""

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse  # pyright: ignore[reportMissingTypeStubs]

from flex_mcp.safety.screening import normal
from flex_mcp.safety.wording import BITS, stretches

LOOKALIKES, LESSONS = 0.02, 0.005  # what may be held back of them, from outside
STRICTER = 4  # times fewer are held back of one's own work
ROUNDS = 3
RIDGE = 10.0  # the variance of a weight, before anything is learned
PLAIN = 0.5  # what a text of SET counts
MOST = 5_000  # texts of a SET

MINIMIZE: Any = cast("Any", optimize).minimize  # scipy has no types

Floats = NDArray[np.float64]
Chosen = NDArray[np.bool_]


class Text(NamedTuple):
    """One text, and what it is."""

    text: str
    attack: bool
    family: str
    draw: int
    plain: bool

    @property
    def kind(self) -> str:
        if self.attack:
            return "attacks"
        if self.family == "lookalikes":
            return "look-alikes"
        return "other texts" if self.plain else "lessons"


class Learned(NamedTuple):
    """A weight for each hash, and the bias."""

    weights: Floats
    bias: float


class Texts:
    """Texts as a matrix: a row for each stretch, which knows its text."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self.texts = texts
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        owners: list[int] = []
        for number, text in enumerate(texts):
            for stretch in stretches(normal(text.text)):
                rows += [len(owners)] * len(stretch.runs)
                columns += stretch.runs
                values += [stretch.damping] * len(stretch.runs)
                owners.append(number)
        self.owners = np.array(owners)
        self.matrix: Any = sparse.csr_matrix((values, (rows, columns)), (len(owners), 1 << BITS))
        self.attack = np.array([text.attack for text in texts])
        self.counts = np.array([PLAIN if text.plain else 1.0 for text in texts])

    def worst(self, sums: Floats, owners: NDArray[np.int64]) -> Floats:
        """The greatest sum of each text."""
        most = np.full(len(self.texts), -np.inf)
        np.maximum.at(most, owners, sums)
        return most

    def sums(self, learned: Learned) -> Floats:
        return self.worst(self.matrix @ learned.weights + learned.bias, self.owners)


def trained(texts: Texts, chosen: Chosen) -> Learned:
    """Weights from the chosen texts."""
    mine = chosen[texts.owners]
    matrix, owners = texts.matrix[mine], texts.owners[mine]
    attack = texts.attack[owners]
    stretches_of = np.bincount(owners, minlength=len(texts.texts))
    counts = texts.counts[owners] / np.where(attack, stretches_of[owners], 1)
    kept = np.ones(len(owners), bool)
    learned = Learned(np.zeros(1 << BITS), 0.0)
    for _ in range(ROUNDS):
        labels = np.where(attack[kept], 1.0, -1.0)
        learned = _regressed(matrix[kept], labels, counts[kept], learned)
        sums = matrix @ learned.weights + learned.bias
        kept = ~attack | (sums >= texts.worst(sums, owners)[owners])
        counts = texts.counts[owners]
    return learned


def _regressed(matrix: Any, labels: Floats, counts: Floats, start: Learned) -> Learned:
    def loss(point: Floats) -> tuple[float, Floats]:
        weights, bias = point[:-1], point[-1]
        margins = labels * (matrix @ weights + bias)
        slopes = -labels * counts / (1 + np.exp(margins))
        value = (counts * np.logaddexp(0, -margins)).sum() + weights @ weights / (2 * RIDGE)
        return value, np.append(matrix.T @ slopes + weights / RIDGE, slopes.sum())

    begun = np.append(start.weights, start.bias)
    found = MINIMIZE(loss, begun, jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return Learned(found.x[:-1], float(found.x[-1]))


def unseen(texts: Texts, folds: NDArray[np.int64], *, attacks_only: bool = False) -> Floats:
    """The sum of each text by weights that did not see its fold."""
    sums = np.zeros(len(texts.texts))
    for fold in np.unique(folds):
        inside = folds == fold
        learned = trained(texts, ~(inside & texts.attack) if attacks_only else ~inside)
        sums[inside] = texts.sums(learned)[inside]
        print(f"fold {fold} of {len(np.unique(folds))}", file=sys.stderr)
    return sums


def write(file: Path, learned: Learned, outside: float, own: float) -> None:
    """The weights as signed bytes, after a line with what makes a score of their sum."""
    scale = float(np.abs(learned.weights).max() / 127)
    about = {"scale": scale, "bias": learned.bias, "outside": outside, "own": own}
    values = np.rint(learned.weights / scale).astype(np.int8)
    file.write_bytes(json.dumps(about).encode() + b"\n" + values.tobytes())


def labelled(files: Iterable[Path]) -> list[Text]:
    return [
        Text(row["text"], row["label"] == "attack", row["family"], row["draw"], plain=False)
        for row in read(files)
    ]


def served(files: Iterable[Path]) -> list[Text]:
    """Lessons as they are stored."""
    lessons = (
        "\n".join((row["title"], row.get("when", ""), row["lesson"], *row.get("examples", ())))
        for row in read(files)
    )
    return [
        Text(text, attack=False, family="plain", draw=number, plain=False)
        for number, text in enumerate(lessons)
    ]


def read(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def plain(files: Iterable[Path]) -> list[Text]:
    """Of each file so many by chance, always the same."""
    found: list[Text] = []
    for file in files:
        texts = [f"{row.get('title', '')}\n{row['text']}" for row in read([file])]
        chosen = random.Random(0).sample(texts, min(MOST, len(texts)))
        found += [
            Text(text, attack=False, family="", draw=number, plain=True)
            for number, text in enumerate(chosen)
        ]
    return found


def cut(by_kind: Mapping[str, Floats], stricter: int) -> float:
    """The sum from which on no more is held back than may be."""
    shares = {"look-alikes": LOOKALIKES, "lessons": LESSONS}
    return max(float(np.quantile(by_kind[one], 1 - shares[one] / stricter)) for one in shares)


def report(by_kind: Mapping[str, Floats], cuts: Sequence[float]) -> None:
    """The share of each kind that is held back by each cut."""
    for kind, sums in by_kind.items():
        shares = "  ".join(f"{(sums >= cut).mean():6.1%}" for cut in cuts)
        print(f"{kind:12} {len(sums):6}  {shares}")


def report_families(texts: Texts, outside: float) -> None:
    """Each family of attacks, found by weights that saw no attack of it."""
    names = sorted({text.family for text in texts.texts if text.attack})
    families = [names.index(text.family) if text.attack else -1 for text in texts.texts]
    sums = unseen(texts, np.array(families), attacks_only=True)
    for number, name in enumerate(names):
        chosen = np.array(families) == number
        print(f"without {name:13} {chosen.sum():5}  {(sums[chosen] >= outside).mean():6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path, metavar="TEXTS")
    parser.add_argument("--lessons", nargs="*", type=Path, default=[], metavar="FILE")
    parser.add_argument("--plain", nargs="*", type=Path, default=[], metavar="SET")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--families", action="store_true", help="leave each family out in turn")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="the sums by unseen weights")
    arguments = parser.parse_args()
    written = labelled(arguments.texts)
    texts = Texts(written + served(arguments.lessons) + plain(arguments.plain))
    folds = np.array([text.draw for text in texts.texts]) % (1 + max(text.draw for text in written))
    sums = unseen(texts, folds)
    kinds = np.array([text.kind for text in texts.texts])
    by_kind = {str(kind): sums[kinds == kind] for kind in np.unique(kinds)}
    outside, own = cut(by_kind, 1), cut(by_kind, STRICTER)
    report(by_kind, (outside, own))
    if arguments.scores:
        rows = zip(texts.texts, sums, strict=True)
        lines = (json.dumps([*text, float(one)], ensure_ascii=False) for text, one in rows)
        arguments.scores.write_text("\n".join(lines), encoding="utf-8")
    if arguments.families:
        report_families(texts, outside)
    if arguments.out:
        learned = trained(texts, np.ones(len(texts.texts), bool))
        write(arguments.out, learned, outside, own)


if __name__ == "__main__":
    main()
