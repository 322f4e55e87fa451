"""The library as Markdown, for reading."""

from collections.abc import Iterator

from flex_mcp.library.library import Library
from flex_mcp.models import Experience, Level
from flex_mcp.safety.quoting import named, one_line

HEADING = "# Experience library"


def export_markdown(library: Library) -> Iterator[str]:
    """Every experience, most general level first, with its provenance."""
    experiences = library.experiences()
    yield f"{HEADING}\n\n{len(experiences)} experiences. For reading; import takes the JSONL.\n"
    for level in Level:
        listed = [one for one in experiences if one.level is level]
        if listed:
            yield f"\n## {level.capitalize()}s\n"
        yield from map(_experience, reversed(listed))


def _experience(experience: Experience) -> str:
    about = [
        str(experience.zone),
        one_line(experience.domain or ""),
        f"priority {experience.priority}",
    ]
    about += [str(experience.status), f"{experience.origin.kind} by {named(experience.origin.by)}"]
    counters = (
        f"served {experience.served}, successes {experience.successes}, "
        f"failures {experience.failures}"
    )
    lines = [
        f"\n### {one_line(experience.title)}",
        f"`{experience.id}` · " + " · ".join(filter(None, about)),
    ]
    lines += [f"*When:* {experience.when}"] if experience.when else []
    lines += [experience.lesson]
    lines += ["\n".join(f"- {example}" for example in experience.examples)]
    lines += [f"Evidence: {', '.join(experience.evidence) or 'none'} · {counters}"]
    return "\n\n".join(line for line in lines if line) + "\n"
