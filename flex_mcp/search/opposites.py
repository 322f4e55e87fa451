"""How two texts differ, and whether they say the opposite: pure.

Each is read as words in one form, and both are aligned. What differs can turn the claim: a negation
on one side, a word of the other side (`words/opposites.txt`), two words that change places. One
turn makes the opposite, two the same again. Another number, flag or name of code in the same place
is another claim at once. What else differs says how far both are of one thing.
"""

from collections import defaultdict
from collections.abc import Iterable
from difflib import SequenceMatcher
from enum import IntEnum
from functools import cache, lru_cache
from typing import NamedTuple

from flex_mcp.models.identity import is_code
from flex_mcp.search.ranking import word_list
from flex_mcp.search.reading import Words, canonical, read, tells

PREFIXES = "un", "in", "im", "ir", "il", "dis", "non", "de", "mis", "anti", "a"
SHORT = 8  # words that differ in one place


class Stand(IntEnum):
    """What a word is to one in the same place of another text."""

    SAME, OPPOSITE, VALUE, UNRELATED = range(4)


class Difference(NamedTuple):
    """How two texts differ.

    `turned`: that they say the opposite. `common` counts the telling words in the same places,
    `beside` the others, `placed` are names that stand in one place of both.
    """

    turned: bool = False
    common: int = 0
    beside: int = 0
    placed: frozenset[Words] = frozenset()

    @property
    def alike(self) -> float:
        """The share of the common words; what turns the claim counts for neither."""
        total = 2 * (self.common + len(self.placed)) + self.beside
        return 2 * self.common / total if total else 1.0

    def with_(self, other: "Difference") -> "Difference":
        """Of both texts together."""
        turned, common, beside, placed = other
        return Difference(
            self.turned or turned,
            self.common + common,
            self.beside + beside,
            self.placed | placed,
        )


def difference(one: str, other: str) -> Difference:
    """What tells two texts apart; in either order it is the same."""
    first, second = sorted((read(one), read(other)))
    if (turned := _swapped(first, second)) is not None:
        return Difference(turned, _count(first))
    steps = SequenceMatcher(None, first, second).get_opcodes()
    common = sum(_count(first[a:b]) for tag, a, b, _, _ in steps if tag == "equal")
    pieces = [(first[a:b], second[c:d]) for tag, a, b, c, d in steps if tag != "equal"]
    moved = {word for mine, _ in pieces for word in mine}
    moved &= {word for _, its in pieces for word in its}
    beside, placed = 2 * _count(moved), set[Words]()
    opposed = valued = denied = 0
    for both in pieces:
        mine, its = ([word for word in words if word not in moved] for words in both)
        if max(len(mine), len(its)) <= SHORT:  # else sentences differ
            _take(mine, its, Stand.SAME)
            opposed += _take(mine, its, Stand.OPPOSITE)
            valued += _take(mine, its, Stand.VALUE)
        left, right = ([*filter(tells, words)] for words in (mine, its))
        for words, own, theirs in (mine, left, right), (its, right, left):
            if not own and len(theirs) <= 2:  # else it denies what this text adds
                denied += words.count("not")
        if len(left) == len(right) == 1:
            placed.add((*left, *right))
        else:
            beside += len(left + right)
    turned = valued or (opposed > 0) != denied % 2
    return Difference(bool(turned), common, beside, frozenset(placed))


def _swapped(one: Words, other: Words) -> bool | None:
    """Whether the claim turns as two words change places: "B after A" is "A before B" again.

    None: that is not what differs.
    """
    if len(one) != len(other) or one == other:
        return None
    here, there = next((x, y) for x, y in zip(one, other, strict=True) if x != y)
    back = {here: there, there: here}
    rest = [(back.get(x, x), y) for x, y in zip(one, other, strict=True) if back.get(x, x) != y]
    if there not in one or any(_stand(x, y) is not Stand.OPPOSITE for x, y in rest):
        return None
    between = one[one.index(here) + 1 : one.index(there)]
    return not rest if between and {"and", "or"}.isdisjoint(between) else None


def _take(mine: list[str], its: list[str], stand: Stand) -> int:
    """Take out the pairs that stand so to each other, a word of each; how many they were."""
    found = 0
    for word in [*mine]:
        twin = next((twin for twin in its if _stand(word, twin) is stand), None)
        if twin is not None:
            mine.remove(word)
            its.remove(twin)
            found += 1
    return found


@lru_cache(16_384)
def _stand(one: str, other: str) -> Stand:
    first, second = _sides().get(one, {}), _sides().get(other, {})
    if shared := first.keys() & second.keys():
        same = any(first[line] == second[line] for line in shared)
        return Stand.SAME if same else Stand.OPPOSITE
    if is_code(one) and is_code(other):
        return Stand.VALUE
    if one.casefold() == other.casefold():
        return Stand.SAME  # a name, as code and as prose
    short, long = sorted((one, other), key=len)
    negated = len(short) > 2 and long in {prefix + short for prefix in PREFIXES}
    return Stand.OPPOSITE if negated else Stand.UNRELATED


@cache
def _sides() -> dict[str, dict[int, int]]:
    """On which side of which opposition each word stands."""
    sides: dict[str, dict[int, int]] = defaultdict(dict)
    for number, line in enumerate(sorted(word_list("opposites.txt"))):
        for side, words in enumerate(line.split(" / ")):
            for word in words.split():
                for form in {word, canonical(word)}:
                    sides[form].setdefault(number, side)
    return dict(sides)


def _count(words: Iterable[str]) -> int:
    return sum(map(tells, words))
