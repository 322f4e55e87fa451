"""The learning loop as FLEX has it: attempt, verdict, second attempt, lessons, and so on.

The actor and the model are scripts; all between them is the product.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from support.distilling import Desk, groups, task_of
from support.fakes import FakeEmbedder, a_lesson, fake_library, record
from support.messages_api import (
    Json,
    critic_and_updater,
    decision,
    lesson,
    messages_api,
    question_of,
)

from flex_mcp import open_library
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.llm import AnthropicLLM
from flex_mcp.learning.prompts import Prompts
from flex_mcp.learning.updater import NEAREST
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Status, TrajectoryState

pytestmark = pytest.mark.process

ROUND = 10  # problems between two distillations
LESSON_LIMIT, EXAMPLES_LIMIT = 4_000, 8
TOPICS = [
    r"triangle|circle|trapezoid|hexagon|tetrahedron|cube|parabola",
    r"polynomial|function|equation|root",
    r"probability|cards|random|ways|arrays|permutations",
    r"integer|digit|divis|prime",
    r"\[N\+\]\(=O\)\[O-\]|S\(=O\)\(=O\)",
    r"C\(=O\)N|NC\(=O\)",
    r"C\(=O\)O|OC\(=O\)",
    r"Br|Cl|F",
]
OWN = [
    ("How many sides has a polygon whose angles add up to 1,440 degrees?", "10"),
    ("A triangle has the sides 5, 12 and 13. What is its area?", "30"),
    ("In a triangle two angles are 40 and 75 degrees. What is the third?", "65"),
    ("A circle has the area 49 pi. How long is its diameter?", "14"),
    ("What is the smallest integer that 4, 6 and 10 divide?", "60"),
    ("How many prime integers lie between 10 and 30?", "6"),
    ("What is the last digit of the integer 7 to the power of 2,026?", "9"),
    ("In how many ways can five friends sit in a row?", "120"),
    ("Two dice are thrown at random: how likely is the sum 7?", "1/6"),
    ("The polynomial x^2 - 5x + 6 has two roots. What is the larger one?", "3"),
    ("A function doubles its value whenever x grows by 1. f(0) is 3. What is f(4)?", "48"),
    ("What does a train of 90 km/h cover in 40 minutes?", "60 km"),
]


class Problem(NamedTuple):
    domain: str
    task: str
    answer: str


def of_flex(folder: Path, name: str, domain: str, ask: str) -> list[Problem]:
    lines = (folder / "data/flex/problems" / name).read_text(encoding="utf-8").splitlines()
    given = [json.loads(line) for line in lines]
    return [Problem(domain, ask.format(one["question"]), one["answer"]) for one in given]


# The actor


def work(library: Library, number: int, problem: Problem) -> Json:
    """It looks for lessons, errs, is corrected, and two times of three is right then."""
    found = library.search(problem.task)
    right = number % 3 != 0
    first, second = f"about {number + 1}", problem.answer if right else f"{number + 2} or so"
    steps = [
        ("thought", f"{len(found.hits)} notes may help."),
        ("message", f"My first answer is {first}, by the shortest way that I see."),
        ("feedback", f"That is wrong: {first} does not fit what is given."),
        ("message", f"Looking at every condition again I get {second}."),
        ("feedback", "That is right." if right else f"Wrong again; it is {problem.answer}."),
    ]
    return {
        "task": problem.task,
        "domain": problem.domain,
        "outcome": "success" if right else "failure",
        "verified_by": "ground_truth",
        "steps": [{"kind": kind, "content": content} for kind, content in steps],
        "answer": second,
        "retrieval_ids": [found.retrieval_id],
    }


# The model


class Seen(NamedTuple):
    """A lesson or an experience as the updater sees it."""

    heading: str  # a number, or an id
    level: str
    title: str
    when: str
    lesson: str
    examples: list[str]


def quotation(block: str) -> list[str]:
    return [line[2:] for line in block.splitlines() if line.startswith("> ")]


def seen(block: str) -> Seen:
    heading = re.match(r"#+ (?:Lesson (\d+) \(\w+ (\w+)\)|(e_\w+)): (.*)", block)
    assert heading, block
    lines = quotation(block)
    when = lines.pop(0).removeprefix("When: ") if lines[0].startswith("When: ") else ""
    examples = [line[2:] for line in lines if line.startswith("- ")]
    text = "\n".join(line for line in lines if not line.startswith("- "))
    return Seen(heading[1] or heading[3], heading[2], heading[4], when, text, examples)


def topic(text: str) -> str:
    return next((f"topic {n}" for n, words in enumerate(TOPICS) if re.search(words, text)), "rest")


def condensed(lines: Sequence[str]) -> str:
    """As many of the lines, the newest first, as may be."""
    kept: list[str] = []
    for line in reversed(dict.fromkeys(lines)):
        if sum(map(len, kept)) + len(kept) + len(line) <= LESSON_LIMIT:
            kept.append(line)
    return "\n".join(kept)


@dataclass
class Model:
    """A critic and an updater that follow rules; `given` are the critic's lessons by trajectory."""

    given: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    problems: list[str] = field(default_factory=list[str])  # with which it was asked again

    def critic(self, question: str) -> list[Json]:
        """At each level one lesson: of the domain, of the topic, and of the very case."""
        (block,) = re.split(r"^(?=### )", question, flags=re.MULTILINE)[1:]
        id_, outcome, _, domain = block.splitlines()[0].removeprefix("### ").split(" · ")
        lines, task = quotation(block), task_of(question)
        zone = "mixed" if outcome == "success" else "warning"
        about = {"zone": zone, "domain": domain, "trajectory_ids": [id_]}
        tried = [line.partition(": ")[2] for line in lines if re.match(r"\d\. (message|fe)", line)]
        self.given[id_] = [
            lesson(f"Check every condition of {domain} before you answer.", level="principle")
            | about,
            lesson(f"Begin with what is given: {task[:400]}", title=f"{topic(task)}: {id_}")
            | about
            | {"level": "pattern", "examples": tried[:2], "when": task[:200]},
            lesson(f"The shortest way misleads here: {tried[1]}", title=f"case of {id_}")
            | about
            | {"level": "instance", "examples": tried[-1:], "when": task[:200]},
        ]
        return self.given[id_]

    def updater(self, question: str) -> list[Json]:
        asked, *again = question.split("\n\nThat answer cannot be used: ")
        self.problems += again
        blocks = map(seen, re.split(r"^(?=###? [Le])", asked, flags=re.MULTILINE)[1:])
        sides: list[list[Seen]] = []
        for one in blocks:
            sides += [[one]] if one.level else []
            sides[-1] += [] if one.level else [one]
        return [self._decided(new, near, "".join(again)) for new, *near in sides]

    def _decided(self, new: Seen, near: Sequence[Seen], problem: str) -> Json:
        number = int(new.heading)
        if "changed since" in problem:
            return decision(number, reason="it stands beside")
        for one in near:
            if one.title == new.title:
                return decision(number, "discard", into=one.heading)
            if (
                new.level == "pattern"
                and one.title.partition(":")[0] == new.title.partition(":")[0]
            ):
                return self._merged(number, new, one, problem)
        if new.level == "instance" and len(self.given) % 7 == 0:
            return decision(number, "supersede", into=near[0].heading, reason="it was too narrow")
        return decision(number)

    def _merged(self, number: int, new: Seen, old: Seen, problem: str) -> Json:
        """Both texts as they are; condensed where that was refused."""
        lines = [*old.lesson.splitlines(), *new.lesson.splitlines()]
        text, examples = "\n".join(lines), list[str]()
        if problem:
            text = condensed(lines)
            examples = [*new.examples, *reversed(old.examples)][:EXAMPLES_LIMIT]
        about = {"title": new.title, "when": new.when, "lesson": text, "examples": examples}
        return decision(number, "merge", into=old.heading, **about)


