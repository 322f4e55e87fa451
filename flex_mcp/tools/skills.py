"""Skills: golden experiences that a person approved, as files that a host loads as instructions.

One skill a first domain segment, in the form of the Agent Skills specification: YAML front matter
with name and description, then Markdown. A host takes a skill for instructions, so each lesson is
quoted with its id and provenance all the same, and nothing is in it that nobody approved.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flex_mcp.models import Experience
from flex_mcp.safety.quoting import facts, one_line
from flex_mcp.tools.answers import fitting, quoted_whole

NAME_LIMIT = 64  # characters, by the Agent Skills specification
GENERAL = "general"  # the skill of experiences without a domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """One skill: its front matter, and the whole text of its SKILL.md."""

    name: str
    description: str
    text: str

    @property
    def content(self) -> bytes:
        return self.text.encode()


def skills(approved: Iterable[Experience]) -> list[Skill]:
    """The skills that these experiences make, by name; within one the most important come first."""
    by_name: dict[str, list[Experience]] = {}
    for one in approved:
        by_name.setdefault(_name(one.domain), []).append(one)
    return [_skill(name, by_name[name]) for name in sorted(by_name)]


def _name(domain: str | None) -> str:
    """Lower-case letters, digits and hyphens; what has none of them is known by its hash."""
    segment = (domain or GENERAL).split("/", 1)[0]
    plain = re.sub(r"[^a-z0-9]+", "-", segment.casefold()).strip("-")
    return f"flex-{plain or hashlib.sha256(segment.encode()).hexdigest()[:8]}"[:NAME_LIMIT].rstrip(
        "-"
    )


def _skill(name: str, found: Sequence[Experience]) -> Skill:
    segments = sorted({one_line((one.domain or GENERAL).split("/", 1)[0]) for one in found})
    description = (
        f"Lessons about {', '.join(segments)[:200]} from earlier work, each approved by a person. "
        f"Read it before a task in that field."
    )
    ordered = sorted(found, key=lambda one: (-one.priority, -one.created_at.timestamp(), one.id))
    parts = fitting(map(_lesson, ordered))
    left = len(found) - len(parts)
    more = [f"{left} more are in the library: search_experience finds them."] if left else []
    front = f"---\nname: {name}\ndescription: {json.dumps(description, ensure_ascii=False)}\n---"
    head = (
        f"# Lessons about {', '.join(segments)}\n\nEach is quoted from the experience library with "
        'its id; weigh it against the task at hand, and follow it where its "when" fits.'
    )
    return Skill(
        name=name, description=description, text="\n\n".join([front, head, *parts, *more]) + "\n"
    )


def _lesson(one: Experience) -> str:
    about = facts(one.id, one.level, one.domain)
    return quoted_whole(f"## {one_line(one.title)}\n\n{about}\n", one)
