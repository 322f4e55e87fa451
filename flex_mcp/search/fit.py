"""How well lessons fit a task: the log odds that each would help, from what a search found.

A logistic model over a dozen features of a candidate; `fit.json` holds its weights for each
kind of embedder and for words alone (`training/fit.py` makes them). Pure functions.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import log
from typing import TYPE_CHECKING, NamedTuple

from flex_mcp.search import token_match
from flex_mcp.search.ranking import logistic
from flex_mcp.storage.protocol import Term

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RELEVANT = 0.5  # probability from which something is served
RATIO = 0.7  # log odds that a hit may lie below the best one: half of its odds
NEXT, ALONE = 4, 1.9  # candidates that the best one is compared with; its usual lead, without any
EXTREME = 8.0  # log odds of the library's background beyond which they say no more
BEST_TERM = 2.2  # what BM25 gives at most for a word, in units of its rarity

# cosine: of the query's vector and the lesson's nearest one; heading_cosine: and the last one, that
# of title and `when` where the embedder makes one. apart: the first above the query's own
# background, the mean of its ten nearest generic queries. asked, told, heading_asked, heading_told,
# heading: parts of the likeness token by token (token_match.py); heading is title and `when`.
# words: BM25 as a share of what it could be. *_gap: how far below the best candidate; rank_gap of
# the fused scores. length: logarithm of the query's content words.
FEATURES = (
    *(
        "cosine",
        "heading_cosine",
        "apart",
        "asked",
        "told",
        "heading_asked",
        "heading_told",
        "heading",
    ),
    *("likeness_gap", "words", "words_gap", "rank_gap", "length"),
)


SHORT, LONG = 6, 24  # content words of a short task, and of a long one


class Shares(NamedTuple):
    """What the vectors count beside the words, and the comparison of tokens beside both."""

    vectors: float
    tokens: float


class Fusion(NamedTuple):
    """The shares for a short task and for a long one."""

    short: Shares
    long: Shares

    def shares(self, terms: int) -> Shares:
        """Those for a task of so many content words."""
        place = (log(1 + terms) - log(1 + SHORT)) / (log(1 + LONG) - log(1 + SHORT))
        long = min(max(place, 0.0), 1.0)
        return Shares(*((1 - long) * a + long * b for a, b in zip(*self, strict=True)))


USUAL = Fusion(Shares(0.5, 0.4), Shares(0.5, 0.4))


class Signs(NamedTuple):
    """What `relevance` adds to the best candidate's log odds, for each unit of a sign.

    background: log odds above the library's own; length and size: each e-fold of the task's content
    words, and of the library's experiences; lead: how far the best one lies above the next.
    """

    background: float
    length: float
    size: float
    lead: float


SIGNS = Signs(background=0.3, length=-0.9, size=-0.4, lead=0.0)


@dataclass(frozen=True, slots=True)
class Fit:
    """One set of weights, in the order of FEATURES; `scale` and `shift` calibrate `relevance`.

    `nearest` is what the mean of a query's ten nearest generic queries usually is.
    """

    weights: tuple[float, ...]
    bias: float
    scale: float
    shift: float
    nearest: float = 0.0
    fusion: Fusion = USUAL
    signs: Signs = SIGNS


@cache
def fit_of(kind: str) -> Fit:
    """The weights for an embedder's kind: ours, static, model, or words."""
    text = (files("flex_mcp.search") / "fit.json").read_text(encoding="utf-8")
    held = json.loads(text)[kind]
    weights = tuple(held["weights"][name] for name in FEATURES)
    signs = Signs(**held["signs"])
    fusion = Fusion(*(Shares(*held["fusion"][length]) for length in Fusion._fields))
    return Fit(weights, held["bias"], held["scale"], held["shift"], held["nearest"], fusion, signs)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a search says of its best candidates, best first: a value, or a row, each.

    `likeness` has the parts of token_match.py, `cosines` is None without vectors, `headings` are
    those of the lessons' last vectors, and `nearest` is the query's own background.
    """

    scores: Sequence[float]
    likeness: "Floats"
    words: Sequence[float]
    cosines: Sequence[float] | None
    headings: Sequence[float]
    nearest: float
    terms: Sequence[Term]
    experiences: int


def nearest_of(generic: Sequence[float], usual: float) -> float:
    """A query's own background, of its cosines to the generic queries; `usual` without any."""
    best = sorted(generic, reverse=True)[:10]
    return sum(best) / len(best) if best else usual


def features(found: Observed) -> "Floats":
    """A row of FEATURES for each candidate."""
    import numpy as np

    number = len(found.scores)
    cosines = np.array(found.cosines or [0.0] * number)
    like = found.likeness @ np.array(token_match.PARTS)
    words = np.array(found.words) / (BEST_TERM * (_rarity(found.terms, found.experiences) or 1.0))
    scores = np.array(found.scores)
    return np.column_stack(
        (
            cosines,
            np.array(found.headings),
            cosines - (found.nearest if found.cosines else 0.0),
            *found.likeness[:, [*token_match.FIT_PARTS]].T,
            like.max() - like,
            words,
            words.max() - words,
            scores.max() - scores,
            np.full(number, log(1 + len(found.terms))),
        )
    )


def _rarity(terms: Sequence[Term], experiences: int) -> float:
    """The sum of the rarities of a query's words, as BM25 weighs them."""
    held = ((term.documents, experiences - term.documents) for term in terms)
    return sum(log(1 + (max(lacking, 0) + 0.5) / (documents + 0.5)) for documents, lacking in held)


def log_odds(rows: "Floats", fit: Fit) -> list[float]:
    """That each candidate helps."""
    import numpy as np

    found: list[float] = (rows @ np.array(fit.weights) + fit.bias).tolist()
    return found


def relevance(odds: Sequence[float], above: float, terms: int, experiences: int, fit: Fit) -> float:
    """The probability that anything fits, 0 to 1.

    Args:
        odds: the log odds of all candidates that were compared.
        above: how far the search stands above the library's background (background.py), in log
            odds. It grows with the length of a task, which by itself says nothing.
        terms: the query's content words.
        experiences: how many the library has: the best of many is high by chance.
        fit: its calibration.
    """
    return logistic(fit.scale * raw(odds, above, terms, experiences, fit.signs) + fit.shift)


def raw(odds: Sequence[float], above: float, terms: int, experiences: int, signs: Signs) -> float:
    """The first decision before it is calibrated."""
    best, *rest = sorted(odds, reverse=True)[: 1 + NEXT]
    found = Signs(
        background=max(-EXTREME, min(EXTREME, above)),
        length=log(1 + terms),
        size=log(1 + experiences),
        lead=best - sum(rest) / len(rest) if rest else ALONE,
    )
    return best + sum(weight * value for weight, value in zip(signs, found, strict=True))
