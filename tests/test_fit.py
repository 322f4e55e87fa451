"""How well lessons fit: properties of the weighing, and what a search makes of them."""

import json
import random
from dataclasses import replace
from importlib.resources import files
from math import isfinite, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.client import ERAS, Era, answer, connected, text_of
from support.fakes import LESSONS, a_lesson, add, ids

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Found, Lesson, Level, Zone
from flex_mcp.search import fit, token_match
from flex_mcp.search.fit import RELEVANT
from flex_mcp.storage.protocol import Term

KINDS = "ours", "static", "model", "words"
GAPS = "likeness_gap", "words_gap", "rank_gap"
SHARES = st.floats(0, 1)


@st.composite
def founds(draw: st.DrawFn) -> fit.Observed:
    """What a search may say of one to eight candidates."""
    number = draw(st.integers(1, 8))

    def each(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=number, max_size=number))

    documents = draw(st.lists(st.integers(0, 5_000), max_size=8))
    return fit.Observed(
        scores=sorted(each(st.floats(-4, 4)), reverse=True),
        likeness=np.array([each(SHARES) for _ in token_match.PARTS]).T,
        words=each(st.floats(0, 40)),
        cosines=each(st.floats(-1, 1)) if draw(st.booleans()) else None,
        headings=each(st.floats(-1, 1)),
        nearest=draw(st.floats(-1, 1)),
        terms=[Term(f"w{place}", f"w{place}", count) for place, count in enumerate(documents)],
        experiences=draw(st.integers(0, 5_000)),
    )


def weights(rising: st.SearchStrategy[float]) -> st.SearchStrategy[fit.Fit]:
    """Weights as they would be by reason: what is a gap takes away, all else adds."""
    each = [rising.map(lambda one: -one) if name in GAPS else rising for name in fit.FEATURES]
    return st.builds(fit.Fit, st.tuples(*each), st.floats(-9, 9), st.floats(0.1, 5), SHARES)


FITS = st.sampled_from(KINDS).map(fit.fit_of)
REASONABLE = weights(st.floats(0, 9))


# Features and log odds


@given(founds(), FITS)
def test_every_feature_and_all_odds_are_numbers(found: fit.Observed, one: fit.Fit) -> None:
    rows = fit.features(found)
    odds = fit.log_odds(rows, one)
    assert rows.shape == (len(found.scores), len(fit.FEATURES))
    assert np.isfinite(rows).all()
    assert (rows[:, fit.FEATURES.index("words")] >= 0).all()
    assert len(odds) == len(found.scores)
    assert all(map(isfinite, odds))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_embedder_has_weights_for_every_feature(kind: str) -> None:
    one = fit.fit_of(kind)
    text = (files("flex_mcp.search") / "fit.json").read_text(encoding="utf-8")
    assert [*json.loads(text)[kind]["weights"]] == [*fit.FEATURES]
    assert all(map(isfinite, (*one.weights, one.bias, one.scale, one.shift)))
    assert one.scale > 0  # else what fits better would be less relevant


@given(founds(), FITS, st.randoms())
def test_the_order_of_the_candidates_does_not_matter(
    found: fit.Observed, one: fit.Fit, chance: random.Random
) -> None:
    order = chance.sample(range(len(found.scores)), len(found.scores))
    shuffled = replace(
        found,
        scores=[found.scores[place] for place in order],
        likeness=found.likeness[order],
        words=[found.words[place] for place in order],
        headings=[found.headings[place] for place in order],
        cosines=found.cosines and [found.cosines[place] for place in order],
        terms=chance.sample(found.terms, len(found.terms)),
    )
    odds = fit.log_odds(fit.features(found), one)
    again = fit.log_odds(fit.features(shuffled), one)
    assert again == pytest.approx([odds[place] for place in order], abs=1e-6)


@given(founds(), FITS, st.sampled_from(range(len(fit.FEATURES))), st.floats(0, 5), st.data())
def test_a_feature_moves_its_candidate_as_its_weight_says_and_no_other(
    found: fit.Observed, one: fit.Fit, feature: int, more: float, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(found.scores) - 1))
    rows = fit.features(found)
    before = fit.log_odds(rows, one)
    rows[place, feature] += more
    after = fit.log_odds(rows, one)
    moved = [now - then for now, then in zip(after, before, strict=True)]
    assert moved.pop(place) == pytest.approx(more * one.weights[feature], abs=1e-6)
    assert moved == pytest.approx([0.0] * len(moved), abs=1e-9)


