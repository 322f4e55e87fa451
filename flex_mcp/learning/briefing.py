"""Briefs: the question about some trajectories, as the calling assistant gets it; pure functions.

The assistant is critic and updater in one; it knows the tool that takes the answer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Len

from flex_mcp.learning import critic
from flex_mcp.learning.excerpts import (
    SHORTEST,
    BriefTrajectory,
    Neighbour,
    domains_text,
    fitting_domains,
    neighbour,
    neighbour_text,
    roomiest,
    shown,
    trajectory_text,
)
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import (
    LESSONS_LIMIT,
    Decision,
    Experience,
    Id,
    Lesson,
    RecordedTrajectory,
    Road,
    Strict,
    about,
)
from flex_mcp.safety.quoting import all_visible, visible
from flex_mcp.validation import adapter, schema_of

BRIEF_LIMIT = 20_000  # characters of a brief, in each of its forms
ENVELOPE = 500  # what the answer of the tool adds to it


class AsLessons:
    """Says what the items are, when Pydantic asks: a search goes without it."""

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "array", "maxItems": LESSONS_LIMIT, "items": schema_of(Lesson)}


Lessons = Annotated[
    tuple[Any, ...],  # each is checked by itself: one bad lesson never refuses the others
    Len(0, LESSONS_LIMIT),
    AsLessons(),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveArguments(Strict):
    lessons: Lessons = field(metadata=about("For a brief: empty when there is nothing to learn."))
    brief_id: Id | None = field(default=None, metadata=about("The brief that this answers."))
    trajectory_ids: Annotated[tuple[Id, ...], Len(0, 20)] | None = field(
        default=None, metadata=about("Without a brief: the work they come from, if any.")
    )

    @classmethod
    def clashes(cls, given: Mapping[str, Any], /) -> Iterator[str]:
        if "brief_id" in given and "trajectory_ids" in given:
            yield "give brief_id or trajectory_ids, not both: a brief knows its own"
        if "brief_id" not in given and given.get("lessons") == []:
            yield "there are no lessons: give some, or brief_id where none is to be learnt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A brief: its parts for `structuredContent`, and `text`, the same as Markdown."""

    brief_id: str
    trajectories: tuple[BriefTrajectory, ...]
    neighbours: tuple[Neighbour, ...]
    instructions: str
    domains: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """What a call of `distill` came to; without a `brief_id` nothing was there to distil.

    `question` is the brief of the road `assistant`, `decisions` what a model's `lessons` became.
    `tokens` counts those read and written together; None where nobody counts them.
    """

    road: Road
    brief_id: str | None = None
    question: Question | None = None
    trajectories: tuple[BriefTrajectory, ...] = ()
    decisions: tuple[Decision, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    model: str | None = None
    prompts: str | None = None
    tokens: int | None = None
    remaining: int = 0
    notice: str | None = None


def fitted(
    prompts: Prompts,
    brief_id: str,
    chosen: Sequence[RecordedTrajectory],
    neighbours: Sequence[Experience],
    domains: Sequence[str] = (),
) -> Question:
    """The question, its trajectories cut just so far that both forms stay under the limit."""
    domains = fitting_domains(domains)

    def ask(room: int) -> Question | None:
        question = asked(prompts, brief_id, chosen, neighbours, domains, room)
        longest = max(len(visible(question.text)), len(as_json(question)))
        return question if longest <= BRIEF_LIMIT - ENVELOPE else None

    while (best := ask(SHORTEST)) is None and (len(chosen) > 1 or neighbours):
        chosen = chosen[:-1] or chosen  # even the shortest is too long: less of it
        neighbours = neighbours[:-2]
    return roomiest(
        ask, best or asked(prompts, brief_id, chosen, neighbours, domains, SHORTEST), BRIEF_LIMIT
    )


def as_json(question: Question) -> str:
    """As it goes out: what nobody sees is shown as its code, which is longer."""
    content = adapter(Question).dump_python(question, mode="json", exclude={"text"})
    return json.dumps(all_visible(content), ensure_ascii=False, separators=(",", ":"))


def asked(
    prompts: Prompts,
    brief_id: str,
    chosen: Sequence[RecordedTrajectory],
    neighbours: Sequence[Experience],
    domains: Sequence[str],
    room: int,
) -> Question:
    trajectories = tuple(shown(one, room) for one in chosen)
    nearest = tuple(map(neighbour, neighbours))
    attention = prompts.render(critic.attention(chosen))
    instructions = prompts.render("instructions", attention=attention)
    text = prompts.render(
        "brief",
        brief_id=brief_id,
        instructions=instructions,
        trajectories="\n\n".join(map(trajectory_text, trajectories)),
        neighbours="\n\n".join(map(neighbour_text, nearest)) or "None yet.",
        domains=domains_text(domains),
    )
    return Question(
        brief_id=brief_id,
        trajectories=trajectories,
        neighbours=nearest,
        instructions=instructions,
        domains=tuple(domains),
        text=text,
    )


def versions(prompts: Prompts) -> str:
    """Which prompts a brief is made of."""
    return prompts.version("brief", "instructions")
