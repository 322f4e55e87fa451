"""When two lessons say the same, or the opposite, and the labelled pairs of both."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import a_lesson, add

from flex_mcp.library.library import Library
from flex_mcp.models import DecisionKind, Lesson, Level, Relation, Snapshot, Zone
from flex_mcp.search import duplicates

PAIRS = Path(__file__).parent / "data" / "near_duplicates.jsonl"
# By hand: `contradicts`, `same`, `near` and `other`, each of some kind; `blind` were written before
# the rules and not looked at while these were; the first time they were, 39 of 40 contradictions
# were found, and 3 of 18 `near` taken for one. What caused these three was mended afterwards, by
# rules that were too many to keep. Those there are now find fewer, 35 of 40, and take 2 of these 18
# for a contradiction, of all 70 `near` 2; so the limits below are wider than they were. `fresh` ones
# were written after those rules: 14 of 14 contradictions are found, 1 of 20 `near` taken for one.
RELATIONS = PAIRS.with_name("relations.jsonl")
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "duplicates.py"
LABELS = {"same", "covers", "near", "different"}
WORDS = st.sets(st.sampled_from("abcdefgh"))


def pairs(source: Path = PAIRS) -> list[dict[str, Any]]:
    return [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]


def snapshot(title: str, when: str, lesson: str) -> Snapshot:
    return Snapshot(zone=Zone.GOLDEN, level=Level.PATTERN, title=title, when=when, lesson=lesson)


def related(label: str, *groups: str) -> list[tuple[Snapshot, Snapshot]]:
    return [
        (snapshot(**pair["first"]), snapshot(**pair["second"]))
        for pair in pairs(RELATIONS)
        if pair["relation"] == label and group(pair) in groups
    ]


def group(pair: dict[str, Any]) -> str:
    return "fresh" if pair["kind"] == "fresh" else "blind" if pair["blind"] else "seen"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Pin the compiler.", "Pin the compiler!", True),
        ("Do not cache it", "Don't cache it", True),
        ("You can not do it", "You can't do it", True),
        ("You cannot do it", "You can't do it", True),
        ("Neutralise the coloured mixture", "Neutralize the colored mixture", True),
        ("Every check has to pass", "Each check must pass", True),
        ("Open it in a with-block", "Open it in a `with` block", True),
        ("Lock the table before the row", "Lock the row before the table", False),
        ("Wait 5 s", "Wait 5s", True),
        ("Wait 5 seconds", "Wait 50 seconds", False),
        ("Start at .5", "Start at 5", False),
        ("Take x > 0", "Take x < 0", False),
        ("Use version 3.11", "Use version 3.12", False),
        ("Call `normalise` first", "Call `normalize` first", False),
        ("Set x.colour", "Set x.color", False),
        ("Use http inside", "Use https inside", False),
        ("Cache the answer", "Never cache the answer", False),
        ("Cache the answer", "Do not cache the answer", False),
        ("You must not ask", "You do not have to ask", False),
        ("The price may be shown", "The price must be shown", False),
        ("Retry the request", "Retry the request unless it is a write", False),
        ("Run with tests", "Run without tests", False),
        ("You can do it", "You can't do it", False),
        ("Delete it with -d", "Delete it with -D", False),
        ("Call `Set` first", "Call `set` first", False),
        ("Take option A", "Take option B", False),
        ("Take option A", "Take an option", False),
        ("Divide by n!", "Divide by n", False),
        ("Multiply by 10²", "Multiply by 102", False),
        ("Use tabs, not spaces", "Use tabs instead of spaces", True),
        ("A CACHE helps", "The cache helps", True),
        ("You should do it", "You shouldn\u2019t do it", False),
    ],
)
def test_one_word_tells_two_claims_apart_and_grammar_or_spelling_does_not(
    one: str, other: str, *, same: bool
) -> None:
    assert duplicates.same_claim(one, other) is same
    assert duplicates.same_claim(other, one) is same


@given(WORDS, WORDS)
def test_the_share_of_common_words_is_a_share_and_has_no_direction(
    one: set[str], other: set[str]
) -> None:
    share = duplicates.shared(one, other)
    assert 0 <= share <= 1
    assert share == duplicates.shared(other, one)
    assert (share == 1) is (one == other and len(one) >= duplicates.FEW)


def test_two_short_lessons_of_one_topic_do_not_restate_each_other() -> None:
    assert not duplicates.restates({"use", "tab"}, {"use", "space"})
    assert duplicates.restates({"use", "tab", "column"}, {"use", "tab", "column", "table"})


def test_no_labelled_pair_of_our_own_that_differs_is_the_same_claim() -> None:
    own = [pair for pair in pairs() if pair["source"] == "own"]
    claimed = [
        pair["label"]
        for pair in own
        if duplicates.same_claim(
            *("\n".join(pair[which].values()) for which in ("first", "second"))
        )
    ]
    assert set(claimed) == {"same"}
    assert len(claimed) >= 9


def test_the_labelled_pairs_are_distinct_and_enough_and_hold_no_text_of_flex() -> None:
    flex = [pair for pair in pairs() if pair["source"] == "flex"]
    assert {pair["label"] for pair in pairs()} == LABELS
    assert all(set(pair) == {"source", "label", "first", "second", "hash"} for pair in flex)
    assert all(" " not in pair["first"] + pair["second"] for pair in flex)
    assert len({frozenset((pair["first"], pair["second"])) for pair in flex}) == len(flex) >= 200
    counts = Counter(pair["label"] for pair in flex)
    assert counts["same"] + counts["covers"] >= 60


@pytest.mark.parametrize(
    ("name", "number", "least"), [("seen", 40, 0.9), ("blind", 40, 0.85), ("fresh", 14, 0.9)]
)
def test_lessons_that_contradict_each_other_are_found(name: str, number: int, least: float) -> None:
    known = related("contradicts", name)
    missed = [one.title for one, other in known if duplicates.relation(one, other) != "contradicts"]
    assert len(known) >= number
    assert len(known) - len(missed) >= least * len(known), missed


@pytest.mark.parametrize(("name", "most"), [("seen", 0.02), ("blind", 0.12), ("fresh", 0.06)])
def test_lessons_that_say_it_in_other_words_or_for_other_cases_do_not_contradict_each_other(
    name: str, most: float
) -> None:
    known = related("near", name)
    wrong = [one.title for one, other in known if duplicates.relation(one, other) == "contradicts"]
    assert len(known) >= 18
    assert len(wrong) <= most * len(known), wrong


@pytest.mark.parametrize("name", ["seen", "blind"])
def test_what_says_the_same_is_the_same_and_of_other_things_nothing_is_said(name: str) -> None:
    same, other = related("same", name), related("other", name)
    assert {duplicates.relation(*both) for both in same} == {Relation.SAME}
    assert {duplicates.relation(*both) for both in other} == {None}


def test_no_order_of_two_lessons_changes_what_they_are_to_each_other() -> None:
    for pair in pairs(RELATIONS):
        one, other = snapshot(**pair["first"]), snapshot(**pair["second"])
        assert duplicates.relation(one, other) is duplicates.relation(other, one)


SAID = (
    "never not use avoid the A -d -D --force before after 5 50 s min staging production and or if "
    "cache caches cached unless because it , . ; `Set` `set` don't instead of lock unlock"
)
PHRASES = st.lists(st.sampled_from(SAID.split()), min_size=1, max_size=14).map(" ".join)


@given(PHRASES, PHRASES, PHRASES, PHRASES)
def test_the_relation_of_any_two_has_no_order_and_what_is_the_same_never_contradicts(
    title: str, lesson: str, other_title: str, other_lesson: str
) -> None:
    one, other = snapshot(title, "", lesson), snapshot(other_title, "", other_lesson)
    found = duplicates.relation(one, other)
    assert duplicates.relation(other, one) is found
    assert (found is Relation.SAME) is duplicates.same_claim(one.text, other.text)
    assert duplicates.relation(one, one) is Relation.SAME


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_some_relation_to_any_other_or_none(text: str, other: str) -> None:
    one, two = snapshot("T", text, text), snapshot("T", other, other)
    assert duplicates.relation(one, two) is duplicates.relation(two, one)


UPLOAD = "Retry the upload to the package index in the release job when the network is slow."


def titled(lesson: str, when: str = "") -> Lesson:
    return a_lesson(lesson, title="Uploads of a release", when=when)


def test_a_lesson_that_contradicts_another_says_which_and_what_to_do(library: Library) -> None:
    (old,) = add(library, titled(UPLOAD))
    (decision,) = library.apply([titled(UPLOAD.replace("Retry", "Never retry"))])
    assert decision.decision is DecisionKind.ADD
    assert decision.reason == (
        f"{old} contradicts it: find out which holds, and where; "
        "then supersede that one, or edit its `when`"
    )


def test_what_contradicts_is_told_before_what_is_near(library: Library) -> None:
    add(library, titled(UPLOAD.replace("slow", "slow and the index is busy at that hour")))
    (against,) = add(library, titled(UPLOAD.replace("Retry", "Never retry")))
    (decision,) = library.apply([titled(UPLOAD)])
    assert (decision.reason or "").startswith(f"{against} contradicts it")


def test_the_opposite_for_another_case_is_near(library: Library) -> None:
    (old,) = add(library, titled(UPLOAD, "The upload is safe to repeat"))
    new = titled(UPLOAD.replace("Retry", "Never retry"), "The upload is not safe to repeat")
    (decision,) = library.apply([new])
    assert (decision.reason or "").startswith(f"{old} is near")


@pytest.mark.parametrize("action", [None, "add"])
def test_texts_that_differ_in_the_case_of_a_flag_are_no_copies(
    library: Library, action: Any
) -> None:
    old, new = (
        "Delete a merged branch with `git branch -d`.",
        "Delete a merged branch with `git branch -D`.",
    )
    (first,) = add(library, a_lesson(old))
    (decision,) = library.apply([a_lesson(new, action=action)])
    assert decision.decision is DecisionKind.ADD
    again = library.apply([a_lesson(old), a_lesson(new)])
    assert [one.experience_id for one in again] == [first, decision.experience_id]


def test_no_two_that_contradict_each_other_are_ever_taken_for_one(library: Library) -> None:
    known = related("contradicts", "seen", "blind", "fresh")
    for one, other in known:
        lessons = [
            Lesson(
                zone=text.zone,
                level=text.level,
                title=text.title,
                when=text.when,
                lesson=text.lesson,
            )
            for text in (one, other)
        ]
        kept = {decision.experience_id for decision in library.apply(lessons)}
        assert len(kept) == 2


@pytest.mark.process
def test_the_labelled_rules_are_there_and_told_apart_as_well_as_we_say(
    shared: Path, tmp_path: Path
) -> None:
    flex, found = shared / "data" / "flex", tmp_path / "found.json"
    sources = sorted(flex.glob("*.json")), [shared / "data" / "retrieval" / "flex_rules"]
    command = [sys.executable, BENCHMARK, *(path for some in sources for path in some)]
    ran = subprocess.run([*command, "--json", found], check=True, capture_output=True, text=True)
    assert ran.stderr == ""  # none is left out
    results = json.loads(found.read_text(encoding="utf-8"))
    reached = {one["name"]: one["reached"] for one in results["goals"]}
    assert reached["labelled FLEX pairs from 0.6 on"] >= 200
    assert reached["true ones among them"] >= 60
    assert reached["static, held out, restated: precision"] >= 0.9
    assert reached["static, held out, restated: recall"] >= 0.45
    assert reached["static, discards that are right"] == 1
