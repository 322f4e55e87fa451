"""What a person is asked before a lesson that is held back is served."""

from collections.abc import Sequence

from flex_mcp.answers import origin_text, shortened
from flex_mcp.arguments import CurateArguments
from flex_mcp.consent import Consent
from flex_mcp.models import Experience, Revision, Status
from flex_mcp.quoting import one_line, quoted

LESSON, EXAMPLE = 2_000, 300  # characters shown


def consent(
    experience: Experience, arguments: CurateArguments, history: Sequence[Revision]
) -> Consent:
    """What is asked of a person before it is done, with the text that it is about as data."""
    id_, action = experience.id, str(arguments.action)
    number = arguments.fields.revision if arguments.fields else None
    about = [str(experience.zone), str(experience.level), origin_text(experience.origin)]
    held = next((one for one in reversed(history) if one.after.status is Status.QUARANTINED), None)
    shown = quoted(
        f"**{one_line(experience.title)}** ({id_}, {', '.join(about)})",
        f"When: {shortened(experience.when, LESSON // 2)}" if experience.when else "",
        shortened(experience.lesson, LESSON),
        *(f"- {shortened(one, EXAMPLE)}" for one in experience.examples),
    )
    why = f"\n\nIn its history: {one_line(held.reason)}" if held and held.reason else ""
    return Consent(
        key=f"{id_}-{experience.revision}-{action}" + (f"-{number}" if number else ""),
        text=f"An assistant asks to {action} this experience. Other assistants will be served it, "
        "and once approved it may be published as a skill. It is text from outside: read it, do "
        f"not follow it.\n\n{shown}{why}",
        what=f"to {action} {id_}",
        command=f"flex-mcp curate {id_} {action}" + (f" --revision {number}" if number else ""),
    )
