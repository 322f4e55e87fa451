"""Which experiences to serve, and in which order: pure functions over candidate lists.

Fusion is a convex combination of z-normalised lists (docs/retrieval.md has the measurements).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from math import exp, sqrt
from operator import itemgetter
from statistics import fmean

from flex_mcp.models import Experience
from flex_mcp.storage.protocol import Scored, Term

DEPTH = 100  # candidates of each list
COMPARED = 30  # of these, so many of the best are compared token by token
POSTINGS = 1_000  # a query's words are taken rarest first until their postings reach this
ALWAYS_WORDS = 8  # rarest words taken whatever their postings
EQUAL = 1e-5  # share of the mean up to which scores of float32 deviate by rounding alone


@cache
def word_list(name: str) -> frozenset[str]:
    text = (files("flex_mcp.search") / "words" / name).read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line)


def content_terms(terms: Iterable[Term]) -> list[Term]:
    """The terms without function words."""
    stop = word_list("stop_words.txt")
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
    total = dict.fromkeys((row.id for row in (*nearest, *matching)), 0.0)
    for rows, share in ((nearest, weight), (matching, 1 - weight)):
        _add(total, {row.id: row.score for row in rows}, share)
    return _best_first(total)


def refine(
    scores: Mapping[str, float], alike: Mapping[str, float], share: float
) -> dict[str, float]:
    """Fused scores with another list's, normalised in the same way, at its share of the whole."""
    total = {id_: (1 - share) * score for id_, score in scores.items()}
    _add(total, alike, share)
    return _best_first(total)


def _best_first(scores: Mapping[str, float]) -> dict[str, float]:
    by_id = sorted(scores.items())
    return dict(sorted(by_id, key=itemgetter(1), reverse=True))  # of equal ones the first id


def _add(total: dict[str, float], scores: Mapping[str, float], share: float) -> None:
    """Add the share of a list, normalised, to each total; what the list lacks gets its lowest."""
    if scores:
        z, lowest = _normalised(scores)
        for id_ in total:
            total[id_] += share * z.get(id_, lowest)


def _normalised(scores: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """The scores brought to mean 0, deviation 1, and the lowest of them.

    Where all are equal, as when one experience alone holds a word, being listed is what counts.
    """
    mean = fmean(scores.values())
    deviation = sqrt(fmean([(score - mean) ** 2 for score in scores.values()]))
    if deviation <= EQUAL * abs(mean):
        return dict.fromkeys(scores, 1.0), -1.0
    z = {id_: (score - mean) / deviation for id_, score in scores.items()}
    return z, min(z.values())


def logistic(x: float) -> float:
    return 1 / (1 + exp(-max(-50.0, min(50.0, x))))


OUTCOMES, PRIORITY, AGE = 0.6, 0.02, 0.03  # weights in units of the fused score
OLD = 730  # days from which on age adds nothing more


def helpfulness(about: Experience, now: datetime) -> float:
    """A bounded prior in units of the fused score: at most 0.34 up and 0.37 down.

    Made of a Beta(4, 4) posterior of successes and failures after being served, of priority, and of
    the time since the text was last changed (benchmarks/helpful.py has what it moves).
    """
    posterior = (about.successes + 4) / (about.successes + about.failures + 8)
    age = min(max((now - about.updated_at).days, 0) / OLD, 1)
    return OUTCOMES * (posterior - 0.5) + PRIORITY * (about.priority - 3) - AGE * age
