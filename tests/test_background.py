"""How far a search stands above its library's background is pure: properties, and its parts."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flex_mcp.search import background
from flex_mcp.search.background import Baseline, Features
from flex_mcp.storage.protocol import Term


@pytest.mark.parametrize(
    ("word", "rare"),
    [
        ("pytest", True),
        ("2038", True),
        ("x", False),
        ("10", False),
        ("problem", False),
        ("—", False),
    ],
)
def test_a_rare_word_says_something_by_itself(word: str, *, rare: bool) -> None:
    assert background.is_rare(Term(word, word, 1)) is rare


def test_a_rare_word_counts_four_times_a_common_one() -> None:
    terms = [Term("pytest", "pytest", 1), Term("problem", "problem", 1)]
    assert background.overlap(terms, {"pytest"}) == (pytest.approx(0.8), 1)
    assert background.overlap(terms, {"problem"}) == (pytest.approx(0.2), 0)
    assert background.overlap(terms, {"pytest", "problem", "more"}) == (pytest.approx(1.0), 1)
    assert background.overlap([], {"pytest"}) == (0.0, 0)


NUMBERS = st.floats(0, 1)
FEATURES = st.builds(Features, *[NUMBERS] * len(Features._fields))
DEVIATIONS = st.builds(Features, *[st.floats(0, 0.5)] * len(Features._fields))
BACKGROUNDS = st.builds(Baseline, FEATURES, DEVIATIONS)


@given(FEATURES, BACKGROUNDS, st.sampled_from(Features._fields), NUMBERS)
def test_a_search_never_stands_lower_where_a_feature_rises(
    found: Features, usual: Baseline, feature: str, more: float
) -> None:
    better = found._replace(**{feature: getattr(found, feature) + more})
    assert background.above(found, usual) <= background.above(better, usual)


@given(FEATURES, BACKGROUNDS)
def test_what_is_no_better_than_the_background_has_the_odds_against_it(
    found: Features, usual: Baseline
) -> None:
    assert background.above(usual.mean, usual) < 0
    louder = usual._replace(mean=Features(*(value + 1 for value in found)))
    assert background.above(found, louder) < 0


def test_every_feature_counts() -> None:
    usual = Baseline(
        Features(0.2, 0.1, 0.1, 0.3, 0.0, 0.0), Features(*[0.1] * len(Features._fields))
    )
    found = Features(0.3, 0.2, 0.2, 0.4, 0.0, 0.0)
    for feature in Features._fields:
        better = found._replace(**{feature: 0.6})
        assert background.above(better, usual) > background.above(found, usual)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10_000), st.floats(0, 1))
def test_without_a_background_it_rises_with_cosine_and_words_and_falls_with_size(
    best: float, overlap: float, experiences: int, more: float
) -> None:
    now = background.above_alone(best, overlap, experiences)
    assert background.above_alone(best + more, overlap, experiences) >= now
    assert background.above_alone(best, overlap + more, experiences) >= now
    assert background.above_alone(best, overlap, experiences * 2) <= now


def test_features_are_those_of_the_best_five_and_of_the_idf_mass() -> None:
    terms = [Term("pytest", "pytest", 9), Term("wheel", "wheel", 0), Term("held", "held", 1)]
    cosines = [score / 10 for score in range(8, -1, -1)]
    generic = [place / 100 for place in range(20)]
    found = background.features(cosines, terms, {"held"}, generic, 10)
    assert found.best == pytest.approx(0.8)
    assert found.best_five == pytest.approx(0.6)
    assert 0 < found.coverage < 1
    assert found.shared == pytest.approx(log(2))
    assert found.familiar > background.features([], terms[1:2], set(), [], 10).familiar
    assert found.apart == pytest.approx(0.4 - 0.145)
    assert background.features([], [], set(), [], 0) == Features(0, 0, 0, 0, 0, 0)


def test_the_background_is_the_mean_of_what_was_measured() -> None:
    usual = background.baseline_of(
        [Features(0.1, 0.2, 0.3, 0.4, 0.0, 1.0), Features(0.3, 0.2, 0.5, 0.8, -0.2, 3.0)]
    )
    assert usual.mean == pytest.approx(Features(0.2, 0.2, 0.4, 0.6, -0.1, 2.0))
    assert usual.deviation == pytest.approx(Features(0.1, 0.0, 0.1, 0.2, 0.1, 1.0))


def test_a_common_word_is_common_in_every_form() -> None:
    assert not background.is_rare(Term("problems", "problem", 1))
    assert not background.is_rare(Term("fixing", "fix", 1))
    assert background.is_rare(Term("tokenizers", "token", 1))
