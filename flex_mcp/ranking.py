"""Which experiences to serve, and whether any: pure functions over candidate lists.

Fusion is a convex combination of z-normalised lists; `relevance` is a sum of a few features against
the library's own background, with round hand-set weights (docs/retrieval.md has the measurements).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from math import exp, log, sqrt
from statistics import fmean, pstdev
from typing import NamedTuple

from flex_mcp.models import Experience, Level
from flex_mcp.store import Scored, Term

DEPTH = 100  # candidates of each list and level
LIKENESS = 0.4  # share of the comparison token by token, beside words and vectors
COMPARED = 30  # of these, the best of each level are compared token by token
POSTINGS = 5_000  # a query's words are taken rarest first until their postings reach this
ALWAYS_WORDS = 8  # rarest words taken whatever their postings
COLLAPSE_COSINE = 0.95  # hits nearer than this say the same
SMALL_LIBRARY = 20  # below it, document frequencies say little
RELEVANT = 0.5


@cache
def _word_list(name: str) -> frozenset[str]:
    text = (files("flex_mcp") / "words" / name).read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line)


def generic_queries() -> list[str]:
    """Tasks that have nothing to do with any one library: they measure its background."""
    return sorted(_word_list("generic_queries.txt"))


def function_words() -> str:
    """The words that say nothing by themselves, as one text."""
    return " ".join(sorted(_word_list("stop_words.txt")))


def content_terms(terms: Iterable[Term]) -> list[Term]:
    """The terms without function words."""
    stop = _word_list("stop_words.txt")
    return [term for term in terms if term.word.casefold() not in stop]


def search_words(terms: Iterable[Term]) -> list[str]:
    """The known words of a query, rarest first, while their postings stay under the budget.

    An OR of all the words of a long task costs seconds in a large library (storage measurements).
    """
    known = sorted((term for term in terms if term.documents), key=lambda term: term.documents)
    words: list[str] = []
    postings = 0
    for term in known:
        postings += term.documents
        if postings > POSTINGS and len(words) >= ALWAYS_WORDS:
            break
        words.append(term.word)
    return words


def ends(text: str, *, first: int = 250, last: int = 100) -> str:
    """The first and last words of a long query: its middle dilutes the vector."""
    words = text.split()
    return text if len(words) <= first + last else " ".join((*words[:first], *words[-last:]))


def fuse(nearest: Sequence[Scored], matching: Sequence[Scored], weight: float) -> dict[str, float]:
    """Fused scores, best first: `weight` of the vector list, the rest of the word list.

    Each list's scores are normalised to mean 0, deviation 1; what a list lacks gets its lowest.
    """
    lists = [(rows, share) for rows, share in ((nearest, weight), (matching, 1 - weight)) if rows]
    total: dict[str, float] = dict.fromkeys((row.id for rows, _ in lists for row in rows), 0.0)
    for rows, share in lists:
        z, lowest = _normalised({row.id: row.score for row in rows})
        for id_ in total:
            total[id_] += share * z.get(id_, lowest)
    return _best_first(total)


def refine(scores: Mapping[str, float], alike: Mapping[str, float]) -> dict[str, float]:
    """Fused scores with another list's, normalised in the same way, at its share of the whole."""
    z, lowest = _normalised(alike)
    return _best_first(
        {
            id_: (1 - LIKENESS) * score + LIKENESS * z.get(id_, lowest)
            for id_, score in scores.items()
        }
    )


