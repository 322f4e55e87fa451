"""Texts for the benchmarks of speed: a corpus of any size, and queries that are not in it.

`documents(file, count)` gives different texts, always the same and in the same order, so that a
small corpus is the beginning of a larger one: those of the file, shuffled, and beyond them new ones
recombined from their sentences. `queries(file, count)` gives queries of 40 to 60 words recombined
from texts that are kept back: `documents` gives none of them. `lesson(text, number)` makes a golden
pattern of the corpus's text with that number, in one of the eight `DOMAINS`.

The file is JSONL, plain or gzipped, of objects with a `text`.
"""

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

from testbed import pattern

from flex_mcp.models import Action, Lesson, fold

DOMAINS = "code", "data", "finance", "law", "mathematics", "medicine", "travel", "writing"
QUERIES = 200
WORDS = 40, 60  # of a query, at least and at most
KEPT_BACK = 50  # one text of so many is for queries alone


def documents(file: Path, count: int) -> Iterator[str]:
    """The first `count` texts of the corpus that this file makes."""
    texts, kept_back = _parted(file)
    yield from texts[:count]
    if count > len(texts):
        yield from islice(_recombined(texts, kept_back), count - len(texts))


def queries(file: Path, count: int = QUERIES) -> list[str]:
    _, kept_back = _parted(file)
    chance, made = random.Random(2), dict[str, None]()
    pool = [sentence for text in kept_back for sentence in _sentences(text)]
    while len(made) < count:
        made[" ".join(_words(chance, pool, WORDS[0])[: WORDS[1]])] = None
    return list(made)


def lesson(text: str, number: int) -> Lesson:
    return replace(pattern(text, DOMAINS[number % len(DOMAINS)]), action=Action.ADD)


@cache
def _parted(file: Path) -> tuple[Sequence[str], Sequence[str]]:
    """The file's texts for the corpus, and those for queries; none is there twice, in any case."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        spaced = (" ".join(json.loads(line)["text"].split()) for line in lines)
        texts = list({fold(text): text for text in spaced if text}.values())
    random.Random(0).shuffle(texts)
    held = len(texts) // KEPT_BACK + 1
    return texts[held:], texts[:held]


def _recombined(texts: Sequence[str], kept_back: Sequence[str]) -> Iterator[str]:
    """New ones without end, each as long as one of the texts."""
    chance = random.Random(1)
    pool = [sentence for text in texts for sentence in _sentences(text)]
    seen = {hash(fold(text)) for text in (*texts, *kept_back)}  # the texts would be large
    while True:
        length = len(chance.choice(texts).split())
        text = " ".join(_words(chance, pool, length)[:length])
        if hash(fold(text)) not in seen:
            seen.add(hash(fold(text)))
            yield text


def _words(chance: random.Random, pool: Sequence[str], at_least: int) -> list[str]:
    """Those of some sentences."""
    words: list[str] = []
    while len(words) < at_least:
        words += chance.choice(pool).split()
    return words


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) ", text)