@given(founds(), REASONABLE, st.data())
def test_what_is_found_better_fits_no_worse_and_nothing_else_fits_better_for_it(
    found: fit.Observed, one: fit.Fit, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(found.scores) - 1))
    more = np.zeros(len(found.scores))
    more[place] = data.draw(SHARES)
    better = data.draw(
        st.sampled_from(
            [
                replace(found, scores=[*(found.scores + more)]),
                replace(found, words=[*(found.words + more)]),
                replace(found, likeness=found.likeness + more[:, None]),
                replace(found, cosines=found.cosines and [*(found.cosines + more)]),
            ]
        )
    )
    before = fit.log_odds(fit.features(found), one)
    after = fit.log_odds(fit.features(better), one)
    for other, (then, now) in enumerate(zip(before, after, strict=True)):
        assert now >= then - 1e-6 if other == place else now <= then + 1e-6


@given(founds())
def test_gaps_are_how_far_a_candidate_lies_below_the_best(found: fit.Observed) -> None:
    rows = fit.features(found)
    for name in GAPS:
        column = rows[:, fit.FEATURES.index(name)]
        assert column.min() == 0
        assert (column >= 0).all()
    best_first = rows[:, fit.FEATURES.index("rank_gap")]
    assert best_first[0] == 0
    assert best_first.tolist() == sorted(best_first)


@given(founds(), st.floats(-1, 1))
def test_without_vectors_neither_cosines_nor_generic_queries_say_anything(
    found: fit.Observed, nearest: float
) -> None:
    alone = replace(found, cosines=None)
    rows = fit.features(alone)
    assert not rows[:, [fit.FEATURES.index(name) for name in ("cosine", "apart")]].any()
    assert (fit.features(replace(alone, nearest=nearest)) == rows).all()


def test_a_lesson_is_compared_with_the_ten_generic_queries_that_are_nearest() -> None:
    found = fit.Observed(
        scores=[1.0],
        likeness=np.zeros((1, len(token_match.PARTS))),
        words=[0.0],
        cosines=[0.8],
        headings=[0.8],
        nearest=fit.nearest_of([*[0.3] * 10, *[-1.0] * 50], 0.9),
        terms=[],
        experiences=9,
    )
    (row,) = fit.features(found)
    assert row[fit.FEATURES.index("apart")] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["ours", "static", "model"])
def test_before_generic_queries_are_known_what_is_usual_stands_for_them(kind: str) -> None:
    assert 0.2 < fit.nearest_of([], fit.fit_of(kind).nearest) < 0.5


# Shares of the lists


@given(FITS, st.integers(0, 500))
def test_shares_lie_between_those_of_short_and_of_long_tasks(one: fit.Fit, terms: int) -> None:
    found = one.fusion.shares(terms)
    for share, short, long in zip(found, one.fusion.short, one.fusion.long, strict=True):
        assert min(short, long) - 1e-9 <= share <= max(short, long) + 1e-9
        assert 0 <= share <= 1
    assert one.fusion.shares(fit.SHORT) == pytest.approx(one.fusion.short)
    assert one.fusion.shares(fit.LONG) == pytest.approx(one.fusion.long)


# Whether anything fits


OVER = st.floats(-20, 20)  # the background, in log odds


@given(FITS, st.floats(-50, 50), OVER, st.integers(0, 20_000))
def test_relevance_is_a_probability(one: fit.Fit, best: float, above: float, terms: int) -> None:
    assert 0 <= fit.relevance([best], above, terms, 40, one) <= 1


@given(FITS, st.floats(-20, 20), OVER, st.integers(0, 300), st.floats(0, 9), st.integers(0, 300))
def test_relevance_rises_with_the_best_and_the_background_and_falls_with_length(
    one: fit.Fit, best: float, above: float, terms: int, more: float, longer: int
) -> None:
    odds = [best, best - 1]
    now = fit.relevance(odds, above, terms, 40, one)
    assert fit.relevance([best + more, best - 1], above, terms, 40, one) >= now
    assert fit.relevance(odds, above + more, terms, 40, one) >= now
    assert fit.relevance(odds, above, terms + longer, 40, one) <= now
    assert fit.relevance(odds, above, terms, 40 + longer, one) <= now


def test_an_extreme_background_says_no_more_than_a_clear_one() -> None:
    one = fit.fit_of("static")
    assert fit.relevance([0], 99.0, 5, 40, one) == fit.relevance([0], fit.EXTREME, 5, 40, one)
    assert fit.relevance([0], -99.0, 5, 40, one) == fit.relevance([0], -fit.EXTREME, 5, 40, one)


# What a search serves

FITTING = [
    *(LESSONS[0], LESSONS[5]),
    "The release build fails since the compiler was updated in the image",
    "The connection pool runs out: a cursor of the database stays open",
    "The deployment failed: the access token expired",
]
FOREIGN = [
    "Which gear ratio suits a touring bicycle?",
    "Knit a scarf with a cable stitch",
    "Translate this poem about autumn into Portuguese",
    "please help",
    "x",
]


