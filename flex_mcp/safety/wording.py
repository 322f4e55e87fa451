"""Is a text worded like an order to the model that reads it? A linear model over its n-grams.

The worst sentence of a text counts, alone or with the next, so that an order weighs the same amid
honest advice. What is looked up are hashed runs of one to three words, and of one and two
beginnings of words, which other forms of a word share; `training/screening.py` makes the weights.
Time grows with the text.
"""

import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

BITS = 18  # of a hash: a quarter of a million weights of a byte
LONGEST, SHARED = 40, 8  # words of a sentence; a longer one is cut, and the parts share some
DAMPING = 0.3  # what n words sum up to counts by 1 / n ** DAMPING
BEGINNING = 4  # letters of a word's beginning
TELLING = 4  # runs of words that are quoted

_END = re.compile(r"(?<=[.!?])[\"')\]]{0,3}\s+|(?<=[\u3002\uff01\uff1f])|\n\s{0,4}\n")
_ADDRESS = re.compile(r"\w+://\S{1,500}")
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
# Scripts without spaces count by the sign. A dot before a word is a hidden file's, or an ending's.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"[{_UNSPACED}]|\.?[^\W\d_{_UNSPACED}]+|\d+|[.,;?\"'`:!<>\[\]{{}}()#|/$~@=*&-]"
)


class Worded(NamedTuple):
    """How sure the model is that a text gives orders, 0 to 1, and the words that weighed most."""

    score: float
    quote: str


class Weights(NamedTuple):
    """What was learned: a weight for each hash, and the marks that make a score of a sum."""

    values: memoryview
    scale: float
    bias: float
    outside: float  # the sum from which on texts from outside are held back: a score of 0.5
    own: float  # the sum from which on all are: a score of 0.7


class Stretch(NamedTuple):
    """A sentence or two: the words, and the runs of words in them, by their hash."""

    words: Sequence[str]
    runs: frozenset[int]

    @property
    def damping(self) -> float:
        return len(self.words) ** -DAMPING


@cache
def weights() -> Weights:
    """The weights of the package: a line of JSON, then a signed byte for each hash."""
    line, _, values = (files("flex_mcp.safety") / "wording.bin").read_bytes().partition(b"\n")
    return Weights(memoryview(values).cast("b"), **json.loads(line))


def worded(text: str) -> Worded:
    """Judge a text that is normalised already."""
    learned = weights()
    worst, most = None, -math.inf
    for stretch in stretches(text):
        weight = stretch.damping * sum(map(learned.values.__getitem__, stretch.runs))
        if weight > most:
            worst, most = stretch, weight
    score = _score(most * learned.scale + learned.bias, learned)
    return Worded(score, _quote(worst.words, learned) if worst and score >= 0.2 else "")


def _score(total: float, learned: Weights) -> float:
    steepness = math.log(0.7 / 0.3) / (learned.own - learned.outside)
    return 1 / (1 + math.exp(min(50.0, -steepness * (total - learned.outside))))


def stretches(text: str) -> Iterator[Stretch]:
    """Each sentence of a text that is normalised already, alone and with the next."""
    before: Stretch | None = None
    for words in _sentences(text):
        runs = frozenset(_hash(run) for place in range(len(words)) for run in _runs(words, place))
        stretch = Stretch(words, runs)
        yield stretch
        if before is not None:
            yield Stretch([*before.words, *words], before.runs | runs)
        before = stretch


def _sentences(text: str) -> Iterator[Sequence[str]]:
    for part in _END.split(text):
        words = tokens(part) if part.strip() else []
        for start in range(0, max(len(words) - SHARED, len(words[:1])), LONGEST - SHARED):
            yield words[start : start + LONGEST]


def tokens(text: str) -> list[str]:
    """Words, numbers as one, signs; with marks of where a sentence begins and ends."""
    plain = _MAIL.sub(" MAIL ", _ADDRESS.sub(" URL ", text))
    return [".", *("0" if one.isdigit() else one for one in _TOKEN.findall(plain)), "."]


def _runs(words: Sequence[str], place: int) -> Iterator[str]:
    """The runs that end with a word."""
    word = words[place]
    yield word
    yield f"~{word[:BEGINNING]}"
    if place:
        before = words[place - 1]
        yield f"{before} {word}"
        yield f"~{before[:BEGINNING]} {word[:BEGINNING]}"
    if place > 1:
        yield f"{words[place - 2]} {words[place - 1]} {word}"


def _hash(run: str) -> int:
    return zlib.crc32(run.encode("utf-8", "surrogatepass")) & ((1 << BITS) - 1)


def _quote(words: Sequence[str], learned: Weights) -> str:
    """The runs of words that weighed most, in their order."""
    spans = [(at, at + n) for at in range(len(words)) for n in (1, 2, 3) if at + n <= len(words)]
    by_weight = sorted(
        spans, key=lambda span: -learned.values[_hash(" ".join(words[span[0] : span[1]]))]
    )
    shown = sorted({at for span in by_weight[:TELLING] for at in range(*span)})
    parts = [
        words[at] if at - 1 in shown or at == shown[0] else f"\u2026 {words[at]}" for at in shown
    ]
    return " ".join(parts).strip(" .\u2026")
