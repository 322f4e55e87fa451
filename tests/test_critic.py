"""The critic: what a model is asked about trajectories, and which answers are lessons."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from support.examples import examples
from support.fakes import long_texts
from support.messages_api import lesson
from test_briefing import EVIL, PIECES, a_trajectory

from flex_mcp.errors import AnswerError
from flex_mcp.learning.critic import lessons, question
from flex_mcp.learning.llm import WINDOW
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import Lesson, Level, Outcome, RecordedTrajectory, Step, StepKind, Zone
from flex_mcp.models.briefs import Prompt
from flex_mcp.safety.quoting import visible
from flex_mcp.server import client_requests

IDS = ["t_aaaaaaaaaaaa", "t_bbbbbbbbbbbb"]
SUCCESS, FAILURE, PARTIAL, UNKNOWN = Outcome
LOOKS_AT = {"success", "failure", "contrast", "unknown"}


def asked(*trajectories: RecordedTrajectory, window: int = WINDOW) -> Prompt:
    return question(Prompts(), trajectories, window)


def text_of(prompt: Prompt) -> str:
    (message,) = prompt.messages
    assert message.role == "user"
    return message.text


def answer(*lessons: Any) -> str:
    return json.dumps({"lessons": lessons})


def refusal(text: str) -> str:
    with pytest.raises(AnswerError) as refused:
        lessons(text, IDS)
    return str(refused.value)


# The question


@pytest.mark.parametrize(
    ("outcomes", "attention"),
    [
        ([SUCCESS], "success"),
        ([SUCCESS, SUCCESS], "success"),
        ([FAILURE], "failure"),
        ([FAILURE, FAILURE], "failure"),
        ([FAILURE, SUCCESS], "contrast"),
        ([SUCCESS, FAILURE, UNKNOWN], "contrast"),
        ([PARTIAL], "contrast"),
        ([PARTIAL, FAILURE], "contrast"),
        ([UNKNOWN], "unknown"),
        ([UNKNOWN, SUCCESS], "success"),
        ([UNKNOWN, FAILURE], "failure"),
    ],
)
def test_the_question_looks_at_success_failure_or_both_as_the_work_ended(
    outcomes: list[Outcome], attention: str
) -> None:
    tried = [a_trajectory(n, outcome=outcome) for n, outcome in enumerate(outcomes)]
    system = asked(*tried).system
    said = {name for name in LOOKS_AT if Prompts().render(f"critic_{name}") in system}
    assert said == {attention}


def test_the_fixed_part_is_the_same_for_all_work_that_ended_alike() -> None:
    first = asked(a_trajectory(1, task="Build the wheel", transcript="x" * 50_000))
    second = asked(a_trajectory(2, task="Ship it"), a_trajectory(3, task="Ship it"))
    assert first.system == second.system
    assert (first.schema, first.shape) == (second.schema, second.shape)


def test_the_question_says_how_each_trajectory_ended_and_who_says_so() -> None:
    text = text_of(asked(a_trajectory(1, domain="python/packaging"), a_trajectory(2)))
    about = "failure · verified by tests"
    assert f"### t_000000000001 · {about} · python/packaging\n> Task: Task 1" in text
    assert f"### t_000000000002 · {about}\n> Task: Task 2" in text


def test_short_work_is_asked_about_whole() -> None:
    step = Step(kind=StepKind.ACTION, content="make\nmake test", name="shell")
    text = text_of(asked(a_trajectory(steps=(step,), answer="done", feedback="2 passed")))
    assert "> 1. action (shell): make\n> make test\n> Answer: done\n> Feedback: 2 passed" in text
    assert "shortened" not in text


@pytest.mark.parametrize("form", ["transcript", "steps"])
def test_work_longer_than_the_window_keeps_its_ends_its_errors_and_its_feedback(form: str) -> None:
    lines = [f"compiled file {number} of the project" for number in range(6_000)]
    lines[0], lines[-1] = "I begin with the build file", "I give up here"
    lines[3_000] = "linker.c:12: fatal error: flub.h: No such file"
    steps = tuple(Step(kind=StepKind.OBSERVATION, content=line) for line in lines)
    body: dict[str, object] = {"steps": steps}
    if form == "transcript":
        body = {"transcript": "\n".join(lines)}
    long = a_trajectory(1, task="Repair the flub", feedback="3 tests failed", **body)
    text = text_of(asked(long, a_trajectory(2), window=client_requests.WINDOW))
    for kept in (
        *("Repair the flub", "I begin with the build file", "fatal error: flub.h"),
        *("I give up here", "Feedback: 3 tests failed"),
    ):
        assert kept in text
    assert "### t_000000000001 · failure · verified by tests · shortened to fit\n" in text
    assert "### t_000000000002 · failure · verified by tests\n" in text


def texts(most: int) -> st.SearchStrategy[str]:
    return long_texts([*PIECES, "\n", "error: flub\n"], most)


def step_lists() -> st.SearchStrategy[tuple[Step, ...]]:
    """A few steps, once or again and again."""
    kinds, names = st.sampled_from(StepKind), st.none() | texts(60)
    step = st.builds(Step, kind=kinds, content=texts(5_000), name=names)

    def repeated(steps: list[Step], times: int) -> tuple[Step, ...]:
        return tuple(steps * times)

    return st.builds(repeated, st.lists(step, max_size=5), st.sampled_from([1, 1, 40]))


@st.composite
def groups(draw: st.DrawFn) -> list[RecordedTrajectory]:
    some = st.none() | texts(30_000)
    return [
        a_trajectory(
            number,
            task=draw(texts(20_000)),
            answer=draw(some),
            feedback=draw(some),
            outcome=draw(st.sampled_from(Outcome)),
            domain=draw(st.none() | st.just("python/" + "x" * 190)),
            **(
                {"steps": draw(step_lists())}
                if draw(st.booleans())
                else {"transcript": draw(st.none() | texts(200_000))}
            ),
        )
        for number in range(draw(st.integers(1, 5)))
    ]


WORST = [
    a_trajectory(n, task="\n" * 20_000, answer="\n" * 9_000, feedback="\n" * 9_000)
    for n in range(5)
]


@settings(max_examples=examples(30))
@given(group=groups(), window=st.sampled_from([client_requests.WINDOW, WINDOW]))
@example(group=WORST, window=client_requests.WINDOW)
def test_a_question_fits_its_window_and_says_what_is_shortened(
    group: list[RecordedTrajectory], window: int
) -> None:
    prompt = asked(*group, window=window)
    text = text_of(prompt)
    assert len(prompt.system) + len(text) <= window
    for one in group:
        (heading,) = [line for line in text.splitlines() if line.startswith(f"### {one.id}")]
        outside = [one.task, one.transcript, one.answer, one.feedback]
        outside += [step.content for step in one.steps or ()]
        quoted = ("\n> ".join(visible(f"{part}\n")[:-1].splitlines()) for part in outside if part)
        whole = all(part in text for part in quoted)
        assert whole or "shortened to fit" in heading


def test_no_text_leaves_its_quotation() -> None:
    step = Step(kind=StepKind.ACTION, content=EVIL, name=EVIL)
    evil: dict[str, object] = {"task": EVIL, "answer": EVIL, "feedback": EVIL, "domain": EVIL}
    prompt = asked(a_trajectory(1, **evil, steps=(step,)), a_trajectory(2, **evil, transcript=EVIL))
    assert "EVIL" not in prompt.system
    text = text_of(prompt)
    assert text.count("EVIL") > 60
    loose = [line for line in text.splitlines() if "EVIL" in line and not line.startswith("> ")]
    assert [line.startswith("### t_") for line in loose] == [True, True], "their domains"


def test_a_placeholder_in_a_text_is_no_placeholder() -> None:
    assert "> Task: $trajectories ${schema} $$" in text_of(
        asked(a_trajectory(task="$trajectories ${schema} $$"))
    )


# The answer


def test_a_good_answer_becomes_lessons() -> None:
    given = lesson(
        "Pin the compiler.",
        zone="warning",
        level="principle",
        when="A build differs",
        examples=["gcc 12"],
        domain="build/c",
        tags=["gcc"],
        trajectory_ids=IDS[:1],
    )
    assert lessons(answer(given, lesson("Soak the beans.")), IDS) == (
        Lesson(
            zone=Zone.WARNING,
            level=Level.PRINCIPLE,
            title="Pin the compiler.",
            when="A build differs",
            lesson="Pin the compiler.",
            examples=("gcc 12",),
            domain="build/c",
            tags=("gcc",),
            trajectory_ids=("t_aaaaaaaaaaaa",),
        ),
        Lesson(
            zone=Zone.GOLDEN,
            level=Level.PATTERN,
            title="Soak the beans.",
            when="",
            lesson="Soak the beans.",
            trajectory_ids=None,
        ),
    )


def test_an_empty_list_says_that_there_is_nothing_to_learn() -> None:
    assert lessons(answer(), IDS) == ()


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "\n {} \n"])
def test_a_fence_around_the_answer_is_taken_off(fence: str) -> None:
    (found,) = lessons(fence.replace("{}", answer(lesson())), IDS)
    assert found.lesson == lesson()["lesson"]


def test_what_is_wrong_with_an_answer_is_said_in_one_sentence_that_names_it() -> None:
    good = lesson()
    without_zone = {name: value for name, value in good.items() if name != "zone"}
    answers = {
        "nothing": "",
        "prose": "Here are the lessons: " + answer(good),
        "half": answer(good)[:-5],
        "a list": json.dumps([good]),
        "a text": '"lessons"',
        "deep": "[" * 100_000,
        "no lessons": "{}",
        "lessons are text": json.dumps({"lessons": "Pin the compiler."}),
        "a lesson is text": answer(good, "Pin the compiler."),
        "another field": json.dumps({"lessons": [], "confidence": 1}),
        "another field of a lesson": answer(good | {"confidence": 1}),
        "a field is missing": answer(good, without_zone),
        "zone": answer(good, good | {"zone": "grey"}),
        "level": answer(good | {"level": "rule"}),
        "title is long": answer(good, good | {"title": "x" * 121}),
        "title is blank": answer(good | {"title": " "}),
        "lesson is long": answer(good | {"lesson": "x" * 8_001}),
        "lesson is blank": answer(good | {"lesson": ""}),
        "examples are long": answer(good | {"examples": ["x" * 4_001]}),
        "examples are a number": answer(good | {"examples": 12}),
        "a stranger": answer(good, good | {"trajectory_ids": [IDS[0], "t_stranger"]}),
        "too many": answer(*[good] * 51),
        "no Unicode": answer(good | {"lesson": "\ud800"}),
    }
    assert {name: refusal(text) for name, text in answers.items()} == snapshot(
        {
            "nothing": "it is no JSON",
            "prose": "it is no JSON",
            "half": "it is no JSON",
            "a list": "it is no JSON object",
            "a text": "it is no JSON object",
            "deep": "it is no JSON",
            "no lessons": "lessons is missing: give it too",
            "lessons are text": "lessons cannot be 'Pin the compiler.'; it must be a list",
            "a lesson is text": "lessons[1] cannot be 'Pin the compiler.'; it must be an object",
            "another field": "there is no argument 'confidence'; it takes lessons",
            "another field of a lesson": "there is no argument 'lessons[0].confidence'; it takes zone, level, title, when, lesson, examples, domain, tags, trajectory_ids, project",
            "a field is missing": "lessons[1].zone is missing: give it too",
            "zone": "lessons[1].zone cannot be 'grey'; it is one of: golden, warning, mixed",
            "level": "lessons[0].level cannot be 'rule'; it is one of: principle, pattern, instance",
            "title is long": "lesson 1: title has 121 characters; the limit is 120: shorten it",
            "title is blank": "lesson 0: title is empty: say it in words",
            "lesson is long": "lesson 0: lesson has 8,001 characters; the limit is 8,000: shorten it",
            "lesson is blank": "lesson 0: lesson is empty: say it in words",
            "examples are long": "lesson 0: examples[0] has 4,001 characters; the limit is 4,000: shorten it",
            "examples are a number": "lessons[0].examples cannot be 12; it must be a list",
            "a stranger": "lesson 1 names 't_stranger' in trajectory_ids: it can be t_aaaaaaaaaaaa, t_bbbbbbbbbbbb",
            "too many": "lessons has 51 items; the limit is 50: send fewer",
            "no Unicode": "lesson 0: a text holds half of a surrogate pair: send valid Unicode",
        }
    )


def test_lessons_in_another_form_are_read_as_they_are_meant() -> None:
    sent = lesson(zone="Golden", examples="gcc 12")
    (found,) = lessons(json.dumps({"lessons": json.dumps(sent)}), IDS)
    assert (found.zone, found.examples, found.tags) == (Zone.GOLDEN, ("gcc 12",), ())


def test_fifty_lessons_are_not_too_many() -> None:
    assert len(lessons(answer(*[lesson()] * 50), IDS)) == 50


def test_the_schema_asks_for_every_field_of_a_lesson() -> None:
    prompt = asked(a_trajectory())
    asks = prompt.schema["properties"]["lessons"]["items"]
    assert {*asks["required"], "project"} == set(asks["properties"]) == set(lesson())
    assert json.dumps(prompt.schema, separators=(",", ":")) in prompt.shape
