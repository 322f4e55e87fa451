"""The updater: where lessons go beside what the library has, as a model decides it (FLEX §3).

Pure functions. It sees the nearest experiences of each lesson's zone and level, never the whole
library, so its question has the same size at a hundred experiences and at a million.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flex_mcp.errors import AnswerError, InputError
from flex_mcp.learning.excerpts import cut
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import Action, Experience, Lesson, Placement, Strict, When
from flex_mcp.models.briefs import Prompt, Shown
from flex_mcp.safety.quoting import one_line, quoted, quoted_lesson
from flex_mcp.validation import checked, parsed

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
        heading = f"## Lesson {number} ({lesson.zone} {lesson.level}): {one_line(lesson.title)}"
        when, text, examples = lesson.when, lesson.lesson, lesson.examples
        parts.append(quoted_lesson(heading, when=when, lesson=text, examples=examples))
        for one in near:
            text, whole = _experience_text(one, room)
            parts.append(text)
            shown.append(Shown(lesson=number, id=one.id, fingerprint=one.fingerprint, whole=whole))
    text = prompts.render("updater_question", lessons="\n\n".join(parts))
    return prompts.question(system, text, UpdaterAnswer, shown)


def _experience_text(one: Experience, room: int) -> tuple[str, bool]:
    """An experience, whole if it fits into `room` characters, and whether it is."""
    heading = f"### {one.id}: {one_line(one.title)}"
    texts = [f"When: {one.when}" if one.when else "", one.lesson]
    examples = [f"- {example}" for example in one.examples]
    if sum(map(len, [*texts, *examples])) <= room:
        return quoted(heading, *texts, *examples), True
    texts = [cut(text, min(room, CUT) // 2) for text in texts]
    return f"{quoted(heading, *texts)}\n(shortened)", False


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
            f"it decides on the lessons {', '.join(map(str, numbers)) or 'none'}; "
            f"it must decide once on each of {', '.join(map(str, sorted(asked)))}"
        )
    if clash := _clash(decisions):
        raise AnswerError(clash)
    placed = [replace(lesson, action=Action.ADD) for lesson in lessons]  # those near to nothing
    for one in sorted(decisions, key=lambda one: one.number):
        near = {each.id: each for each in shown if each.lesson == one.number}
        placed[one.number] = _placed(lessons[one.number], one, near)
    narrowed = {
        one.into: one.other_when.strip()
        for one in decisions
        if one.action is Action.ADD and one.into
    }
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


def _placed(lesson: Lesson, decision: AnsweredDecision, near: dict[str, Shown]) -> Lesson:
    if problem := _problem(lesson, decision, near):
        raise AnswerError(f"decision on lesson {decision.number}: {problem}")
    keep = {Action.MERGE: ("title", "when", "lesson", "examples"), Action.ADD: ("when",)}
    said = {name: getattr(decision, name) for name in keep.get(decision.action, ())}
    said = {name: value for name, value in said.items() if value}
    into = None if decision.action is Action.ADD else decision.into
    said |= {"action": decision.action, "into": into, "reason": decision.reason or None}
    try:
        return checked(Lesson, replace(lesson, **said))
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
