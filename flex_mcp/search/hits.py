"""The hits of one search: whether anything fits, which ones do, and what they say of each other."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from math import log

from flex_mcp.models import Experience, Hit, Relation
from flex_mcp.search import background, fit, ranking
from flex_mcp.search.background import Baseline, Features
from flex_mcp.search.candidates import Candidates, Search, candidates
from flex_mcp.search.duplicates import relation, same_claim
from flex_mcp.search.text import searchable
from flex_mcp.storage.protocol import Transaction

NEXT = 5  # of the best, which are looked at for the opposite of what fits
SURE = 2  # rare words shared with the query: one may be chance


def answer(
    reading: Transaction, search: Search, baseline: Baseline | None
) -> tuple[list[Hit], float]:
    """The hits, best first, and the relevance of the whole answer."""
    found = candidates(reading, search)
    if not found.scores or (search.abstain and not found.terms):  # function words are no task
        return [], 0.0
    ids, experiences = found.compared, reading.words.count()
    weights = fit.fit_of(search.kind if found.cosines else "words")
    nearest = fit.nearest_of(search.generic, weights.nearest)
    measured = rows(found, experiences, nearest)
    odds = dict(zip(ids, fit.log_odds(measured, weights), strict=True))
    best = max(odds.values())
    over = above(reading, search, found, baseline, experiences)
    relevant = fit.relevance([*odds.values()], over, len(found.terms), experiences, weights)
    if search.abstain:
        if relevant < fit.RELEVANT:
            return [], relevant
        fitting = {id_ for id_ in ids if odds[id_] >= best - fit.RATIO}
        ids = [id_ for place, id_ in enumerate(ids) if place < NEXT or id_ in fitting]
    else:
        fitting = {*ids}
    ranked = _with_opposites(_ranked(search, found, reading.experiences.get(ids)), fitting)
    chosen = _distinct(ranked, search.limit) if search.collapse else ranked[: search.limit]
    hits = [Hit(experience=one, fit=ranking.logistic(odds[one.id])) for one in chosen]
    return _compared(hits), relevant


def rows(found: Candidates, experiences: int, nearest: float) -> "fit.Floats":
    """What tells whether each of the candidates that were compared fits, best first."""
    import numpy as np  # late: it starts slowly

    ids = found.compared
    lowest = min(found.cosines.values(), default=0.0)
    return fit.features(
        fit.Observed(
            scores=[found.scores[id_] for id_ in ids],
            likeness=np.array([found.likeness[id_] for id_ in ids], np.float64),
            words=[found.words.get(id_, 0.0) for id_ in ids],
            cosines=[found.cosines.get(id_, lowest) for id_ in ids] if found.cosines else None,
            headings=[found.headings.get(id_, lowest if found.headings else 0.0) for id_ in ids],
            nearest=nearest,
            terms=found.terms,
            experiences=experiences,
        )
    )


def _ranked(search: Search, found: Candidates, held: Sequence[Experience]) -> list[Experience]:
    """Best first; what helped before moves up a little."""
    if search.prior is None:
        return [*held]
    now = search.prior
    return sorted(held, key=lambda one: -found.scores[one.id] - ranking.helpfulness(one, now))


def _with_opposites(ranked: Sequence[Experience], fitting: AbstractSet[str]) -> list[Experience]:
    """What fits, and of the others what contradicts it: whoever asks must not see one side only."""
    held = [one for one in ranked if one.id in fitting][:NEXT]
    return [
        one
        for one in ranked
        if one.id in fitting or any(relation(one, other) is Relation.CONTRADICTS for other in held)
    ]


def _distinct(ranked: Sequence[Experience], limit: int) -> list[Experience]:
    """The first so many, without those that say what a better one says."""
    kept: dict[str, Experience] = {}
    for one in ranked:
        text = one.text
        if len(kept) < limit and not any(same_claim(text, better) for better in kept):
            kept[text] = one
    return [*kept.values()]


def _compared(hits: list[Hit]) -> list[Hit]:
    """With the first of the others that each contradicts."""
    for place, hit in enumerate(hits):
        for other in range(place):
            about = hit.experience, hits[other].experience
            if relation(*about) is Relation.CONTRADICTS:
                for here, there in ((place, about[1]), (other, about[0])):
                    if hits[here].contradicts is None:
                        hits[here] = replace(hits[here], contradicts=there.id)
    return hits


def above(
    reading: Transaction,
    search: Search,
    found: Candidates,
    baseline: Baseline | None,
    experiences: int,
) -> float:
    """How far the search stands above the library's background, in log odds."""
    known = baseline is not None and experiences >= background.SMALL_LIBRARY
    share, rare = (0.0, 0) if known and found.cosines else _overlap(reading, found)
    least = log(0.6 / 0.4) if rare >= SURE else -fit.EXTREME
    if not found.cosines:
        return max(log(max(share, 1e-3) / max(1 - share, 1e-3)), least)
    if baseline is None:
        best = max(found.cosines.values())
        return max(background.above_alone(best, share, experiences), least)
    measured = features_of(reading, search, found, experiences)
    return max(background.above(measured, baseline), least)


def _overlap(reading: Transaction, found: Candidates) -> tuple[float, int]:
    """The best share of the query's words in a hit, and how many rare ones one holds at most."""
    overlaps = [
        background.overlap(found.terms, reading.words.stems(searchable(experience.words)))
        for experience in reading.experiences.get(list(found.scores)[: background.SMALL_LIBRARY])
    ]
    return max(share for share, _ in overlaps), max(rare for _, rare in overlaps)


def features_of(
    reading: Transaction, search: Search, found: Candidates, experiences: int
) -> Features:
    best = reading.experiences.get(list(found.scores)[:1])
    held = reading.words.stems(searchable(best[0].words)) if best else frozenset[str]()
    cosines = [*found.cosines.values()]
    return background.features(cosines, found.terms, held, search.generic, experiences)