# The loop


@dataclass
class Learnt:
    """What a loop did: `groups` are those of the answers of `flex-mcp distill`."""

    model: Model = field(default_factory=Model)
    ids: list[str] = field(default_factory=list[str])
    groups: list[Json] = field(default_factory=list[Json])

    @property
    def kinds(self) -> Counter[str]:
        return Counter(one["decision"] for group in self.groups for one in group["decisions"])


def learn(desk: Desk, problems: Sequence[Problem], *, jobs: int) -> Learnt:
    learnt = Learnt()
    with desk.asking(learnt.model.critic, learnt.model.updater) as api:
        for _, part in groupby(enumerate(problems), lambda one: one[0] // ROUND):
            with open_library(desk.path) as library:
                items = [work(library, *one) for one in part]
            recorded = desk.done("record", stdin=json.dumps(items))["recorded"]
            learnt.ids += [one["trajectory_id"] for one in recorded]
            learnt.groups += desk.done("distill", "--all", "--jobs", str(jobs))["groups"]
        assert sorted(groups(api)) == sorted([id_] for id_ in learnt.ids)
    return learnt


def check_nothing_is_lost(library: Library, learnt: Learnt) -> None:
    """Every lesson that the critic gave has a decision, and is where that says."""
    assert {group["trajectories"][0]["id"] for group in learnt.groups} == set(learnt.ids)
    for group in learnt.groups:
        (trajectory,) = group["trajectories"]
        given = learnt.model.given[trajectory["id"]]
        assert [one["index"] for one in group["decisions"]] == list(range(len(given)))
        for one, made in zip(given, group["decisions"], strict=True):
            (experience,) = library.get([made["experience_id"]])
            assert (experience.zone, experience.level) == (one["zone"], one["level"])
            assert trajectory["id"] in experience.evidence
            revisions = library.history(experience.id)
            assert trajectory["id"] in {revision.trajectory_id for revision in revisions}
            assert made["decision"] == "discard" or one["title"] in {
                revision.after.title for revision in revisions
            }
    assert learnt.kinds.total() == 3 * len(learnt.ids)


def check_the_library(library: Library, learnt: Learnt, problems: Sequence[Problem]) -> None:
    """It is sound, traceable, within its limits, and helps with what it has learnt from."""
    states = [one.state for one in library.trajectories(learnt.ids)]
    assert states == [TrajectoryState.DISTILLED] * len(problems)
    experiences = library.experiences()
    for one in experiences:
        assert one.evidence
        assert set(one.evidence) <= set(learnt.ids)
        assert len(one.lesson) <= LESSON_LIMIT
        assert len(one.examples) <= EXAMPLES_LIMIT
        assert one.origin.prompts
    retired = [one for one in experiences if one.status is not Status.ACTIVE]
    assert all(one.superseded_by for one in retired)
    assert (len(experiences), len(retired)) == (
        learnt.kinds["add"] + learnt.kinds["supersede"],
        learnt.kinds["supersede"],
    )
    assert all(library.search(one.task).hits for one in problems)


def test_a_dozen_problems_become_lessons_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, monkeypatch)
    problems = [Problem("math/school", *one) for one in OWN]
    learnt = learn(desk, problems, jobs=4)
    with open_library(desk.path) as library:
        check_nothing_is_lost(library, learnt)
        check_the_library(library, learnt, problems)


