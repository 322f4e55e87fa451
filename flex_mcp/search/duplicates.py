"""Whether two lessons say the same, or the opposite: pure, measured by benchmarks/duplicates.py.

May one be dropped unseen (`same_claim`)? There one wrong answer loses a lesson, so only what says
the same in nearly the same words passes. Is one worth a look beside the other, since it restates
its advice (`restates`)? There somebody reads both. Do they contradict each other? There both must
be seen. `relation` answers all three.
"""

import re
from collections.abc import Collection
from functools import lru_cache

from flex_mcp.models import Relation, Snapshot
from flex_mcp.models.identity import is_code, prose_folded
from flex_mcp.search.opposites import Difference, difference
from flex_mcp.search.reading import GRAMMAR, expanded, spelt, telling

RESTATES = 0.5  # share of their content words that two lessons have in common
FEW = 3  # in fewer common words two short texts only share a topic
TOPIC = 0.3  # below which they are not about the same at all
OPPOSED = 0.7  # share of common words from which on two texts with an opposition are of one thing
NEARLY = 0.8  # the same where only the lessons have one
AGREED = 0.2  # the same of the lessons, where the titles say the opposite
ELSEWHERE = 0.2  # circumstances that have less in common are others

WITHIN = re.compile(r"(?<=[A-Za-z])-(?=[a-z])")  # a compound


def relation(one: Snapshot, other: Snapshot) -> Relation | None:
    """What two lessons are to each other by their words; in either order it is the same."""
    if same_claim(one.text, other.text):
        return Relation.SAME
    words, others = content_stems(one), content_stems(other)
    if 2 * len(words & others) < TOPIC * (len(words) + len(others)):
        return None
    if _contradict(one, other):
        return Relation.CONTRADICTS
    return Relation.NEAR if restates(words, others) else None


def _contradict(one: Snapshot, other: Snapshot) -> bool:
    when = difference(one.when, other.when) if one.when and other.when else Difference()
    if when.alike < ELSEWHERE or (when.turned and when.alike >= OPPOSED):
        return False  # elsewhere the opposite may hold
    if when.placed and not when.beside:
        return False
    title, lesson = difference(one.title, other.title), difference(one.lesson, other.lesson)
    both = title.with_(lesson)
    if title.turned and title.alike >= OPPOSED and lesson.alike >= AGREED:
        return True
    if both.turned and (title.turned or not lesson.placed):
        return both.alike >= (OPPOSED if title.turned else NEARLY)
    named = title.placed == lesson.placed and len(both.placed) == 1
    return named and not both.beside and lesson.common >= FEW


def content_stems(lesson: Snapshot) -> frozenset[str]:
    """Of what it says; its `when` says where it was learned."""
    return telling(lesson.title) | telling(lesson.lesson)


def restates(one: Collection[str], other: Collection[str]) -> bool:
    """Whether two lessons give the same advice, by the stems of their content words."""
    return shared(one, other) >= RESTATES


def shared(one: Collection[str], other: Collection[str]) -> float:
    """The share of the words that two sets have in common, of both sets together (Dice)."""
    common = len({*one} & {*other})
    return 2 * common / (len(one) + len(other)) if common >= FEW else 0.0


def same_claim(one: str, other: str) -> bool:
    """Whether two near texts may stand for each other.

    Only where the same words stand in the same order, grammar and spelling aside: one other word
    can turn a claim around ("before", "two", "may", "production"), and no cosine sees it.
    """
    return _exact(one) == _exact(other)


@lru_cache(4_096)
def _exact(text: str) -> tuple[str, ...]:
    words: list[str] = []
    for written in WITHIN.sub(" ", expanded(prose_folded(text))).split():
        word = _bare(written)
        if word and word not in GRAMMAR:
            words.append("each" if word == "every" else word)
    return tuple(words)


@lru_cache(16_384)
def _bare(word: str) -> str:
    """A word without its marks; prose without its spelling."""
    core = word.lstrip("('\"").rstrip(".,;:)'\"")
    plain = core.rstrip("!?.,;:)'\"")
    if not (plain.strip("`").isalpha() and len(plain) > 1):
        plain = core  # in a formula they count
    name = plain.strip("`")
    quoted = len(name) + 2 == len(plain)
    return name if quoted or is_code(name) else spelt(name)
