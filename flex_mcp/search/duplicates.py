"""Whether two lessons say the same: pure, measured by benchmarks/duplicates.py.

Two questions. May the new one be dropped unseen (`same_claim`)? There one wrong answer loses a
lesson, so only what says the same in nearly the same words passes. Is the new one worth a look
beside the old one, since it restates its advice (`restates`)? There somebody reads both.
"""

import re
from collections.abc import Collection

RESTATES = 0.5  # share of their content words that two lessons have in common
FEW = 3  # in fewer common words two short texts only share a topic

GRAMMAR = frozenset(
    {"a", "an", "the", "this", "that", "these", "those", "it", "its", "they", "them", "their"}
    | {"which", "there", "is", "are", "be", "and", "so", "both"}
)
SAID = (
    (re.compile(r"\bcan(?:'t|not)\b"), "can not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"(?<=[a-z])-(?=[a-z])"), " "),
    (re.compile(r"\b(?:has|have|needs?) to\b"), "must"),
    (re.compile(r"\bevery\b"), "each"),
)
SPELT = (  # of plain words only: in code the other spelling is another name
    (re.compile(r"(?<=[a-z]{3}[iy])s(?=(?:e|ed|es|ing|ation)$)"), "z"),  # neutralise
    (re.compile(r"(?<=[a-z]{2})our(?=s?$|ed$|ing$)"), "or"),  # colour
)


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
    return _telling_words(one) == _telling_words(other)


def _telling_words(text: str) -> list[str]:
    text = text.casefold().replace("\u2019", "'")
    for pattern, instead in SAID:
        text = pattern.sub(instead, text)
    words = map(_bare, text.split())
    return [word for word in words if word and word not in GRAMMAR]


def _bare(word: str) -> str:
    plain = word.lstrip("('\"").rstrip(".,;:!?)'\"")
    if plain.isalpha():
        for pattern, instead in SPELT:
            plain = pattern.sub(instead, plain)
    return plain.strip("`")
