"""Suggestions: what in a library is worth a look, and which lessons say the same or the opposite.

Pairs are found aside, once for each lesson that came or changed, and kept; asking for suggestions
compares nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from flex_mcp.errors import ChangedError, InputError, NotFoundError, VectorsError
from flex_mcp.models import Concern, Experience, Filter, Relation, Suggestion, Suggestions
from flex_mcp.search import duplicates, ranking
from flex_mcp.search.candidates import terms_of
from flex_mcp.storage.protocol import Scored, Store, Transaction
from flex_mcp.validation import glances

UNSERVED = timedelta(days=30)  # from which on, and after so many searches, nothing found it
SEARCHES = 50
OFTEN = 10  # servings after which it should have helped once
NEAREST = 9  # looked at, with itself
BATCH = 100  # compared between two transactions
URGENT = [*Concern]


def suggestions(reading: Transaction, wanted: Filter, now: datetime) -> Suggestions:
    """What is worth a look, of what is wanted; of a pair both are of its projects, and one is."""
    found = reading.suggestions.all(wanted, before=now - UNSERVED, searches=SEARCHES, often=OFTEN)
    return Suggestions(
        found=tuple(sorted(found, key=lambda one: URGENT.index(one.concern))),
        uncompared=reading.suggestions.count_uncompared(),
    )


def find_pairs(
    store: Store,
    writing: Callable[[], AbstractContextManager[Transaction]],
    limit: int | None,
    progress: Callable[[int, int], None],
) -> int:
    """Compare what came or changed with what is near to it, `limit` of them; how many are left."""
    with store.reading() as reading:
        waiting = reading.suggestions.count_uncompared()
    total, done = waiting if limit is None else min(waiting, limit), 0
    while done < total:
        with store.reading() as reading:
            ids = reading.suggestions.uncompared(min(BATCH, total - done))
            found = [(one, relations(reading, one)) for one in reading.experiences.get(ids)]
        with writing() as changing:
            for one, related in found:
                changing.suggestions.put_pairs(one, related)
        done += len(found)
        progress(done, total)
        if not found:  # another process was faster
            break
    return waiting - done


def relations(reading: Transaction, one: Experience) -> dict[str, Relation]:
    """What an experience is to those of its project, and general ones, that are near to it."""
    wanted = Filter(projects=None if one.project is None else frozenset({None, one.project}))
    near = [row.id for row in _near(reading, one, wanted) if row.id != one.id]
    found = {other.id: duplicates.relation(one, other) for other in reading.experiences.get(near)}
    return {id_: relation for id_, relation in found.items() if relation is not None}


def _near(reading: Transaction, one: Experience, wanted: Filter) -> list[Scored]:
    """By its vector, or by its words where it has none."""
    try:
        vector = next(iter(reading.vectors.of([one.id]).get(one.id, ())), None)
        if vector is not None:
            return reading.vectors.nearest(vector, depth=NEAREST, wanted=wanted)
    except VectorsError:
        pass
    words = ranking.search_words(ranking.content_terms(terms_of(reading, one.text)))
    return reading.words.matching(words, depth=NEAREST, wanted=wanted)


def check_form(suggestion: Suggestion) -> None:
    """Refuse what is no suggestion.

    Raises:
        InputError: it is none.
    """
    ids = suggestion.ids if isinstance(suggestion, Suggestion) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
    if not 1 <= len(ids) <= 2 or suggestion.concern not in {*Concern}:
        raise InputError("that is no suggestion: give one that `suggestions` found")


def check(reading: Transaction, suggestion: Suggestion, seen: Mapping[str, int]) -> None:
    """Look whether its experiences are here, as they were seen.

    Raises:
        NotFoundError: one is not here.
        ChangedError: one was changed since.
    """
    here = {one.id: one.revision for one in reading.experiences.get(suggestion.ids)}
    if lost := [id_ for id_ in suggestion.ids if id_ not in here]:
        raise NotFoundError(f"there is no experience {glances(lost)}: look again")
    for id_, revision in here.items():
        if seen.get(id_, revision) != revision:
            raise ChangedError(f"{id_} was changed since it was shown: look at it again")