def test_both_flex_problem_sets_become_lessons_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    desk = Desk(tmp_path, monkeypatch)
    reactants = "Which reactants give {} in one step?"
    problems = of_flex(shared, "aime_train.jsonl", "math/aime", "{}")
    problems += of_flex(shared, "uspto50k_train.jsonl", "chemistry/retrosynthesis", reactants)
    assert len(problems) == 49 + 50
    learnt = learn(desk, problems, jobs=1)
    with open_library(desk.path) as library:
        check_nothing_is_lost(library, learnt)
        check_the_library(library, learnt, problems)
    assert set(learnt.kinds) == {"add", "merge", "discard", "supersede"}
    refusals = " ".join(learnt.model.problems)
    assert f"the limit of a merge is {LESSON_LIMIT:,}: condense both into one" in refusals
    assert f"the limit of a merge is {EXAMPLES_LIMIT}: send those of both that should" in refusals


# What it costs


def texts(count: int, number: int) -> list[str]:
    """Lessons of some forty words, of which each has many in common with many others."""
    words = [f"word{n}" for n in range(300)]
    chance = random.Random(number)
    return [" ".join(chance.choices(words, k=40)) for _ in range(count)]


def test_the_updaters_question_has_the_same_size_at_100_and_at_3000_experiences(
    tmp_path: Path,
) -> None:
    sizes: list[int] = []
    new = [lesson(text) for text in texts(5, 0)]
    with (
        messages_api(critic_and_updater(lambda _: new)) as api,
        fake_library(tmp_path, FakeEmbedder()) as library,
    ):
        llm = AnthropicLLM("a key", model="claude-haiku-5-5", base_url=api.url)
        distiller = Distiller(library, Prompts(), llm=llm)
        for count in (100, 3_000):
            have = library.statistics().experiences
            library.apply([a_lesson(one, action=Action.ADD) for one in texts(count - have, count)])
            assert library.statistics().experiences == count
            record(library, f"Task at {count}")
            distiller.distill(dry_run=True)
            shown = re.findall(r"^### e_", question_of(api.requests[-1]), re.MULTILINE)
            assert len(shown) == 5 * NEAREST
            sizes.append(len(json.dumps(api.requests[-1])))
    assert max(sizes) <= 1.2 * min(sizes), sizes
