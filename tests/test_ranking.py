"""Ranking is pure: properties of fusion, budgets, and choices."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flex_mcp.models import Level, Zone
from flex_mcp.search import ranking
from flex_mcp.search.ranking import Ranked
from flex_mcp.storage.protocol import Scored, Standing, Term

SCORES = st.floats(-100, 100).map(lambda score: round(score, 3))


@st.composite
def lists(draw: st.DrawFn, *, least: int = 0) -> list[Scored]:
    scores = draw(st.dictionaries(st.sampled_from("abcdefghij"), SCORES, min_size=least))
    return [Scored(id_, Zone.GOLDEN, Level.PATTERN, score) for id_, score in scores.items()]


def score_of(id_: str, rows: list[Scored]) -> float | None:
    return next((row.score for row in rows if row.id == id_), None)


# Fusion


@given(lists(), lists(), st.floats(0, 1), st.randoms())
def test_fusion_does_not_depend_on_the_order_of_the_lists(
    nearest: list[Scored], matching: list[Scored], weight: float, chance: random.Random
) -> None:
    fused = ranking.fuse(nearest, matching, weight)
    shuffled = chance.sample(nearest, len(nearest)), chance.sample(matching, len(matching))
    again = ranking.fuse(*shuffled, weight)
    assert list(again) == list(fused)
    assert again == pytest.approx(fused)


@given(lists(), lists(), st.floats(0, 1))
def test_fusion_keeps_every_candidate_once_and_gives_the_best_first(
    nearest: list[Scored], matching: list[Scored], weight: float
) -> None:
    fused = ranking.fuse(nearest, matching, weight)
    assert set(fused) == {row.id for row in (*nearest, *matching)}
    assert list(fused.values()) == sorted(fused.values(), reverse=True)


@given(lists(least=2), lists(least=2), st.floats(0.01, 0.99))
def test_what_is_better_in_both_lists_is_better_fused(
    nearest: list[Scored], matching: list[Scored], weight: float
) -> None:
    fused = ranking.fuse(nearest, matching, weight)
    both = {row.id for row in nearest} & {row.id for row in matching}
    for one in both:
        for other in both:
            pairs = [
                (score_of(one, rows) or 0.0, score_of(other, rows) or 0.0)
                for rows in (nearest, matching)
            ]
            if all(a > b for a, b in pairs):
                assert fused[one] > fused[other]


@given(lists(least=2), lists(least=2), st.floats(0.01, 0.99))
def test_what_a_list_lacks_counts_there_like_its_lowest(
    nearest: list[Scored], matching: list[Scored], weight: float
) -> None:
    assume(len({row.score for row in matching}) > 1)
    lowest, *others = sorted(matching, key=lambda row: row.score)
    lowest = lowest._replace(id="lowest")  # which the other list lacks
    matching = [*others[::-1], lowest]
    stranger = Scored("stranger", Zone.GOLDEN, Level.PATTERN, nearest[0].score)
    beside = Scored(lowest.id, Zone.GOLDEN, Level.PATTERN, nearest[0].score)
    fused = ranking.fuse([*nearest, stranger, beside], matching, weight)
    assert fused["stranger"] == pytest.approx(fused[lowest.id])


def test_an_experience_that_alone_holds_a_word_gains_from_it() -> None:
    nearest = [
        Scored("near", Zone.GOLDEN, Level.PATTERN, 0.31),
        Scored("named", Zone.GOLDEN, Level.PATTERN, 0.30),
    ]
    fused = ranking.fuse(nearest, [Scored("named", Zone.GOLDEN, Level.PATTERN, 12.0)], 0.4)
    assert list(fused) == ["named", "near"]


@given(lists(least=1), st.floats(0.01, 1))
def test_one_list_alone_keeps_its_order_whatever_its_weight(
    nearest: list[Scored], weight: float
) -> None:
    fused = ranking.fuse(nearest, [], weight)
    assert list(fused) == [
        row.id for row in sorted(nearest, key=lambda row: (-row.score, row.id))
    ] or len({row.score for row in nearest}) < len(nearest)


@given(lists(least=2), st.dictionaries(st.sampled_from("abcdefghij"), SCORES, min_size=1))
def test_refining_keeps_every_candidate_and_gives_the_best_first(
    rows: list[Scored], alike: dict[str, float]
) -> None:
    refined = ranking.refine(ranking.fuse(rows, [], 1.0), alike)
    assert set(refined) == {row.id for row in rows}
    assert list(refined.values()) == sorted(refined.values(), reverse=True)


def test_likeness_decides_between_equal_candidates() -> None:
    rows = [Scored(id_, Zone.GOLDEN, Level.PATTERN, 1.0) for id_ in "abc"]
    refined = ranking.refine(ranking.fuse(rows, [], 1.0), {"a": 0.2, "b": 0.9})
    assert list(refined) == ["b", "a", "c"]  # what was not compared counts like the least alike


def test_equal_candidates_come_in_the_order_of_their_ids() -> None:
    rows = [Scored(id_, Zone.GOLDEN, Level.PATTERN, 1.0) for id_ in "cab"]
    assert list(ranking.fuse(rows, [], 0.5)) == ["a", "b", "c"]


def test_the_scale_of_a_list_is_no_weight() -> None:
    nearest = [
        Scored("a", Zone.GOLDEN, Level.PATTERN, 0.9),
        Scored("b", Zone.GOLDEN, Level.PATTERN, 0.1),
    ]
    matching = [
        Scored("a", Zone.GOLDEN, Level.PATTERN, 3.0),
        Scored("b", Zone.GOLDEN, Level.PATTERN, 700.0),
    ]
    assert ranking.fuse(nearest, matching, 0.6)["a"] > 0
    assert ranking.fuse(nearest, matching, 0.4)["a"] < 0


# Words


@given(st.lists(st.integers(0, 4000), max_size=40))
def test_the_words_of_a_search_are_the_rarest_known_ones_within_the_budget(
    documents: list[int],
) -> None:
    terms = [Term(f"w{place}", f"w{place}", count) for place, count in enumerate(documents)]
    words = ranking.search_words(terms)
    counts = {term.word: term.documents for term in terms}
    chosen = [counts[word] for word in words]
    known = sorted(count for count in documents if count)
    assert chosen == known[: len(chosen)]
    if len(chosen) > ranking.ALWAYS_WORDS:
        assert sum(chosen) <= ranking.POSTINGS
    if len(chosen) < len(known):
        assert len(chosen) >= ranking.ALWAYS_WORDS
        assert sum(chosen) + known[len(chosen)] > ranking.POSTINGS


def test_function_words_are_no_content() -> None:
    terms = [Term(word, word.lower(), 1) for word in ("The", "parser", "of", "dates")]
    assert [term.word for term in ranking.content_terms(terms)] == ["parser", "dates"]


def test_a_long_query_is_embedded_by_its_ends() -> None:
    words = [str(number) for number in range(1000)]
    assert ranking.ends(" ".join(words)).split() == [*words[:250], *words[-100:]]
    exactly = " ".join(words[:350])
    assert ranking.ends(exactly) == exactly


# The hits


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_standing(
    id_: str,
    *,
    zone: Zone = Zone.GOLDEN,
    level: Level = Level.PATTERN,
    priority: int = 3,
    successes: int = 0,
    failures: int = 0,
) -> Standing:
    return Standing(id_, zone, level, priority, successes, failures, NOW)


def a_ranked(row: tuple[Level, Zone, float]) -> Ranked:
    level, zone, score = row
    return Ranked(a_standing("e", level=level, zone=zone), score)


RANKED = st.lists(
    st.tuples(st.sampled_from(Level), st.sampled_from(Zone), SCORES).map(a_ranked), max_size=30
).map(lambda rows: sorted(rows, key=lambda row: -row.score))


@given(RANKED, st.integers(1, 4))
def test_the_best_of_each_level_are_picked_most_general_level_first(
    ranked: list[Ranked], limit: int
) -> None:
    chosen = ranking.pick(ranked, limit=limit)
    for level in Level:
        of_level = [row.score for row in chosen if row.standing.level is level]
        all_of_it = [row.score for row in ranked if row.standing.level is level]
        assert of_level == all_of_it[:limit]
    order = [list(Level).index(row.standing.level) for row in chosen]
    assert order == sorted(order)


@given(RANKED, st.integers(1, 4), st.sampled_from(Level))
def test_one_that_must_be_served_takes_the_last_place_of_its_level(
    ranked: list[Ranked], limit: int, level: Level
) -> None:
    sure = Ranked(a_standing("sure", level=level, zone=Zone.WARNING), -1_000)
    plain = ranking.pick(ranked, limit=limit)
    chosen = ranking.pick(ranked, limit=limit, reserved=sure)
    of_level = [row for row in plain if row.standing.level is level]
    assert [row for row in chosen if row.standing.level is level] == [
        *of_level[: limit - 1],
        sure,
    ]
    assert [row for row in chosen if row.standing.level is not level] == [
        row for row in plain if row.standing.level is not level
    ]


@given(st.integers(1, 5), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 9_999))
def test_what_helped_before_moves_up_by_a_bounded_step(
    priority: int, successes: int, failures: int, days: int
) -> None:
    def prior(successes: int, failures: int) -> float:
        return ranking.helpfulness(
            a_standing("e", priority=priority, successes=successes, failures=failures),
            NOW + timedelta(days=days),
        )

    now = prior(successes, failures)
    assert -0.37 <= now <= 0.34
    assert prior(successes + 1, failures) > now > prior(successes, failures + 1)


def test_an_experience_that_was_never_tried_stands_where_it_is() -> None:
    assert ranking.helpfulness(a_standing("e"), NOW) == 0


def test_age_takes_a_little_for_two_years() -> None:
    years = [NOW + timedelta(days=days) for days in (-1, 0, 365, 730, 7_300)]
    early, new, one, two, twenty = (ranking.helpfulness(a_standing("e"), year) for year in years)
    assert early == new == 0 > one > two == twenty


def test_what_differs_by_rounding_alone_is_equal() -> None:
    rows = [
        Scored(id_, Zone.GOLDEN, Level.PATTERN, 0.7 + place * 1e-8)
        for place, id_ in enumerate("abc")
    ]
    assert len(set(ranking.fuse(rows, rows, 0.5).values())) == 1
