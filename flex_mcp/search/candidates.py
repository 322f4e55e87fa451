"""One search in one snapshot: candidates, fusion, the decision whether anything fits, the hits."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flex_mcp.models import Filter, Hit, Level, Snapshot, Zone
from flex_mcp.search import ranking, relevance
from flex_mcp.search.ranking import Ranked
from flex_mcp.search.relevance import Baseline, Features
from flex_mcp.search.text import expand_for_index, learned_tokens
from flex_mcp.search.token_match import tokens
from flex_mcp.storage.protocol import Scored, Term, Transaction

NEAR_TOP = 0.75  # share of the best hit's cosine from which an outranked warning still fits
SURE = 2  # rare words shared with the query: one may be chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search as it was asked. `vector` is None where words alone must do.

    `generic` are the query's cosines to the generic queries. `prior` is the time at which what
    helped before moves up; None: it does not.
    """

    text: str
    wanted: Filter
    limit: int
    vector: bytes | None = None
    weight: float = 0.0
    generic: Sequence[float] = ()
    abstain: bool = True
    collapse: bool = True
    prior: datetime | None = None


def by_words(search: Search) -> Search:
    """The same where no vectors can be read."""
    return replace(search, vector=None, collapse=False)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What both indexes give for a search, fused: `scores` is best first."""

    scores: dict[str, float]
    zones: dict[str, Zone]
    levels: dict[str, Level]
    nearest: Sequence[Scored]
    terms: Sequence[Term]

    def shortlist(self, length: int) -> list[str]:
        """The best `length` of each level: only their texts are read."""
        return _best_of_each(self.levels, self.scores, length)


def _best_of_each(levels: Mapping[str, Level], best_first: Iterable[str], length: int) -> list[str]:
    taken: Counter[Level] = Counter()
    chosen: list[str] = []
    for id_ in best_first:
        level = levels[id_]
        if taken[level] < length:
            taken[level] += 1
            chosen.append(id_)
    return chosen


def candidates(reading: Transaction, search: Search) -> Candidates:
    terms = ranking.content_terms(reading.words.terms(expand_for_index(search.text)))
    words = ranking.search_words(terms)
    depth, wanted = ranking.DEPTH, search.wanted
    matching = reading.words.matching(words, depth=depth, wanted=wanted)
    nearest: Sequence[Scored] = ()
    if search.vector is not None and any(search.vector):
        nearest = reading.vectors.nearest(search.vector, depth=depth, wanted=wanted)
    zones = {row.id: row.zone for row in (*nearest, *matching)}
    levels = {row.id: row.level for row in (*nearest, *matching)}
    scores = ranking.fuse(nearest, matching, search.weight)
    if nearest:
        chosen = _best_of_each(levels, scores, ranking.compared(search.limit))
        scores = ranking.refine(scores, _likeness(reading, search.text, chosen))
    return Candidates(scores, zones, levels, nearest, terms)


def _likeness(reading: Transaction, text: str, ids: Sequence[str]) -> dict[str, float]:
    """Of these experiences to a query, token by token."""
    held = reading.words.tokens(ids, tokens().version)
    lacking = reading.experiences.get(
        [id_ for id_ in ids if id_ not in held]
    )  # of an older version
    held |= {experience.id: learned_tokens(experience) for experience in lacking}
    alike = tokens().likeness(ranking.ends(text), [held[id_] for id_ in ids])
    return dict(zip(ids, alike, strict=True))


def answer(
    reading: Transaction, search: Search, baseline: Baseline | None
) -> tuple[list[Hit], float]:
    """The hits, most general level first, and the relevance of the whole answer."""
    found = candidates(reading, search)
    if not found.scores:
        return [], 0.0
    confidence = _relevance(reading, search, found, baseline)
    if search.abstain and confidence < relevance.RELEVANT:
        return [], confidence
    ranked = _ranked(reading, search, found)
    chosen = ranking.pick(ranked, limit=search.limit)
    if warning := _relevant_warning(reading, search, chosen, found):
        chosen = ranking.pick(ranked, limit=search.limit, reserved=warning)
    experiences = reading.experiences.get([row.standing.id for row in chosen])
    hits = [
        Hit(experience=experience, score=ranking.logistic(row.score))
        for experience, row in zip(experiences, chosen, strict=True)
    ]
    return hits, confidence


def _ranked(reading: Transaction, search: Search, found: Candidates) -> list[Ranked]:
    """The best candidates, best first; near-identical ones in one."""
    choosy = search.collapse or search.prior is not None
    length = search.limit + (ranking.SPARE if choosy else 0)
    rows = _ordered(reading, search, found, length)
    if _lacking(rows, found, search.limit, length):  # near-identical ones took the places
        rows = _ordered(reading, search, found, len(found.scores))
    return rows


def _lacking(rows: Sequence[Ranked], found: Candidates, limit: int, length: int) -> bool:
    """Whether a level has fewer hits than it may have, and more candidates than were read."""
    have = Counter(row.standing.level for row in rows)
    there = Counter(found.levels.values())
    return any(have[level] < limit and there[level] > length for level in there)


def _ordered(reading: Transaction, search: Search, found: Candidates, length: int) -> list[Ranked]:
    rows = [
        Ranked(standing, found.scores[standing.id])
        for standing in reading.experiences.standings(found.shortlist(length))
    ]
    if search.prior is not None:
        rows = [_with_prior(row, search.prior) for row in rows]
        rows.sort(key=lambda row: -row.score)
    return _collapsed(reading, rows) if search.collapse else rows


def _with_prior(row: Ranked, now: datetime) -> Ranked:
    return row._replace(score=row.score + ranking.helpfulness(row.standing, now))


def _collapsed(reading: Transaction, rows: Sequence[Ranked]) -> list[Ranked]:
    """`rows` without those of one zone and level that say what a better one says."""
    import numpy as np  # late: it starts slowly

    vectors = reading.vectors.of([row.standing.id for row in rows])
    known = [row.standing for row in rows if row.standing.id in vectors]
    matrix = np.frombuffer(b"".join(vectors[one.id][0] for one in known), np.float32)
    matrix = matrix.reshape(len(known), matrix.size // (len(known) or 1))  # first chunks
    near = np.triu(matrix @ matrix.T >= ranking.COLLAPSE_COSINE, 1)
    dropped: set[str] = set()
    for better, worse in np.argwhere(near).tolist():  # by the rank of the better one
        one, two = known[better], known[worse]
        if one.id not in dropped and (one.zone, one.level) == (two.zone, two.level):
            dropped.add(two.id)
    return [row for row in rows if row.standing.id not in dropped]


def _relevant_warning(
    reading: Transaction, search: Search, chosen: Sequence[Ranked], found: Candidates
) -> Ranked | None:
    """A warning that fits but was outranked: near the best hit, or sharing rare words.

    It takes the last place of its level, so not where there is only one.
    """
    zones = {row.standing.zone for row in chosen}
    if search.wanted.zones is not None or search.limit == 1 or Zone.WARNING in zones:
        return None
    best = next((id_ for id_ in found.scores if found.zones[id_] is Zone.WARNING), None)
    if best is None:
        return None
    row = Ranked(reading.experiences.standings([best])[0], found.scores[best])
    cosines = {near.id: near.score for near in found.nearest}
    top = max(cosines.values(), default=0.0)
    share = cosines.get(best, 0.0) / top if top > 0 else 0.0
    (experience,) = reading.experiences.get([best])
    _, rare = relevance.overlap(found.terms, reading.words.stems(searchable(experience)))
    words_alone = search.vector is None and rare >= SURE
    if share >= NEAR_TOP or (rare >= SURE and share >= NEAR_TOP / 2) or words_alone:
        return row if search.prior is None else _with_prior(row, search.prior)
    return None


def searchable(experience: Snapshot) -> str:
    """All the text by which words find an experience, as their index has it."""
    return expand_for_index("\n".join((experience.text, *experience.examples, *experience.tags)))


def _relevance(
    reading: Transaction, search: Search, found: Candidates, baseline: Baseline | None
) -> float:
    experiences = reading.words.count()
    share = confidence = 0.0
    if not found.nearest or baseline is None or experiences < relevance.SMALL_LIBRARY:
        share, confidence = _by_words(reading, found)
    if not found.nearest:
        return max(share, confidence)
    if baseline is None:
        best = max(row.score for row in found.nearest)
        return max(relevance.relevance_alone(best, share, experiences), confidence)
    measured = features_of(reading, search, found, experiences)
    return max(relevance.relevance(measured, baseline), confidence)


def _by_words(reading: Transaction, found: Candidates) -> tuple[float, float]:
    """The best share of the query's words in a hit, and the relevance by rare words alone."""
    overlaps = [
        relevance.overlap(found.terms, reading.words.stems(searchable(experience)))
        for experience in reading.experiences.get(list(found.scores)[: relevance.SMALL_LIBRARY])
    ]
    confidence = 0.6 if max(rare for _, rare in overlaps) >= SURE else 0.0
    return max(share for share, _ in overlaps), confidence


def features_of(
    reading: Transaction, search: Search, found: Candidates, experiences: int
) -> Features:
    best = reading.experiences.get(list(found.scores)[:1])
    held = reading.words.stems(searchable(best[0])) if best else frozenset[str]()
    return relevance.features(found.nearest, found.terms, held, search.generic, experiences)
