"""Reasons: what speaks for an experience at a query, for people who ask why it was served."""

from collections.abc import Sequence
from dataclasses import dataclass

from flex_mcp.errors import VectorsError
from flex_mcp.models import Experience
from flex_mcp.search import ranking
from flex_mcp.search.candidates import terms_of
from flex_mcp.search.text import searchable
from flex_mcp.storage.protocol import Transaction


@dataclass(frozen=True, slots=True)
class Reason:
    """The words that it shares with the query, rare ones first, and the best cosine, if any."""

    words: tuple[str, ...]
    cosine: float | None


def reasons(
    reading: Transaction, text: str, vector: bytes | None, experiences: Sequence[Experience]
) -> dict[str, Reason]:
    """What speaks for each, by id; `vector` is the query's, None where words alone must do."""
    terms = ranking.content_terms(terms_of(reading, text))
    terms = sorted((term for term in terms if term.documents), key=lambda term: term.documents)
    cosines = _cosines(reading, vector, [one.id for one in experiences]) if vector else {}
    made: dict[str, Reason] = {}
    for one in experiences:
        held = reading.words.stems(searchable(f"{one.words}\n{one.heading}"))
        shared = dict.fromkeys(term.word for term in terms if term.stem in held)
        made[one.id] = Reason(tuple(shared), cosines.get(one.id))
    return made


def _cosines(reading: Transaction, vector: bytes, ids: Sequence[str]) -> dict[str, float]:
    """Of the nearest vector of each."""
    import numpy as np  # late: it starts slowly

    try:
        found = reading.vectors.of(ids)
    except VectorsError:
        return {}
    query = np.frombuffer(vector, np.float32)
    best = {
        id_: max(float(np.frombuffer(one, np.float32) @ query) for one in vectors)
        for id_, vectors in found.items()
    }
    return {id_: cosine for id_, cosine in best.items() if query.any()}
