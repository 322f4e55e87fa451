"""Spans: where a secret is in a text, how several become one, and whether one looks random."""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

CHANGES = 0.2  # of neighbours; words and camelCase stay below, random letters and digits above
CHANGES_ALONE = 0.3  # where no digit helps
BITS = 3.0  # a character, for sixteen and more of them
LEAST_DIGITS = 2


class Span(NamedTuple):
    """A secret: its place, and what kind it is."""

    start: int
    end: int
    kind: str


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, without overlaps: those that overlap become one, of the first one's kind."""
    whole: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        last = whole[-1] if whole else None
        if last and span.start < last.end:
            whole[-1] = last._replace(end=max(last.end, span.end))
        else:
            whole.append(span)
    return whole


def _bits(text: str) -> float:
    """Shannon's entropy of a character."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def is_random(text: str) -> bool:
    """Whether letters and digits follow each other as in keys, not as in names."""
    if not text.isascii() or _bits(text) < BITS or " " in text:
        return False
    digits = sum(one.isdigit() for one in text)
    changes = sum(_changes(one, other) for one, other in pairwise(text)) / (len(text) - 1)
    if digits >= LEAST_DIGITS and any(one.isalpha() for one in text):
        return changes >= CHANGES
    return changes >= CHANGES_ALONE and digits < LEAST_DIGITS and text.isalpha()


def _changes(one: str, other: str) -> bool:
    """Whether two neighbours differ in class; a capital begins a word, which is no change."""
    if not (one.isalnum() and other.isalnum()):
        return False
    if one.isdigit() or other.isdigit():
        return one.isdigit() != other.isdigit()
    return one.islower() and other.isupper()
