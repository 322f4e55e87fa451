"""Briefs: small enough, honest about what they leave out, and nothing in them but data."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.fakes import long_texts

from flex_mcp.learning.briefing import BRIEF_LIMIT, Distillation, fitted, versions
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.prompts import Prompts
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Experience,
    Lesson,
    Level,
    Origin,
    Outcome,
    RecordedTrajectory,
    Road,
    Step,
    StepKind,
    Trajectory,
    TrajectoryState,
    VerifiedBy,
    Wanted,
    Zone,
)
from flex_mcp.safety.quoting import visible
from flex_mcp.tools.answers import Answer, distill_answer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PIECES = [
    "plain words ",
    "line\n",
    '"quoted" \\ ',
    "ß漢🦜",
    "\x00\x07\x1b",
    "# Heading\r\n",
    "> q\n",
]
EVIL = "fine\n# EVIL\r## EVIL\u2028EVIL\x0bEVIL\x85EVIL\n> EVIL\n```\nEVIL\n</data>EVIL"


def a_trajectory(number: int = 0, **values: object) -> RecordedTrajectory:
    fields: dict[str, object] = {
        "id": f"t_{number:012d}",
        "key": f"key:{number}",
        "task": f"Task {number}",
        "outcome": Outcome.FAILURE,
        "verified_by": VerifiedBy.TESTS,
        "state": TrajectoryState.PENDING,
        "recorded_at": NOW,
    }
    return RecordedTrajectory(**(fields | values))  # pyright: ignore[reportArgumentType]  a test's own values


def an_experience(number: int = 0, **values: object) -> Experience:
    fields: dict[str, object] = {
        "id": f"e_{number:012d}",
        "zone": Zone.WARNING,
        "level": Level.PRINCIPLE,
        "title": f"Title {number}",
        "when": "",
        "lesson": f"Lesson {number}",
        "origin": Origin(kind="distilled", by="a test"),
        "revision": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Experience(**(fields | values))  # pyright: ignore[reportArgumentType]  a test's own values


def texts(most: int) -> st.SearchStrategy[str]:
    return long_texts(PIECES, most)


def step_lists() -> st.SearchStrategy[tuple[Step, ...]]:
    step = st.builds(
        Step,
        kind=st.sampled_from(StepKind),
        content=texts(30_000),
        name=st.none() | texts(60),
    )

    def repeated(steps: list[Step], times: int) -> tuple[Step, ...]:
        return tuple(steps * times)

    return st.builds(repeated, st.lists(step, max_size=6), st.sampled_from([1, 1, 40]))


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[RecordedTrajectory], list[Experience]]:
    some = st.none() | texts(20_000)
    trajectories = [
        a_trajectory(
            number,
            task=draw(texts(20_000)),
            answer=draw(some),
            feedback=draw(some),
            domain=draw(st.none() | st.just("python/" + "x" * 190)),
            **(
                {"steps": draw(step_lists())}
                if draw(st.booleans())
                else {"transcript": draw(st.none() | texts(100_000))}
            ),
        )
        for number in range(draw(st.integers(1, 5)))
    ]
    neighbours = [
        an_experience(n, title=draw(texts(120)), when=draw(texts(2_000)), lesson=draw(texts(8_000)))
        for n in range(draw(st.integers(0, 8)))
    ]
    return trajectories, neighbours


@pytest.mark.parametrize("outcome", Outcome)
def test_a_brief_about_one_small_piece_of_work_is_short(outcome: Outcome) -> None:
    work = a_trajectory(outcome=outcome, task="t" * 150, transcript="w" * 300, feedback="f" * 150)
    question = fitted(Prompts(), "b_aaaaaaaaaaaa", [work], [], ["python/packaging", "math"])
    made = Distillation(
        road=Road.ASSISTANT,
        brief_id=question.brief_id,
        question=question,
        trajectories=question.trajectories,
        prompts=versions(Prompts()),
    )
    answer = distill_answer(made)
    assert len(answer.text) <= 3_000
    assert len(json.dumps(answer.content, ensure_ascii=False)) <= 3_000
    assert question.domains == ("python/packaging", "math")
    assert "> python/packaging, math" in question.text


def brief(chosen: Sequence[RecordedTrajectory], neighbours: Sequence[Experience] = ()) -> Answer:
    """The answer of distill about them, with more left than it could take."""
    question = fitted(Prompts(), "b_abc", chosen, neighbours)
    return distill_answer(
        Distillation(
            road=Road.ASSISTANT,
            brief_id=question.brief_id,
            question=question,
            trajectories=question.trajectories,
            prompts=versions(Prompts()),
            remaining=12_345,
        )
    )


def as_json(answer: Answer) -> str:
    """As it goes over the wire."""
    return json.dumps(answer.content, ensure_ascii=False, separators=(",", ":"))


@given(question=questions())
@settings(max_examples=examples(40))
def test_a_brief_keeps_its_limit_in_both_forms(
    question: tuple[list[RecordedTrajectory], list[Experience]],
) -> None:
    answer = brief(*question)
    assert len(answer.text) <= BRIEF_LIMIT
    assert len(as_json(answer)) <= BRIEF_LIMIT
    assert answer.content["trajectories"]


def test_letters_that_nobody_sees_count_as_long_as_they_are_shown() -> None:
    hidden = Step(kind=StepKind.THOUGHT, content='"""""\x00\x07\x1b' * 260)
    plain = {"transcript": "plain words " * 280, "feedback": "plain words " * 330}
    answer = brief([a_trajectory(0, steps=(hidden,)), a_trajectory(1, **plain)])
    assert "[U+0000][U+0007][U+001B]" in answer.content["trajectories"][0]["text"]
    assert len(answer.text) <= BRIEF_LIMIT
    assert len(as_json(answer)) <= BRIEF_LIMIT


