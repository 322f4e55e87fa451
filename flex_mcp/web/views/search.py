"""What an assistant would be served for a task, and why."""

from flex_mcp.models import Level, Zone
from flex_mcp.tools.answers import search_answer
from flex_mcp.web.pages import Asked, Shown
from flex_mcp.web.views.experiences import projects_known

LIMIT = 5  # as the tool has it
SIGNS = 4  # characters of a token, on the whole


def search(asked: Asked) -> Shown:
    query = asked.text("query")
    zone, level, project = asked.text("zone"), asked.text("level"), asked.text("project")
    found = None
    if query:
        found = asked.app.library.explain(
            query,
            limit=LIMIT,
            levels=[Level(level)] if level else None,
            zones=[Zone(zone)] if zone else None,
            domain=asked.text("domain"),
            project=None if project in {None, "all"} else project,
            all_projects=project == "all",
        )
    values = {
        "query": query or "",
        "found": found,
        "size": len(search_answer(found.found, "concise").text) // SIGNS if found else 0,
        "zones": [*Zone],
        "levels": [*Level],
        "projects": projects_known(asked),
        "narrowed": {n: asked.text(n) or "" for n in ("zone", "level", "domain", "project")},
    }
    return Shown("search.html", values)
