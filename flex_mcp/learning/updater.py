"""The updater: where lessons go beside what the library has, as a model decides it (FLEX §3).

Pure functions. It sees the nearest experiences of each lesson's zone and level, never the whole
library, so its question has the same size at a hundred experiences and at a million.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flex_mcp.errors import AnswerError, InputError
from flex_mcp.learning.excerpts import cut
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import Action, Experience, Lesson, Placement, Strict, When
from flex_mcp.models.briefs import Message, Prompt, Shown
from flex_mcp.safety.quoting import one_line, quoted, quoted_lesson
from flex_mcp.validation import checked, parsed, schema_of

NEAREST = 4  # experiences shown beside a lesson
WHOLE = 6_000  # characters up to which an experience is shown whole, examples included
CUT = 1_000  # characters of one that is longer: enough to know it, not to merge into it


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredDecision(Strict):
    """What becomes of lesson `number`."""

    number: int
    action: Action
    into: str
    reason: str
    title: str = ""
    when: str = ""
    lesson: str = ""
    examples: tuple[str, ...] = ()
    other_when: When = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdaterAnswer(Strict):
    """What a model answers."""

    decisions: tuple[AnsweredDecision, ...]


def question(
    prompts: Prompts,
    lessons: Sequence[Lesson],
    nearest: Sequence[Sequence[Experience]],
    window: int,
) -> Prompt | None:
    """What the updater is asked about lessons, each with its nearest experiences.

    None where there is nothing to compare with. Too long for `window` characters, it shows fewer.
    """
    if not any(nearest):
        return None
    system, room = prompts.render("updater"), WHOLE
    while True:
        prompt = _question(prompts, system, lessons, nearest, room)
        if len(system) + len(prompt.messages[0].text) <= window or room < CUT:
            return prompt
        if max(map(len, nearest)) > 1:
            nearest = [some[:-1] if len(some) > 1 else some for some in nearest]
        else:
            room //= 2


def _question(
    prompts: Prompts,
    system: str,
    lessons: Sequence[Lesson],
    nearest: Sequence[Sequence[Experience]],
    room: int,
) -> Prompt:
    parts: list[str] = []
    shown: list[Shown] = []
    for number, (lesson, near) in enumerate(zip(lessons, nearest, strict=True)):
        if not near:
            continue
        parts.append(_lesson_text(number, lesson))
        for one in near:
            whole = sum(map(len, _texts(one))) <= room
            parts.append(experience_text(one, room) + ("" if whole else "\n(shortened)"))
            shown.append(Shown(lesson=number, id=one.id, fingerprint=one.fingerprint, whole=whole))
    text = prompts.render("updater_question", lessons="\n\n".join(parts))
    schema = schema_of(UpdaterAnswer)
    return Prompt(
        system=system,
        messages=(Message("user", text),),
        schema=schema,
        shape=prompts.shape(schema),
        shown=tuple(shown),
    )


def _lesson_text(number: int, lesson: Lesson) -> str:
    return quoted_lesson(
        f"## Lesson {number} ({lesson.zone} {lesson.level}): {one_line(lesson.title)}",
        when=lesson.when,
        lesson=lesson.lesson,
        examples=lesson.examples,
    )


def experience_text(one: Experience, room: int) -> str:
    """An experience, whole if it fits into `room` characters."""
    heading = f"### {one.id}: {one_line(one.title)}"
    texts = _texts(one)
    if sum(map(len, texts)) > room:
        texts = [cut(text, min(room, CUT) // 2) for text in texts[:2]]
    return quoted(heading, *texts)


def _texts(one: Experience) -> list[str]:
    examples = [f"- {example}" for example in one.examples]
    return [f"When: {one.when}" if one.when else "", one.lesson, *examples]


def placement(text: str, lessons: Sequence[Lesson], shown: Sequence[Shown]) -> Placement:
    """The lessons with the actions that an answer gives them.

    Raises:
        AnswerError: it is malformed, leaves a lesson out, or asks for what cannot be.
    """
    asked = {one.lesson for one in shown}
    decisions = parsed(UpdaterAnswer, text).decisions
    numbers = [one.number for one in decisions]
    if sorted(numbers) != sorted(asked):
        raise AnswerError(
            f"it decides on the lessons {_listed(numbers)}; it must decide once on each of "
            f"{_listed(sorted(asked))}"
        )
    if clash := _clash(decisions):
        raise AnswerError(clash)
    by_number = {one.number: one for one in decisions}
    near = {number: {one.id: one for one in shown if one.lesson == number} for number in asked}
    narrowed = {
        one.into: one.other_when.strip()
        for one in decisions
        if one.action is Action.ADD and one.into
    }
    placed = [
        _placed(lesson, by_number[number], near[number]) if number in asked else added(lesson)
        for number, lesson in enumerate(lessons)
    ]
    return Placement(
        lessons=tuple(placed),
        narrowed=narrowed,
        seen={one.id: one.fingerprint for one in shown},
    )


def _clash(decisions: Sequence[AnsweredDecision]) -> str | None:
    """Which decisions cannot both be: the second would not know what the first made of it."""
    changing = Counter(one.into for one in decisions if one.action is not Action.DISCARD)
    for id_ in (id_ for id_, times in changing.items() if id_ and times > 1):
        return (
            f"{changing[id_]} decisions change {id_}: let one of them say all, as a merge, a "
            "supersede or an add with other_when, and discard or add the others"
        )
    superseded = {one.into for one in decisions if one.action is Action.SUPERSEDE}
    for one in decisions:
        if one.action is Action.DISCARD and one.into in superseded:
            return f"lesson {one.number} is discarded into {one.into}, which is superseded: add it"
    return None


def added(lesson: Lesson) -> Lesson:
    """A lesson that nothing in the library is near to."""
    return replace(lesson, action=Action.ADD)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _placed(lesson: Lesson, decision: AnsweredDecision, near: dict[str, Shown]) -> Lesson:
    if problem := _problem(lesson, decision, near):
        raise AnswerError(f"decision on lesson {decision.number}: {problem}")
    texts: dict[str, Any] = {"title": decision.title, "when": decision.when}
    texts |= {"lesson": decision.lesson, "examples": decision.examples}
    keep = {Action.MERGE: ("title", "when", "lesson", "examples"), Action.ADD: ("when",)}
    changed = {name: texts[name] for name in keep.get(decision.action, ()) if texts[name]}
    into = None if decision.action is Action.ADD else decision.into
    given = replace(
        lesson, **changed, action=decision.action, into=into, reason=decision.reason or None
    )
    try:
        return checked(Lesson, given)
    except InputError as error:
        raise AnswerError(f"decision on lesson {decision.number}: {error}") from error


def _problem(lesson: Lesson, decision: AnsweredDecision, near: dict[str, Shown]) -> str | None:
    """What is wrong with a decision, in words for the model."""
    into, action = decision.into, decision.action
    ids = ", ".join(near)
    adds, narrows = action is Action.ADD, bool(decision.other_when.strip())
    forgets_when = bool(lesson.when.strip()) and not decision.when.strip()
    incomplete = forgets_when or not (decision.title.strip() and decision.lesson.strip())
    problems = {
        f"into is {into!r}; it can be {ids}": bool(into) and into not in near,
        f"{action} needs into, one of {ids}": not adds and not into,
        "add takes into and other_when together, the experience and its narrower `when`": (
            adds and bool(into) != narrows
        ),
        "merge needs the whole new text: title, when, lesson": (
            action is Action.MERGE and incomplete
        ),
        f"{into} was shown shortened and cannot be merged into: add or discard": (
            action is Action.MERGE and into in near and not near[into].whole
        ),
        "supersede needs reason: why the new lesson takes the old one's place": (
            action is Action.SUPERSEDE and not decision.reason.strip()
        ),
    }
    return next((problem for problem, holds in problems.items() if holds), None)
