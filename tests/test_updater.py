"""The updater: what lessons are compared with, and what an answer may decide."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from support.fakes import a_lesson, long_texts
from support.messages_api import Json, decision
from test_briefing import EVIL, PIECES, an_experience

from flex_mcp.errors import AnswerError
from flex_mcp.learning.llm import WINDOW
from flex_mcp.learning.prompts import Prompts
from flex_mcp.learning.updater import placement, question
from flex_mcp.models import Action, Experience, Lesson, Placement
from flex_mcp.models.briefs import Prompt, Shown
from flex_mcp.server import client_requests

NEAR = [[f"e_{n:012d}" for n in ids] for ids in ([0, 1], [], [1, 2])]  # of three lessons
LESSONS = [a_lesson(text) for text in ("Pin the compiler.", "Soak beans.", "Use UTC.")]
A, B, C = NEAR[0][0], NEAR[0][1], NEAR[2][1]


def asked(
    lessons: Sequence[Lesson], nearest: Sequence[Sequence[Experience]], window: int = WINDOW
) -> Prompt:
    prompt = question(Prompts(), lessons, nearest, window)
    assert prompt is not None
    return prompt


def text_of(prompt: Prompt) -> str:
    (message,) = prompt.messages
    assert message.role == "user"
    return message.text


def ids_of(prompt: Prompt, lesson: int) -> list[str]:
    return [one.id for one in prompt.shown if one.lesson == lesson]


# The question


def test_each_lesson_stands_with_its_nearest_and_one_without_is_not_asked_about() -> None:
    near = [[an_experience(0), an_experience(1)], [], [an_experience(1), an_experience(2)]]
    prompt = asked(LESSONS, near)
    headings = [line for line in text_of(prompt).splitlines() if line.startswith("##")]
    assert headings == [
        "## Lesson 0 (golden pattern): Pin the compiler.",
        *(f"### {A}: Title 0", f"### {B}: Title 1"),
        "## Lesson 2 (golden pattern): Use UTC.",
        *(f"### {B}: Title 1", f"### {C}: Title 2"),
    ]
    assert "Soak" not in text_of(prompt)
    assert [ids_of(prompt, number) for number in range(3)] == NEAR


def test_nothing_is_asked_where_there_is_nothing_to_compare_with() -> None:
    assert question(Prompts(), LESSONS, [[], [], []], WINDOW) is None
    assert question(Prompts(), [], [], WINDOW) is None


def test_an_experience_is_shown_whole_with_its_examples() -> None:
    near = an_experience(when="A build\ndiffers", lesson="x" * 5_900, examples=("gcc 12", "a\nb"))
    prompt = asked([a_lesson(when="At night", examples=("one", "two"))], [[near]])
    assert (
        "> When: At night\n> Pin the compiler version in the build image.\n> - one\n> - two"
        in text_of(prompt)
    )
    assert f"> When: A build\n> differs\n> {'x' * 5_900}\n> - gcc 12\n> - a\n> b\n" in text_of(
        prompt
    )
    assert "(shortened)" not in text_of(prompt)
    assert prompt.shown == (Shown(lesson=0, id=near.id, fingerprint=near.fingerprint, whole=True),)


def test_one_that_is_too_long_is_shown_by_its_beginning_and_end_and_marked() -> None:
    near = [an_experience(0, lesson=f"FIRST {'x' * 7_000} LAST"), an_experience(1)]
    prompt = asked([a_lesson()], [near])
    assert [one.whole for one in prompt.shown] == [False, True]
    long, short = text_of(prompt).split("### ")[1:]
    assert "FIRST" in long
    assert "LAST\n(shortened)" in long
    assert "characters left out" in long
    assert len(long) < 800
    assert "shortened" not in short.split("\n\nDecide")[0]


def test_examples_alone_can_make_one_too_long() -> None:
    prompt = asked([a_lesson()], [[an_experience(examples=("x" * 3_500, "y" * 3_500))]])
    assert not prompt.shown[0].whole
    assert "> Lesson 0\n(shortened)" in text_of(prompt)


def test_a_question_that_is_too_long_shows_fewer_and_then_shorter_ones() -> None:
    near = [[an_experience(n, lesson="x" * 2_000) for n in range(4)]] * 3
    lessons = [a_lesson(f"lesson {number}") for number in range(3)]
    seen: list[tuple[int, bool]] = []
    for window in range(40_000, 6_000, -1_000):
        prompt = asked(lessons, near, window)
        assert len(prompt.system) + len(text_of(prompt)) <= window
        first, *others = [ids_of(prompt, number) for number in range(3)]
        assert others == [first, first]
        assert first == [one.id for one in near[0]][: len(first)], "the nearest stay"
        seen.append((len(first), all(one.whole for one in prompt.shown)))
    assert list(dict.fromkeys(seen)) == [(4, True), (3, True), (2, True), (1, True), (1, False)]


def test_lessons_that_alone_are_too_long_are_asked_about_all_the_same() -> None:
    lessons = [a_lesson(f"{n} {'x' * 7_990}") for n in range(3)]
    prompt = asked(lessons, [[an_experience(n, lesson="x" * 2_000)] for n in range(3)], 10_000)
    assert [one.whole for one in prompt.shown] == [False] * 3
    assert all(lesson.lesson in text_of(prompt) for lesson in lessons)


def test_no_text_leaves_its_quotation() -> None:
    near = an_experience(title=EVIL, when=EVIL, lesson=EVIL, examples=(EVIL, EVIL))
    new = a_lesson(EVIL, title=EVIL, when=EVIL, examples=(EVIL,))
    prompt = asked([new], [[near, replace(near, lesson=EVIL * 300)]])
    assert "EVIL" not in prompt.system
    text = text_of(prompt)
    assert text.count("EVIL") > 60
    loose = [line for line in text.splitlines() if "EVIL" in line and not line.startswith("> ")]
    assert [line[:4] for line in loose] == ["## L", "### ", "### "], "their titles, in one line"


def texts(most: int) -> st.SearchStrategy[str]:
    return long_texts(PIECES, most)


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[list[Lesson], list[list[Experience]]]:
    count = draw(st.integers(1, 8))
    lessons = [
        a_lesson(draw(texts(1_000)), title=draw(texts(120)), when=draw(texts(300)))
        for _ in range(count)
    ]
    known = [
        an_experience(
            n,
            title=draw(texts(120)),
            when=draw(texts(2_000)),
            lesson=draw(texts(8_000)),
            examples=tuple(draw(st.lists(texts(4_000), max_size=3))),
        )
        for n in range(draw(st.integers(1, 6)))
    ]
    some = st.lists(st.sampled_from(known), unique_by=id, max_size=4)
    near = [draw(some) for _ in lessons]
    return lessons, near if any(near) else [known[:1], *near[1:]]


@given(comparison=comparisons(), window=st.sampled_from([client_requests.WINDOW, WINDOW]))
def test_a_question_fits_its_window_and_always_shows_the_nearest(
    comparison: tuple[list[Lesson], list[list[Experience]]], window: int
) -> None:
    lessons, nearest = comparison
    prompt = asked(lessons, nearest, window)
    assert len(prompt.system) + len(text_of(prompt)) <= window
    for number, near in enumerate(nearest):
        shown = ids_of(prompt, number)
        assert shown == [one.id for one in near][: len(shown)]
        assert bool(shown) == bool(near)
    assert text_of(prompt).count("\n(shortened)") == sum(not one.whole for one in prompt.shown)


# The answer

SHOWN = [
    Shown(lesson=number, id=id_, fingerprint=f"of {id_}", whole=id_ != C)
    for number, ids in enumerate(NEAR)
    for id_ in ids
]
MERGE: Json = {"title": "Both", "when": "Now", "lesson": "Both in one.", "examples": ["x"]}


def placed(*decisions: Any, lessons: Sequence[Lesson] = LESSONS) -> Placement:
    return placement(json.dumps({"decisions": decisions}), lessons, SHOWN)


def first(**values: Any) -> Lesson:
    """What a decision makes of the first lesson."""
    return placed(decision(0, **values), decision(2)).lessons[0]


def test_add_keeps_the_lesson_as_it_is() -> None:
    assert first(action="add", reason="new") == replace(LESSONS[0], action=Action.ADD, reason="new")
    unread = {"title": "another", "lesson": "another", "examples": ["another"]}
    assert first(action="add", **unread) == replace(LESSONS[0], action=Action.ADD)


def test_add_may_narrow_the_lesson_and_an_experience_that_stays() -> None:
    made = placed(
        decision(0, into=A, when="Only in CI", other_when="Only on a laptop"), decision(2)
    )
    assert made.lessons[0] == replace(LESSONS[0], action=Action.ADD, when="Only in CI")
    assert made.narrowed == {A: "Only on a laptop"}


def test_merge_carries_the_whole_new_text() -> None:
    assert first(action="merge", into=A, reason="one thing", **MERGE) == replace(
        LESSONS[0],
        action=Action.MERGE,
        into=A,
        reason="one thing",
        title="Both",
        when="Now",
        lesson="Both in one.",
        examples=("x",),
    )


def test_merge_without_examples_keeps_those_of_the_lesson() -> None:
    lessons = [replace(LESSONS[0], examples=("mine",)), *LESSONS[1:]]
    merge = decision(0, "merge", into=A, title="Both", when="Now", lesson="Both in one.")
    assert placed(merge, decision(2), lessons=lessons).lessons[0].examples == ("mine",)


@pytest.mark.parametrize("action", [Action.DISCARD, Action.SUPERSEDE])
def test_discard_and_supersede_name_an_experience_and_keep_the_text(action: Action) -> None:
    assert first(action=action, into=B, reason="why", title="ignored", when="ignored") == replace(
        LESSONS[0], action=action, into=B, reason="why"
    )


def test_a_lesson_that_nothing_is_near_to_is_added() -> None:
    assert placed(decision(0), decision(2)).lessons[1] == replace(LESSONS[1], action=Action.ADD)


def test_the_order_of_the_decisions_does_not_matter() -> None:
    both = decision(0, "discard", into=A), decision(2, "discard", into=B)
    assert placed(*both) == placed(*reversed(both))


def test_a_placement_says_what_was_seen() -> None:
    made = placed(decision(0), decision(2))
    assert made.seen == {id_: f"of {id_}" for id_ in (A, B, C)}
    assert made.narrowed == {}


def test_what_is_wrong_with_a_decision_is_said_in_one_sentence_that_names_it() -> None:
    two = decision(2)
    merge = decision(0, "merge", into=A, **MERGE)
    answers: dict[str, Any] = {
        "no JSON": "I decide to add them all.",
        "no object": [decision(0), two],
        "no decisions": {},
        "another field": {"decisions": [decision(0, sure=True), two]},
        "unknown action": {"decisions": [decision(0, "keep"), two]},
        "none": {"decisions": []},
        "one is missing": {"decisions": [two]},
        "one twice": {"decisions": [decision(0), decision(0), two]},
        "one nobody asked about": {"decisions": [decision(0), decision(1), two]},
        "one that is not there": {"decisions": [decision(0), two, decision(3)]},
        "an unknown experience": {"decisions": [decision(0, "discard", into="e_no"), two]},
        "that of another lesson": {"decisions": [decision(0, "discard", into=C), two]},
        **{
            f"{action} into nothing": {"decisions": [decision(0, action, reason="why"), two]}
            for action in ("merge", "discard", "supersede")
        },
        "merge without a title": {"decisions": [merge | {"title": " "}, two]},
        "merge without a lesson": {"decisions": [merge | {"lesson": ""}, two]},
        "merge into what was cut": {
            "decisions": [decision(0), decision(2, "merge", into=C, **MERGE)]
        },
        "supersede without a reason": {
            "decisions": [decision(0, "supersede", into=A, reason=" "), two]
        },
        "add with into alone": {"decisions": [decision(0, into=A), two]},
        "add with other_when alone": {"decisions": [decision(0, other_when="At night"), two]},
        "merge of 8,001 characters": {"decisions": [merge | {"lesson": "x" * 8_001}, two]},
        "merge with a long title": {"decisions": [merge | {"title": "x" * 121}, two]},
        "a long reason": {"decisions": [decision(0, reason="x" * 2_001), two]},
        "a long when": {"decisions": [decision(0, when="x" * 2_001), two]},
    }
    said: dict[str, str] = {}
    for name, text in answers.items():
        with pytest.raises(AnswerError) as refused:
            placement(text if isinstance(text, str) else json.dumps(text), LESSONS, SHOWN)
        said[name] = str(refused.value)
    assert said == snapshot(
        {
            "no JSON": "it is no JSON",
            "no object": "it is no JSON object",
            "no decisions": "decisions is missing: give it too",
            "another field": "there is no argument 'decisions[0].sure'; it takes number, action, into, reason, title, when, lesson, examples, other_when",
            "unknown action": "decisions[0].action cannot be 'keep'; it is one of: add, merge, discard, supersede",
            "none": "it decides on the lessons none; it must decide once on each of 0, 2",
            "one is missing": "it decides on the lessons 2; it must decide once on each of 0, 2",
            "one twice": "it decides on the lessons 0, 0, 2; it must decide once on each of 0, 2",
            "one nobody asked about": "it decides on the lessons 0, 1, 2; it must decide once on each of 0, 2",
            "one that is not there": "it decides on the lessons 0, 2, 3; it must decide once on each of 0, 2",
            "an unknown experience": "decision on lesson 0: into is 'e_no'; it can be e_000000000000, e_000000000001",
            "that of another lesson": "decision on lesson 0: into is 'e_000000000002'; it can be e_000000000000, e_000000000001",
            "merge into nothing": "decision on lesson 0: merge needs into, one of e_000000000000, e_000000000001",
            "discard into nothing": "decision on lesson 0: discard needs into, one of e_000000000000, e_000000000001",
            "supersede into nothing": "decision on lesson 0: supersede needs into, one of e_000000000000, e_000000000001",
            "merge without a title": "decision on lesson 0: merge needs the whole new text: title, when, lesson",
            "merge without a lesson": "decision on lesson 0: merge needs the whole new text: title, when, lesson",
            "merge into what was cut": "decision on lesson 2: e_000000000002 was shown shortened and cannot be merged into: add or discard",
            "supersede without a reason": "decision on lesson 0: supersede needs reason: why the new lesson takes the old one's place",
            "add with into alone": "decision on lesson 0: add takes into and other_when together, the experience and its narrower `when`",
            "add with other_when alone": "decision on lesson 0: add takes into and other_when together, the experience and its narrower `when`",
            "merge of 8,001 characters": "decision on lesson 0: lesson has 8,001 characters; the limit is 8,000: shorten it",
            "merge with a long title": "decision on lesson 0: title has 121 characters; the limit is 120: shorten it",
            "a long reason": "decision on lesson 0: reason has 2,001 characters; the limit is 2,000: shorten it",
            "a long when": "decision on lesson 0: when has 2,001 characters; the limit is 2,000: shorten it",
        }
    )


SAYS = {"action": "merge", "into": B, **MERGE}
NARROWS = {"into": B, "other_when": "At night"}
GOES = {"action": "supersede", "into": B, "reason": "why"}


@pytest.mark.parametrize("second", [SAYS, NARROWS, GOES], ids=["merge", "narrow", "supersede"])
@pytest.mark.parametrize("first", [SAYS, NARROWS, GOES], ids=["merge", "narrow", "supersede"])
def test_two_decisions_cannot_both_change_one_experience(first: Json, second: Json) -> None:
    with pytest.raises(AnswerError, match=f"2 decisions change {B}: let one of them say all"):
        placed(decision(0) | first, decision(2) | second)


def test_a_lesson_is_not_discarded_into_what_another_one_supersedes() -> None:
    same = decision(2, "discard", into=B)
    with pytest.raises(AnswerError, match=f"lesson 2 is discarded into {B}, which is superseded"):
        placed(decision(0) | GOES, same)


@pytest.mark.parametrize("change", [SAYS, NARROWS], ids=["merge", "narrow"])
def test_a_lesson_may_be_discarded_into_what_another_one_changes(change: Json) -> None:
    made = placed(decision(0) | change, decision(2, "discard", into=B))
    assert made.lessons[2].into == B


def test_a_narrower_when_keeps_the_limit_of_a_when() -> None:
    with pytest.raises(AnswerError, match=r"other_when has 2,001 characters; the limit is 2,000"):
        placed(decision(0, into=A, other_when="x" * 2_001), decision(2))


def test_a_merge_does_not_forget_when_the_lesson_applies() -> None:
    lessons = [replace(LESSONS[0], when="At night"), *LESSONS[1:]]
    merge = decision(0, "merge", into=A, **MERGE | {"when": ""})
    with pytest.raises(AnswerError, match="merge needs the whole new text: title, when, lesson"):
        placed(merge, decision(2), lessons=lessons)


def test_a_merge_between_4000_and_8000_characters_is_left_to_the_library() -> None:
    merged = first(action="merge", into=A, **MERGE | {"lesson": "x" * 8_000})
    assert len(merged.lesson) == 8_000


# Any answer

ids = st.sampled_from(["", A, B, C, "e_no"])
words = st.sampled_from(["", " ", "Now", "x" * 2_001])
verdicts = st.fixed_dictionaries(
    {"number": st.integers(-1, 3), "action": st.sampled_from(Action), "into": ids, "reason": words}
    | dict.fromkeys(("title", "when", "lesson", "other_when"), words)
)
fitting = st.sampled_from(
    [
        *(decision(0, "merge", into=id_, **MERGE) for id_ in (A, B)),
        *(decision(0, action, into=id_, reason="why") for action in Action for id_ in (A, B)),
        decision(0, into=A, other_when="At night"),
        decision(0),
    ]
)


pairs = st.tuples(fitting, (fitting | verdicts).map(lambda one: one | {"number": 2}))


@given(decisions=st.lists(verdicts, max_size=4) | pairs)
def test_no_lesson_is_ever_lost(decisions: Sequence[Json]) -> None:
    """An answer is refused, or every lesson has its place and only its words may be new."""
    try:
        made = placed(*decisions)
    except AnswerError:
        return
    assert len(made.lessons) == len(LESSONS)
    assert made.lessons[1] == replace(LESSONS[1], action=Action.ADD)
    for one, new, near in zip(LESSONS, made.lessons, NEAR, strict=True):
        assert new.action is not None
        assert (new.into in near) == (new.action is not Action.ADD)
        for name in ("zone", "level", "domain", "tags", "trajectory_ids"):
            assert getattr(new, name) == getattr(one, name)
        if new.action is not Action.MERGE:
            assert (new.title, new.lesson) == (one.title, one.lesson)
    assert made.narrowed.keys() <= made.seen.keys()
