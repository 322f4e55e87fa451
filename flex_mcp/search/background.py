"""A library's background: how far a search stands above what generic queries get from it.

`above` is a sum of a few features, each against what generic queries get from the same library,
with round hand-set weights (docs/retrieval.md has the measurements), as log odds. Pure functions.
"""

from collections.abc import Collection, Sequence
from functools import cache
from math import log
from statistics import fmean, pstdev
from typing import NamedTuple

from flex_mcp.search.ranking import word_list
from flex_mcp.storage.protocol import Term

SMALL_LIBRARY = 20  # below it, document frequencies say little
SEARCHED = 128  # generic queries that are searched to measure a background
PRIOR_DEVIATION = 0.1  # of cosines among unrelated texts; the measured one is averaged with it
CUT = 1.4  # the sum of features at which the odds are even
COMMON, RARE = 0.02, 0.001  # share of all texts that hold a common word, and a rare one


@cache
def generic_queries() -> tuple[str, ...]:
    """Tasks from all walks of life, which have nothing to do with any one library."""
    return tuple(sorted(word_list("generic_queries.txt")))


class Features(NamedTuple):
    """What a search says about its query.

    best, best_five: best cosine and mean of the best five. apart: how much nearer the library is
    than the rest of the world, mean of the ten best cosines less that of the ten nearest generic
    queries. coverage: share of the query's idf mass that the best hit holds. shared: how many rare
    words it shares, logarithm. familiar: how much more often than elsewhere the library holds the
    query's words, mean logarithm.
    """

    best: float
    best_five: float
    apart: float
    coverage: float
    shared: float
    familiar: float


class Baseline(NamedTuple):
    """The features of the generic queries in one library: their means and deviations."""

    mean: Features
    deviation: Features


def features(
    cosines: Sequence[float],
    terms: Sequence[Term],
    held: Collection[str],
    generic: Sequence[float],
    experiences: int,
) -> Features:
    """The features of one search.

    Args:
        cosines: the candidates', best first.
        terms: the query's content terms.
        held: the stems in the text of its best hit.
        generic: the query's cosines to the generic queries.
        experiences: how many the library has.
    """
    weights = {term.stem: log(1 + experiences / (term.documents + 0.5)) for term in terms}
    covered = sum(weight for stem, weight in weights.items() if stem in held)
    _, shared = overlap(terms, held)
    return Features(
        best=_mean(cosines[:1]),
        best_five=_mean(cosines[:5]),
        apart=_mean(cosines[:10]) - _mean(sorted(generic, reverse=True)[:10]),
        coverage=covered / (sum(weights.values()) or 1.0),
        shared=log(1 + shared),
        familiar=sum(_familiar(term, experiences) for term in terms) / (1 + len(terms)),
    )


def _familiar(term: Term, experiences: int) -> float:
    here = (term.documents + 0.1) / (experiences + 0.2)
    return log(here / (RARE if is_rare(term) else COMMON))


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0


def baseline_of(measured: Sequence[Features]) -> Baseline:
    columns = list(zip(*measured, strict=True))
    return Baseline(Features(*map(fmean, columns)), Features(*map(pstdev, columns)))


def above(found: Features, baseline: Baseline) -> float:
    """How far a query's search stands above its library's background."""
    over = Features(*(value - mean for value, mean in zip(found, baseline.mean, strict=True)))
    unit = Features(*((deviation + PRIOR_DEVIATION) / 2 for deviation in baseline.deviation))
    total = (
        0.5 * over.best / unit.best
        + 0.5 * over.best_five / unit.best_five
        + over.apart / unit.apart
        + over.coverage
        + 0.5 * over.shared
        + 0.2 * over.familiar
    )
    return 2 * (total - CUT)


def above_alone(best: float, overlap: float, experiences: int) -> float:
    """The same where none was measured: best cosine and best word `overlap`, by fixed constants."""
    return 20 * (best + 0.1 * overlap - 0.02 * log(max(experiences, 1)) - 0.18)


def is_rare(term: Term) -> bool:
    """A word that says something by itself: not a common one, nor `x`, `n` or `10`."""
    stem = term.stem
    if len(stem) < 3 or stem in word_list("common_stems.txt"):
        return False
    return stem.isdigit() or any(letter.isalpha() for letter in stem)


def overlap(terms: Sequence[Term], held: Collection[str]) -> tuple[float, int]:
    """Share of the query's content terms in a text, and how many rare ones they share.

    In the share, a rare one counts four times a common one.
    """
    weights = {term.stem: 1.0 if is_rare(term) else 0.25 for term in terms}
    shared = sum(weight for stem, weight in weights.items() if stem in held)
    rare = sum(weights[term.stem] == 1 and term.stem in held for term in terms)
    return shared / (sum(weights.values()) or 1.0), rare
