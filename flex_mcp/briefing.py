"""Briefs: the question about some trajectories, as a model gets it; pure functions.

All text from outside is quoted: data, whatever it says. Nothing is cut in silence.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flex_mcp.arguments import SaveArguments, adapter, schema_of
from flex_mcp.models import TRAJECTORY_LIMIT, Experience, RecordedTrajectory, Step
from flex_mcp.prompting import render
from flex_mcp.quoting import one_line, quoted

BRIEF_LIMIT = 20_000  # characters of a brief, in each of its forms
ENVELOPE = 300  # what the answer of the tool adds to it
TRAJECTORIES = 5  # in one brief
NEIGHBOUR_LIMIT = 360  # characters of a neighbour's lesson
SHORTEST = 200  # characters that a text is never cut below
TROUBLE = re.compile(
    r"error|exception|traceback|fail|fatal|denied|not found|warning", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefTrajectory:
    """A trajectory as a brief shows it; `shortened` where its text was cut to fit."""

    id: str
    domain: str | None
    outcome: str
    verified_by: str
    task: str
    text: str
    shortened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An experience as a brief shows it."""

    id: str
    zone: str
    level: str
    title: str
    when: str
    lesson: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A brief: its parts for `structuredContent`, and `text`, the same as Markdown."""

    brief_id: str
    trajectories: tuple[BriefTrajectory, ...]
    neighbours: tuple[Neighbour, ...]
    instructions: str
    answer_schema: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """What a call of `distill` came to; no question where nothing is pending."""

    road: str
    question: Question | None
    remaining: int


def grouped(found: Sequence[RecordedTrajectory]) -> list[RecordedTrajectory]:
    """Those of the first one's task first: failures and successes of one task side by side."""
    return sorted(found, key=lambda one: one.task != found[0].task)


def fitted(
    brief_id: str, chosen: Sequence[RecordedTrajectory], neighbours: Sequence[Experience]
) -> Question:
    """The question, its trajectories cut just so far that both forms stay under the limit."""

    def ask(room: int) -> Question | None:
        question = asked(brief_id, chosen, neighbours, room)
        longest = max(len(question.text), len(as_json(question)))
        return question if longest <= BRIEF_LIMIT - ENVELOPE else None

    while (best := ask(SHORTEST)) is None:  # even the shortest is too long: less of it
        chosen = chosen[:-1] or chosen
        neighbours = neighbours[:-2]
    low, high = SHORTEST, BRIEF_LIMIT
    while high - low > SHORTEST // 2:
        room = (low + high) // 2
        if question := ask(room):
            best, low = question, room
        else:
            high = room
    return best


def as_json(question: Question) -> str:
    return adapter(Question).dump_json(question, exclude={"text"}).decode()


def asked(
    brief_id: str,
    chosen: Sequence[RecordedTrajectory],
    neighbours: Sequence[Experience],
    room: int,
) -> Question:
    trajectories = tuple(shown(one, room) for one in chosen)
    nearest = tuple(neighbour(one) for one in neighbours)
    instructions, answer_schema = render("lessons"), schema_of(SaveArguments)
    text = render(
        "brief",
        brief_id=brief_id,
        instructions=instructions,
        trajectories="\n\n".join(map(trajectory_text, trajectories)),
        neighbours="\n\n".join(map(neighbour_text, nearest)) or "None yet.",
        answer_schema=json.dumps(answer_schema, separators=(",", ":")),
    )
    return Question(
        brief_id=brief_id,
        trajectories=trajectories,
        neighbours=nearest,
        instructions=instructions,
        answer_schema=answer_schema,
        text=text,
    )


def shown(trajectory: RecordedTrajectory, room: int) -> BriefTrajectory:
    """A trajectory in about `room` characters: task, verdict and answer first, then the steps."""
    task = cut(trajectory.task, room // 4)
    ends = {"Answer": trajectory.answer, "Feedback": trajectory.feedback}
    short = [f"{name}: {cut(text, room // 5)}" for name, text in ends.items() if text]
    left = max(SHORTEST, room - len(task) - sum(map(len, short)))
    if trajectory.steps is not None:
        body = steps_text(trajectory.steps, left)
        whole = all_steps(trajectory.steps, TRAJECTORY_LIMIT)
    else:
        whole = trajectory.transcript or ""
        body = cut(whole, left)
    text = "\n".join(part for part in (body, *short) if part)
    uncut = [whole, *(f"{name}: {text}" for name, text in ends.items() if text)]
    return BriefTrajectory(
        id=trajectory.id,
        domain=trajectory.domain,
        outcome=str(trajectory.outcome),
        verified_by=str(trajectory.verified_by),
        task=task,
        text=text,
        shortened=(task, text) != (trajectory.task, "\n".join(part for part in uncut if part)),
    )


def all_steps(steps: Sequence[Step], most: int) -> str:
    return "\n".join(step_text(number, step, most) for number, step in enumerate(steps, start=1))


def steps_text(steps: Sequence[Step], room: int) -> str:
    """The steps, each cut; where that is not enough, first and last ones and those with trouble."""
    for most in (4_000, 2_000, 1_000, 600, 400, 250):
        lines = [step_text(number, step, most) for number, step in enumerate(steps, start=1)]
        if sum(map(len, lines)) + len(lines) <= room:
            return "\n".join(lines)
    telling = [
        line
        for number, (line, step) in enumerate(zip(lines, steps, strict=True))
        if number < 2 or number >= len(steps) - 3 or TROUBLE.search(step.content)  # noqa: PLR2004
    ]
    return cut("\n".join(telling), room)


def step_text(number: int, step: Step, most: int) -> str:
    name = f" ({step.name})" if step.name else ""
    return f"{number}. {step.kind}{name}: {cut(step.content, most)}"


def cut(text: str, most: int) -> str:
    """A text in about `most` characters: its beginning and its end, and how much is missing."""
    most = max(most, SHORTEST)
    if len(text) <= most:
        return text
    first = most // 2
    last = most // 4
    trouble = troubled(text[first:-last], most - first - last - 50)
    left_out = len(text) - first - last - len(trouble)
    return "".join((text[:first], f" […{left_out:,} characters left out…] ", trouble, text[-last:]))


def troubled(text: str, most: int) -> str:
    """The first lines of a text that tell of trouble, as many as fit."""
    kept = ""
    for line in text.splitlines():
        if TROUBLE.search(line) and len(kept) + len(line) + 3 <= most:
            kept += f"\n{line}\n…"
    return kept


def neighbour(experience: Experience) -> Neighbour:
    return Neighbour(
        id=experience.id,
        zone=str(experience.zone),
        level=str(experience.level),
        title=experience.title,
        when=cut(experience.when, SHORTEST),
        lesson=cut(experience.lesson, NEIGHBOUR_LIMIT),
    )


def trajectory_text(trajectory: BriefTrajectory) -> str:
    about = [trajectory.id, trajectory.outcome, f"verified by {trajectory.verified_by}"]
    about += [one_line(trajectory.domain)] if trajectory.domain else []
    about += ["shortened to fit"] if trajectory.shortened else []
    return quoted(f"### {' · '.join(about)}", f"Task: {trajectory.task}", trajectory.text)


def neighbour_text(one: Neighbour) -> str:
    return quoted(
        f"### {one.id} · {one.zone} {one.level} · {one_line(one.title)}",
        f"When: {one.when}",
        one.lesson,
    )
