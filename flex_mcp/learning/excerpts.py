"""How trajectories and experiences are shown to a model: quoted, and cut to fit; pure functions.

All text from outside is quoted: data, whatever it says. Nothing is cut in silence: what a long
trajectory keeps is its beginning, its end, the verdict, and the lines that tell of trouble.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from flex_mcp.models import TRAJECTORY_LIMIT, Experience, RecordedTrajectory, Step
from flex_mcp.safety.quoting import facts, one_line, quoted, quoted_lesson

T = TypeVar("T")

DOMAINS = 300  # characters of the domains that a question names
NEIGHBOUR_LIMIT = 360  # characters of a neighbour's lesson
STEP_LENGTHS = (4_000, 2_000, 1_000, 600, 400, 250)  # characters of a step, as many as fit
SHORTEST = 200  # characters that a text is never cut below
TROUBLE = re.compile(
    r"error|exception|traceback|fail|fatal|denied|not found|warning", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefTrajectory:
    """A trajectory as a brief shows it; `shortened` where its text was cut to fit."""

    id: str
    domain: str | None
    project: str | None
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


def roomiest(make: Callable[[int], T | None], best: T, most: int) -> T:
    """What `make` gives for the largest room, in characters, for which it gives anything.

    `best` is what it gives for the smallest.
    """
    low, high = SHORTEST, most
    while high - low > SHORTEST // 2:
        room = (low + high) // 2
        if (made := make(room)) is not None:
            best, low = made, room
        else:
            high = room
    return best


def fitting_domains(domains: Sequence[str]) -> list[str]:
    """The first of the domains, as many as a question names."""
    ends = accumulate(len(domain) + 2 for domain in domains)
    return [domain for domain, end in zip(domains, ends, strict=True) if end <= DOMAINS]


def domains_text(domains: Sequence[str]) -> str:
    """The domains that a lesson may take, one of which mostly fits."""
    listed = ", ".join(map(one_line, fitting_domains(domains)))
    return quoted("Domains of the library, the most used first:", listed or "none yet")


def shown(trajectory: RecordedTrajectory, room: int) -> BriefTrajectory:
    """A trajectory in about `room` characters: task, verdict and answer first, then the steps."""
    task = cut(trajectory.task, room // 4)
    ends = _ends(trajectory, room // 5)
    left = max(SHORTEST, room - len(task) - sum(map(len, ends)))
    body = steps_text(trajectory.steps or (), left) or cut(trajectory.transcript or "", left)
    text = "\n".join(filter(None, (body, *ends)))
    return BriefTrajectory(
        id=trajectory.id,
        domain=trajectory.domain,
        project=trajectory.project,
        outcome=str(trajectory.outcome),
        verified_by=str(trajectory.verified_by),
        task=task,
        text=text,
        shortened=(task, text) != (trajectory.task, whole_text(trajectory)),
    )


def whole_text(trajectory: RecordedTrajectory) -> str:
    """All that was done, the answer and the verdict."""
    steps = _step_lines(trajectory.steps or (), TRAJECTORY_LIMIT)
    body = "\n".join(steps) or trajectory.transcript
    return "\n".join(filter(None, (body, *_ends(trajectory, TRAJECTORY_LIMIT))))


def _ends(trajectory: RecordedTrajectory, most: int) -> list[str]:
    ends = {"Answer": trajectory.answer, "Feedback": trajectory.feedback}
    return [f"{name}: {cut(text, most)}" for name, text in ends.items() if text]


def _step_lines(steps: Sequence[Step], most: int) -> list[str]:
    names = [f" ({step.name})" if step.name else "" for step in steps]
    return [
        f"{number}. {step.kind}{name}: {cut(step.content, most)}"
        for number, (step, name) in enumerate(zip(steps, names, strict=True), start=1)
    ]


def steps_text(steps: Sequence[Step], room: int) -> str:
    """The steps, each cut; where that is not enough, first and last ones and those with trouble."""
    for most in STEP_LENGTHS:
        if sum(min(len(step.content), most * 3 // 4) for step in steps) > room:
            continue  # what `cut` keeps at least is too much already
        lines = _step_lines(steps, most)
        if sum(map(len, lines)) + len(lines) <= room:
            return "\n".join(lines)
    lines = _step_lines(steps, STEP_LENGTHS[-1])
    telling = [
        line
        for number, (line, step) in enumerate(zip(lines, steps, strict=True))
        if number < 2 or number >= len(steps) - 3 or TROUBLE.search(step.content)
    ]
    return cut("\n".join(telling), room)


def cut(text: str, most: int) -> str:
    """A text in about `most` characters: its beginning and its end, and how much is missing."""
    most = max(most, SHORTEST)
    if len(text) <= most:
        return text
    first, last = most // 2, most // 4
    trouble = _troubled(text[first:-last], most - first - last - 50)
    left_out = len(text) - first - last - len(trouble)
    return "".join((text[:first], f" […{left_out:,} characters left out…] ", trouble, text[-last:]))


def _troubled(text: str, most: int) -> str:
    """The first lines of a text that tell of trouble, as many as fit."""
    kept = ""
    for line in text.splitlines():
        if len(kept) + len(line) + 3 <= most and TROUBLE.search(line):
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
    about = facts(
        trajectory.id,
        trajectory.outcome,
        f"verified by {trajectory.verified_by}",
        trajectory.domain,
        f"project {trajectory.project}" if trajectory.project else "",
        "shortened to fit" if trajectory.shortened else "",
    )
    return quoted(f"### {about}", f"Task: {trajectory.task}", trajectory.text)


def neighbour_text(one: Neighbour) -> str:
    heading = f"### {facts(one.id, f'{one.zone} {one.level}', one.title)}"
    return quoted_lesson(heading, when=one.when, lesson=one.lesson)
