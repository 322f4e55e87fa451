"""The candidates of one search: both indexes asked, their lists fused, the best compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from flex_mcp.models import Filter
from flex_mcp.search import ranking
from flex_mcp.search.background import overlap
from flex_mcp.search.fit import fit_of
from flex_mcp.search.folding import folded
from flex_mcp.search.text import learned_tokens, other_forms, query_words, searchable
from flex_mcp.search.token_match import ASKED, HEADING_ASKED, PARTS, tokens
from flex_mcp.storage.protocol import Scored, Term, Transaction

if TYPE_CHECKING:
    from flex_mcp.search.token_match import Floats

HEADED = frozenset({"ours"})  # kinds of embedders whose last vector of a lesson is its heading's


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search as it was asked. `vector` is None where words alone must do.

    `kind` is the embedder's, by which lists and fit are weighed; `generic` are the query's cosines
    to the generic queries. `prior` is the time at which what helped before moves up; None: it does
    not.
    """

    text: str
    wanted: Filter
    limit: int
    vector: bytes | None = None
    kind: str = "static"
    generic: Sequence[float] = ()
    abstain: bool = True
    collapse: bool = True
    prior: datetime | None = None


def by_words(search: Search) -> Search:
    """The same where no vectors can be read."""
    return replace(search, vector=None)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What both indexes give for a search, fused: `scores` is best first.

    `cosines` and `words` (BM25) are what the two lists say, best first; `likeness` has the parts of
    the first candidates' likeness token by token, a row each; `headings` the cosine of their last
    vector, which is that of title and `when` where the embedder makes one.
    """

    scores: dict[str, float]
    cosines: dict[str, float]
    words: dict[str, float]
    headings: dict[str, float]
    likeness: dict[str, "Floats"]
    terms: Sequence[Term]

    @property
    def compared(self) -> list[str]:
        """Those that have a likeness, best first."""
        return [id_ for id_ in self.scores if id_ in self.likeness]


def candidates(reading: Transaction, search: Search) -> Candidates:
    terms = ranking.content_terms(terms_of(reading, search.text))
    words = ranking.search_words(terms)
    depth, wanted = ranking.DEPTH, search.wanted
    matching = reading.words.matching(words, depth=depth, wanted=wanted)
    nearest: Sequence[Scored] = ()
    if search.vector is not None and any(search.vector):
        nearest = reading.vectors.nearest(search.vector, depth=depth, wanted=wanted)
    shares = fit_of(search.kind).fusion.shares(len(terms))
    scores = ranking.fuse(nearest, matching, shares.vectors if nearest else 0.0)
    chosen = list(scores)[: ranking.COMPARED]
    parts = _likeness(reading, search.text, chosen, terms)
    if nearest:
        alike = dict(zip(chosen, (parts @ PARTS).tolist(), strict=True))
        scores = ranking.refine(scores, alike, shares.tokens)
    likeness = dict(zip(chosen, parts, strict=True))
    headings = _headings(reading, search, chosen) if nearest and search.kind in HEADED else {}
    return Candidates(scores, dict(nearest), dict(matching), headings, likeness, terms)


def terms_of(reading: Transaction, text: str) -> list[Term]:
    """The words of a query, each in the form that the index holds: an older one may be in another.

    What no form finds is there once: folded.
    """
    terms = reading.words.terms(query_words(text))
    if not (other := other_forms(text)):
        return terms
    mine = {term.stem for term in terms}
    found = {term.word.casefold(): term.documents for term in terms}
    others = reading.words.terms(other)
    older = [
        term
        for term in others
        if term.stem not in mine and term.documents > found.get(folded(term.word).casefold(), 0)
    ]
    if older:
        written = {term.stem for term in others}
        terms = [term for term in terms if term.documents or term.stem in written]
    return terms + older


def _headings(reading: Transaction, search: Search, ids: Sequence[str]) -> dict[str, float]:
    """The cosines of these experiences' last vectors."""
    import numpy as np  # late: it starts slowly

    last = {id_: vectors[-1] for id_, vectors in reading.vectors.of(ids).items()}
    if not last or search.vector is None:
        return {}
    rows = np.frombuffer(b"".join(last.values()), np.float32).reshape(len(last), -1)
    cosines: list[float] = (rows @ np.frombuffer(search.vector, np.float32)).tolist()
    return dict(zip(last, cosines, strict=True))


def _likeness(
    reading: Transaction, text: str, ids: Sequence[str], terms: Sequence[Term]
) -> "Floats":
    """Of these experiences to a query, token by token; by words where no token of it is known."""
    query = folded(ranking.ends(text))
    if not tokens().of(query):
        return _likeness_by_words(reading, ids, terms)
    held = reading.words.tokens(ids, tokens().layout)
    older = [id_ for id_ in ids if id_ not in held]  # of another version
    held |= {one.id: learned_tokens(one) for one in reading.experiences.get(older)}
    return tokens().likeness(query, [held[id_] for id_ in ids])


def _likeness_by_words(reading: Transaction, ids: Sequence[str], terms: Sequence[Term]) -> "Floats":
    """The same parts, as far as words can tell them, for scripts that the tokens do not know."""
    import numpy as np  # late: it starts slowly

    asked = {term.stem for term in terms}
    parts = np.zeros((len(ids), len(PARTS)), np.float32)
    for row, one in zip(parts, reading.experiences.get(ids), strict=True):
        for text, place in ((one.words, ASKED), (one.heading, HEADING_ASKED)):
            held = reading.words.stems(searchable(text))
            told = len(held & asked) / (len(held) or 1)
            row[place : place + 2] = overlap(terms, held)[0], told
    return parts
