"""The library as Markdown, for reading."""

from collections.abc import Iterator

from flex_mcp.library.library import Library
from flex_mcp.models import Experience, Level, Projects
from flex_mcp.safety.quoting import named, one_line

HEADING = "# Experience library"


def export_markdown(library: Library, projects: Projects = None) -> Iterator[str]:
    """Every experience, most general level first, with its provenance."""
    experiences = library.experiences(projects=projects)
    yield f"{HEADING}\n\n{len(experiences)} experiences. For reading; import takes the JSONL.\n"
    for level in Level:
        listed = [one for one in experiences if one.level is level]
        if listed:
            yield f"\n## {level.capitalize()}s\n"
        yield from map(_experience, reversed(listed))


def _experience(one: Experience) -> str:
    domain, by = one_line(one.domain or ""), f"{one.origin.kind} by {named(one.origin.by)}"
    project = f"only in {one_line(one.project)}" if one.project else ""
    about = [f"`{one.id}`", str(one.zone), domain, project, f"priority {one.priority}"]
    about += [str(one.status), by]
    counters = (
        f"served in {one.served} (successes {one.successes}, failures {one.failures}), "
        f"named helpful {one.helpful}, harmful {one.harmful}"
    )
    parts = [
        f"\n### {one_line(one.title)}",
        " · ".join(filter(None, about)),
        f"*When:* {one.when}" if one.when else "",
        one.lesson,
        "\n".join(f"- {example}" for example in one.examples),
        f"Evidence: {', '.join(one.evidence) or 'none'} · {counters}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"