@given(question=questions())
@settings(max_examples=examples(40))
def test_a_brief_says_of_each_trajectory_whether_it_was_shortened(
    question: tuple[list[RecordedTrajectory], list[Experience]],
) -> None:
    answer = brief(*question)
    whole = {one.id: one for one in question[0]}
    for shown in answer.content["trajectories"]:
        one, said = whole[shown["id"]], shown["task"] + shown["text"]
        steps = one.steps or ()
        texts = [one.task, one.transcript, one.answer, one.feedback, *(s.content for s in steps)]
        complete = all(visible(f"{text}\n")[:-1] in said for text in texts if text) and shown[
            "text"
        ].count(". ") >= len(steps)
        assert shown["shortened"] or complete
        heading = next(line for line in answer.text.splitlines() if f"### {one.id}" in line)
        assert ("shortened to fit" in heading) == shown["shortened"]


def test_short_work_is_shown_whole() -> None:
    step = Step(kind=StepKind.ACTION, content="make\nmake test", name="shell")
    one = a_trajectory(steps=(step,), answer="done", feedback="2 passed")
    answer = brief([one])
    assert answer.content["trajectories"][0] | {"text": ""} == {
        "id": one.id,
        "outcome": "failure",
        "verified_by": "tests",
        "task": "Task 0",
        "text": "",
        "shortened": False,
    }
    assert "> 1. action (shell): make\n> make test\n> Answer: done" in answer.text
    assert "12345 more are pending" in answer.text


def test_long_work_keeps_its_task_its_feedback_and_where_it_went_wrong() -> None:
    dull = Step(kind=StepKind.OBSERVATION, content="compiling a file " * 40)
    steps = [dull] * 300
    steps[0] = Step(kind=StepKind.THOUGHT, content="I begin with the build file")
    steps[150] = Step(kind=StepKind.OBSERVATION, content="ModuleNotFoundError: no module flub")
    steps[299] = Step(kind=StepKind.MESSAGE, content="I give up here")
    one = a_trajectory(task="Repair the flub", steps=tuple(steps), feedback="3 tests failed")
    answer = brief([one, *(a_trajectory(n, transcript="x" * 50_000) for n in range(1, 5))])
    for kept in (
        *("Repair the flub", "3 tests failed", "I begin with the build file"),
        *("151. observation: ModuleNotFoundError: no module flub", "300. message: I give up here"),
    ):
        assert kept in answer.text
        assert kept in answer.content["trajectories"][0]["task"] + "".join(
            answer.content["trajectories"][0]["text"]
        )