def _best_first(scores: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def _normalised(scores: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """The scores brought to mean 0, deviation 1, and the lowest of them.

    Where all are equal, as when one experience alone holds a word, being listed is what counts.
    """
    mean = fmean(scores.values())
    deviation = sqrt(fmean((score - mean) ** 2 for score in scores.values()))
    if not deviation:
        return dict.fromkeys(scores, 1.0), -1.0
    z = {id_: (score - mean) / deviation for id_, score in scores.items()}
    return z, min(z.values())


def logistic(x: float) -> float:
    return 1 / (1 + exp(-max(-50.0, min(50.0, x))))


class Features(NamedTuple):
    """What a search says about its query.

    best, best_five: best cosine and mean of the best five. coverage: share of the query's idf mass
    that the best hit holds. known: share that the library holds at all.
    """

    best: float
    best_five: float
    coverage: float
    known: float


class Background(NamedTuple):
    """The features of the generic queries in one library: their means, and two deviations."""

    mean: Features
    best_deviation: float
    best_five_deviation: float


def features(
    nearest: Sequence[Scored], terms: Sequence[Term], held: Collection[str], experiences: int
) -> Features:
    """`terms` are the query's content terms, `held` the stems in the text of its best hit."""
    cosines = sorted((row.score for row in nearest), reverse=True)[:5]
    weights = {term.stem: log(1 + experiences / (term.documents + 0.5)) for term in terms}
    mass = sum(weights.values()) or 1.0
    return Features(
        best=cosines[0] if cosines else 0.0,
        best_five=fmean(cosines) if cosines else 0.0,
        coverage=sum(weight for stem, weight in weights.items() if stem in held) / mass,
        known=sum(weights[term.stem] for term in terms if term.documents) / mass,
    )


def background(measured: Sequence[Features]) -> Background:
    return Background(
        mean=Features(*(fmean(column) for column in zip(*measured, strict=True))),
        best_deviation=pstdev(row.best for row in measured),
        best_five_deviation=pstdev(row.best_five for row in measured),
    )


PRIOR_DEVIATION = (
    0.1  # of a best cosine among unrelated texts; the measured one is averaged with it
)


def relevance(found: Features, usual: Background) -> float:
    """0 to 1: how far a query's search stands above its library's background; 0.5 is the cut."""
    mean = usual.mean
    total = (
        0.5 * (found.best - mean.best) / ((usual.best_deviation + PRIOR_DEVIATION) / 2)
        + 0.5
        * (found.best_five - mean.best_five)
        / ((usual.best_five_deviation + PRIOR_DEVIATION) / 2)
        + (found.coverage - mean.coverage)
        + 0.5 * (found.known - mean.known)
    )
    return logistic(2 * (total - 0.6))


def relevance_alone(best: float, overlap: float, experiences: int) -> float:
    """The same without a background: best cosine and best word `overlap`, by fixed constants."""
    return logistic(20 * (best + 0.1 * overlap - 0.02 * log(max(experiences, 1)) - 0.18))


def is_rare(term: Term) -> bool:
    """A word that says something by itself: not a common one, nor `x`, `n` or `10`."""
    stem = term.stem
    if len(stem) < 3 or stem in _word_list("common_stems.txt"):  # noqa: PLR2004
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


OUTCOMES, PRIORITY, AGE = 0.6, 0.02, 0.03  # weights in units of the fused score
OLD = 730  # days from which on age adds nothing more


def helpfulness(experience: Experience, now: datetime) -> float:
    """A bounded prior in units of the fused score: at most 0.34 up and 0.37 down.

    Made of a Beta(4, 4) posterior of successes and failures after being served, of priority, and of
    the time since the text was last changed (benchmarks/helpful.py has what it moves).
    """
    posterior = (experience.successes + 4) / (experience.successes + experience.failures + 8)
    age = min(max((now - experience.updated_at).days, 0) / OLD, 1)
    return OUTCOMES * (posterior - 0.5) + PRIORITY * (experience.priority - 3) - AGE * age


class Ranked(NamedTuple):
    """A candidate with its fused score."""

    experience: Experience
    score: float


def pick(ranked: Sequence[Ranked], *, limit: int, sure: Ranked | None = None) -> list[Ranked]:
    """The best `limit` of each level, most general level first; `ranked` is best first.

    `sure` has a place whatever its rank: the last one of its level.
    """
    chosen: list[Ranked] = []
    for level in Level:
        best = [row for row in ranked if row.experience.level is level and row != sure][:limit]
        if sure and sure.experience.level is level:
            best = [*best[: limit - 1], sure]
        chosen += best
    return chosen
