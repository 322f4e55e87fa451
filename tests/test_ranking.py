"""Ranking is pure: properties of fusion, budgets, and choices."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flex_mcp.models import Experience, Level, Origin, Zone
from flex_mcp.search import ranking
from flex_mcp.storage.protocol import Scored, Term

SCORES = st.floats(-100, 100).map(lambda score: round(score, 3))


@st.composite
def lists(draw: st.DrawFn, *, least: int = 0) -> list[Scored]:
    scores = draw(st.dictionaries(st.sampled_from("abcdefghij"), SCORES, min_size=least))
    return [Scored(id_, score) for id_, score in scores.items()]


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
    stranger = Scored("stranger", nearest[0].score)
    beside = Scored(lowest.id, nearest[0].score)
    fused = ranking.fuse([*nearest, stranger, beside], matching, weight)
    assert fused["stranger"] == pytest.approx(fused[lowest.id])


def test_an_experience_that_alone_holds_a_word_gains_from_it() -> None:
    nearest = [
        Scored("near", 0.31),
        Scored("named", 0.30),
    ]
    fused = ranking.fuse(nearest, [Scored("named", 12.0)], 0.4)
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
    refined = ranking.refine(ranking.fuse(rows, [], 1.0), alike, 0.4)
    assert set(refined) == {row.id for row in rows}
    assert list(refined.values()) == sorted(refined.values(), reverse=True)


def test_likeness_decides_between_equal_candidates() -> None:
    rows = [Scored(id_, 1.0) for id_ in "abc"]
    refined = ranking.refine(ranking.fuse(rows, [], 1.0), {"a": 0.2, "b": 0.9}, 0.4)
    assert list(refined) == ["b", "a", "c"]  # what was not compared counts like the least alike


def test_equal_candidates_come_in_the_order_of_their_ids() -> None:
    rows = [Scored(id_, 1.0) for id_ in "cab"]
    assert list(ranking.fuse(rows, [], 0.5)) == ["a", "b", "c"]


def test_the_scale_of_a_list_is_no_weight() -> None:
    nearest = [
        Scored("a", 0.9),
        Scored("b", 0.1),
    ]
    matching = [
        Scored("a", 3.0),
        Scored("b", 700.0),
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


# What helped before


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def an_experience(*, priority: int = 3, successes: int = 0, failures: int = 0) -> Experience:
    return Experience(
        id="e_aaaaaaaaaaaa",
        zone=Zone.GOLDEN,
        level=Level.PATTERN,
        title="A title",
        when="",
        lesson="A lesson.",
        origin=Origin(kind="distilled", by="a test"),
        revision=1,
        priority=priority,
        created_at=NOW - timedelta(days=10_000),
        updated_at=NOW,
        successes=successes,
        failures=failures,
    )


@given(st.integers(1, 5), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 9_999))
def test_what_helped_before_moves_up_by_a_bounded_step(
    priority: int, successes: int, failures: int, days: int
) -> None:
    def prior(successes: int, failures: int) -> float:
        return ranking.helpfulness(
            an_experience(priority=priority, successes=successes, failures=failures),
            NOW + timedelta(days=days),
        )

    now = prior(successes, failures)
    assert -0.37 <= now <= 0.34
    assert prior(successes + 1, failures) > now > prior(successes, failures + 1)


def test_an_experience_that_was_never_tried_stands_where_it_is() -> None:
    assert ranking.helpfulness(an_experience(), NOW) == 0


def test_age_takes_a_little_for_two_years() -> None:
    years = [NOW + timedelta(days=days) for days in (-1, 0, 365, 730, 7_300)]
    early, new, one, two, twenty = (ranking.helpfulness(an_experience(), year) for year in years)
    assert early == new == 0 > one > two == twenty


def test_what_differs_by_rounding_alone_is_equal() -> None:
    rows = [Scored(id_, 0.7 + place * 1e-8) for place, id_ in enumerate("abc")]
    assert len(set(ranking.fuse(rows, rows, 0.5).values())) == 1