def log_odds(found: Found) -> dict[str, float]:
    return {
        hit.experience.id: log(max(hit.fit, 1e-300)) - log(max(1 - hit.fit, 1e-300))
        for hit in found.hits
    }


def served_of_all(library: Library, task: str) -> tuple[dict[str, float], dict[str, float]]:
    """The log odds of what is served, and of all there is; what is served follows from them."""
    every, found = library.search(task, limit=20, abstain=False), library.search(task, limit=20)
    odds = log_odds(every)
    near = [id_ for id_, value in odds.items() if value >= max(odds.values()) - fit.RATIO]
    assert ids(found) == near
    assert found.relevance == every.relevance >= RELEVANT
    return log_odds(found), odds


@pytest.mark.parametrize("task", FITTING)
def test_what_fits_nearly_as_well_as_the_best_is_served_and_nothing_else(
    stocked: Library, task: str
) -> None:
    served, every = served_of_all(stocked, task)
    assert 0 < len(served) < len(every) == len(LESSONS)
    assert served.items() <= every.items()


def test_what_fits_in_part_is_not_served_beside_what_fits(library: Library) -> None:
    things, deeds = ("pump", "valve", "gasket", "turbine"), ("Oil", "Weigh", "Replace", "Inspect")
    add(
        library,
        *(
            a_lesson(f"{deed} the {thing} before it is warm.", action=Action.ADD)
            for thing in things
            for deed in deeds
        ),
    )
    left_out: list[float] = []
    for task in ("pump", "valve and turbine", "weigh what is warm", "a cold turbine"):
        served, every = served_of_all(library, task)
        left_out += [max(every.values()) - every[id_] for id_ in every.keys() - served.keys()]
    assert any(gap < 4 * fit.RATIO for gap in left_out)  # some was near enough to be tempting


def test_two_that_fit_alike_are_both_served(library: Library) -> None:
    add(library, *(a_lesson(text) for text in LESSONS))
    both = add(
        library,
        a_lesson("Grease the bearing of the pump."),
        a_lesson("Grease the bearing of the fan."),
    )
    assert {*ids(library.search("grease the bearing"))} == {*both}


@pytest.mark.parametrize("task", FOREIGN)
def test_nothing_is_served_where_nothing_fits_unless_all_is_asked_for(
    stocked: Library, task: str
) -> None:
    every, found = stocked.search(task, abstain=False), stocked.search(task)
    assert found.hits == ()
    assert found.nothing_relevant
    assert every.relevance == found.relevance < RELEVANT
    assert len(every.hits) == 5


@pytest.mark.parametrize("number", [1, 3, 36])
def test_nothing_is_served_to_a_foreign_task_whatever_the_size_of_the_library(
    library: Library, number: int
) -> None:
    things = [
        f"{thing} of the {place}"
        for thing in ("pump", "valve", "gasket", "turbine")
        for place in ("boiler", "crane", "dock", "ship", "mill", "plant", "tower", "yard", "lift")
    ]
    add(library, *(a_lesson(f"Oil the {one}.", action=Action.ADD) for one in things[:number]))
    for task in FOREIGN[:3]:
        assert library.search(task).nothing_relevant
    assert library.search(f"oil the {things[0]}").hits


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_in_which_a_library_learned_its_lessons_does_not_matter(
    stocked: Library, tmp_path: Path, seed: int
) -> None:
    lessons = random.Random(seed).sample(LESSONS, len(LESSONS))

    def served(library: Library, task: str) -> list[tuple[str, float]]:
        hits = library.search(task, limit=20, abstain=False).hits
        return [(hit.experience.lesson, round(hit.fit, 6)) for hit in hits]

    with open_library(tmp_path / "other.db") as other:
        add(other, *(a_lesson(text) for text in lessons))
        for task in FITTING:
            assert served(other, task) == served(stocked, task)


@pytest.mark.parametrize("task", [*FITTING, *FOREIGN])
def test_the_limit_is_a_ceiling_and_no_goal(stocked: Library, task: str) -> None:
    whole, cut = (stocked.search(task, limit=20, abstain=abstain) for abstain in (False, True))
    for limit in (1, 2, 5, 20):
        assert ids(stocked.search(task, limit=limit)) == ids(cut)[:limit]
        assert ids(stocked.search(task, limit=limit, abstain=False)) == ids(whole)[:limit]


# What contradicts, and examples: in the library and in both forms of the answer

UPLOAD = "Retry the upload to the package index in the release job when the network is slow."
NEVER = UPLOAD.replace("Retry", "Never retry")
SLOW = "The upload of the release to the package index fails when the network is slow"