@pytest.mark.parametrize(
    "long",
    [
        pytest.param({"transcript": True}, id="a transcript"),
        pytest.param({"transcript": False}, id="one long step"),
    ],
)
def test_an_error_in_the_middle_of_a_long_output_is_kept(long: dict[str, bool]) -> None:
    lines = [f"compiled file {number} of the project" for number in range(4_000)]
    lines[2_000] = "linker.c:12: fatal error: flub.h: No such file"
    text = "\n".join(lines)
    body: dict[str, object] = {"transcript": text}
    if not long["transcript"]:
        body = {"steps": (Step(kind=StepKind.OBSERVATION, content=text),)}
    answer = brief([a_trajectory(0, **body)])
    assert "fatal error: flub.h" in answer.text


def test_steps_that_are_left_out_are_said_to_be_though_others_say_the_same() -> None:
    steps = tuple(Step(kind=StepKind.OBSERVATION, content="ok") for _ in range(5_000))
    answer = brief([a_trajectory(steps=steps)])
    assert answer.content["trajectories"][0]["shortened"]


def test_no_text_leaves_its_quotation() -> None:
    step = Step(kind=StepKind.ACTION, content=EVIL, name=EVIL)
    one = a_trajectory(task=EVIL, steps=(step,), answer=EVIL, feedback=EVIL)
    other = a_trajectory(1, task=EVIL, transcript=EVIL)
    nearest = an_experience(title=EVIL, when=EVIL, lesson=EVIL)
    text = brief([one, other], [nearest]).text
    assert text.count("EVIL") > 60
    loose = [line for line in text.splitlines() if "EVIL" in line and not line.startswith("> ")]
    assert loose == [line for line in loose if line.startswith(f"### {nearest.id}")]


def test_those_of_one_task_stand_side_by_side(library: Library) -> None:
    tasks = ["build", "deploy", "build", "test", "build", "ship"]
    ids = [library.record(a_try(task, n)).trajectory_id for n, task in enumerate(tasks)]
    for wanted in (Wanted(), Wanted(ids=ids)):
        found = library.briefs.claimable(wanted)
        assert [one.task for one in found] == ["build"] * 3 + ["deploy", "test"]
        assert [one.id for one in found][:3] == [ids[0], ids[2], ids[4]]
    assert [one.task for one in library.briefs.claimable(Wanted(alike=True))] == ["build"] * 3


def a_try(task: str, number: int) -> Trajectory:
    return Trajectory(task=task, outcome=Outcome.FAILURE, answer=str(number))


def test_a_brief_is_about_five_at_most_and_counts_the_rest(library: Library) -> None:
    for number in range(4):
        other = Trajectory(task=f"Another task {number}", outcome=Outcome.SUCCESS)
        same = Trajectory(task="The task", outcome=Outcome.FAILURE, answer=f"try {number}")
        library.record(same)
        library.record(other)
    first = Distiller(library, Prompts()).distill()
    assert first.question is not None
    assert [one.task for one in first.question.trajectories] == [
        *["The task"] * 4,
        "Another task 0",
    ]
    assert first.remaining == 3
    second = Distiller(library, Prompts()).distill(Wanted(limit=2))
    assert second.question is not None
    assert len(second.question.trajectories) == 2
    assert second.remaining == 1


def test_a_brief_shows_the_experiences_that_are_nearest(library: Library) -> None:
    about = [
        "Pin the compiler version in the build image before a release.",
        "Soak the beans overnight so that they cook evenly.",
    ]
    library.apply(
        [
            Lesson(zone=Zone.GOLDEN, level=Level.PATTERN, title=text[:40], when="", lesson=text)
            for text in about
        ]
    )
    library.record(
        Trajectory(task="Which compiler version built the image?", outcome=Outcome.FAILURE)
    )
    question = Distiller(library, Prompts()).distill().question
    assert question is not None
    assert question.neighbours[0].lesson == about[0]


def test_nothing_pending_is_said_in_both_forms(library: Library) -> None:
    answer = distill_answer(Distiller(library, Prompts()).distill())
    assert "brief_id" not in answer.content
    assert (answer.content["trajectories"], answer.content["remaining"]) == ([], 0)
    assert answer.text == "No trajectory waits to be distilled: record_trajectory stores one."