def titled(lesson: str, **values: object) -> Lesson:
    return a_lesson(lesson, title="Uploads of a release", action=Action.ADD, **values)


def opposites(library: Library) -> tuple[str, str]:
    """Two that say the opposite, among others."""
    add(library, *(a_lesson(text) for text in LESSONS))
    always, never = add(library, titled(UPLOAD), titled(NEVER, zone=Zone.WARNING))
    return always, never


def said(found: Found) -> dict[str, str | None]:
    return {hit.experience.id: hit.contradicts for hit in found.hits}


def test_hits_that_contradict_each_other_name_each_other(library: Library) -> None:
    always, never = opposites(library)
    assert said(library.search(SLOW)) == {always: never, never: always}
    every = said(library.search(SLOW, limit=20, abstain=False))
    assert {id_ for id_, other in every.items() if other} == {always, never}


def test_only_what_is_served_too_is_named_as_contradicted(library: Library) -> None:
    always, never = opposites(library)
    assert said(library.search(SLOW, zones=[Zone.GOLDEN])) == {always: None}
    assert said(library.search(SLOW, zones=[Zone.WARNING])) == {never: None}
    assert set(said(library.search(SLOW, limit=1)).values()) == {None}


def test_of_several_that_contradict_a_hit_the_best_is_named(library: Library) -> None:
    always, never = opposites(library)
    again = NEVER.replace("when the network is slow", "while the network is slow tonight")
    add(library, titled(again))
    places = said(library.search(SLOW, limit=20, abstain=False))
    order = [*places]
    assert len({id_ for id_, other in places.items() if other}) >= 3
    against = [id_ for id_, other in places.items() if other == always]
    assert never in against
    assert places[always] == min(against, key=order.index)


def test_the_opposite_for_another_case_contradicts_nothing(library: Library) -> None:
    add(
        library,
        titled(UPLOAD, when="The upload is safe to repeat"),
        titled(NEVER, when="The upload is not safe to repeat"),
    )
    assert [*said(library.search(SLOW, abstain=False)).values()] == [None, None]


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_an_assistant_is_told_which_hits_contradict_each_other(
    tmp_path: Path, era: Era
) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        always, never = opposites(library)
    async with connected(path, era) as client:
        result = await client.call_tool("search_experience", {"query": SLOW})
    content, text = result.structured_content, text_of(result)
    assert {hit["id"]: hit.get("contradicts") for hit in content["hits"]} == {
        always: never,
        never: always,
    }
    assert f"({always}, contradicts {never})" in text
    assert f"({never}, warning, contradicts {always})" in text


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_an_assistant_gets_an_example_of_each_hit_as_another_case(
    tmp_path: Path, era: Era
) -> None:
    path, shown = tmp_path / "library.db", "upload.sh on a train → the third try went through"
    with open_library(path) as library:
        add(library, *(a_lesson(text) for text in LESSONS))
        (id_,) = add(library, titled(UPLOAD, examples=("It was slow.", shown)))
    async with connected(path, era) as client:
        result = await client.call_tool("search_experience", {"query": SLOW})
        other = await client.call_tool("search_experience", {"query": LESSONS[0]})
    assert [(hit["id"], hit.get("example")) for hit in result.structured_content["hits"]] == [
        (id_, shown)
    ]
    assert f"\n> - Another case, with its own result: {shown}" in text_of(result)
    assert {hit.get("example") for hit in other.structured_content["hits"]} == {None}
    assert "Another case" not in text_of(other)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_an_assistant_gets_few_hits_best_first_or_is_told_that_nothing_fits(
    tmp_path: Path, era: Era
) -> None:
    path = tmp_path / "library.db"
    greased = [f"Grease the bearing of the {one}." for one in ("pump", "fan", "mill", "lift")]
    with open_library(path) as library:
        add(library, *(a_lesson(text) for text in LESSONS))
        for level, text in zip([*reversed(Level), Level.PATTERN], greased, strict=True):
            add(library, a_lesson(text, level=level))
        best_first = ids(library.search("grease the bearing", limit=20))
    assert len(best_first) >= 3
    async with connected(path, era) as client:
        for limit in (1, 2, 20):
            found = await answer(
                client, "search_experience", query="grease the bearing", limit=limit
            )
            assert [hit["id"] for hit in found["hits"]] == best_first[:limit]
            assert all(0 < hit["fit"] <= 1 for hit in found["hits"])
            assert found["omitted"] == 0
        result = await client.call_tool("search_experience", {"query": FOREIGN[0], "limit": 20})
    content = result.structured_content
    assert (content["hits"], content["nothing_relevant"], content["omitted"]) == ([], True, 0)
    assert content["relevance"] < RELEVANT
    assert text_of(result).startswith("Nothing relevant in the library")
    assert "> " not in text_of(result)
