"""The list of experiences: sorted, narrowed, page by page; and changing several at once."""

from typing import Any

from flex_mcp.errors import InputError
from flex_mcp.library.curating import past
from flex_mcp.models import Curation, Level, Projects, Sort, Status, Zone
from flex_mcp.web.pages import Asked, Moved, Shown, with_query
from flex_mcp.web.sessions import Notice

SHOWN = 50
BULK = {Curation.RETIRE, Curation.RESTORE, Curation.APPROVE, Curation.QUARANTINE}
SORTS = [*Sort]


def home() -> Moved:
    return Moved("/experiences")


def listing(asked: Asked) -> Shown:
    wanted = _wanted(asked)
    library = asked.app.library
    sort = Sort(asked.text("sort") or Sort.NEWEST)
    reverse = asked.text("reverse") is not None
    found = library.experiences(
        sort=sort, reverse=reverse, after=asked.text("after"), limit=SHOWN + 1, **wanted
    )
    shown = found[:SHOWN]
    total = library.count_experiences(**wanted)
    values = {
        "experiences": shown,
        "total": total,
        "next": with_query(asked.query, after=shown[-1].id) if len(found) > SHOWN else None,
        "sentence": _sentence(asked, total, sort, reverse=reverse),
        "sort": sort,
        "reverse": reverse,
        "sorts": SORTS,
        "zones": [*Zone],
        "levels": [*Level],
        "statuses": [*Status],
        "projects": projects_known(asked),
        "narrowed": {name: asked.text(name) or "" for name in FILTERS},
        "actions": [one for one in Curation if one in BULK and may(asked, one)],
    }
    return Shown("experiences.html", values)


FILTERS = "text", "zone", "level", "status", "domain", "project"


def may(asked: Asked, action: Curation) -> bool:
    """Whether this session may do it; `approve` is only for whoever may curate."""
    return asked.session.curates if action is Curation.APPROVE else asked.session.writes


def projects_known(asked: Asked) -> list[str]:
    return sorted(name for name in asked.app.library.statistics().by_project if name)


def projects_of(asked: Asked) -> Projects:
    """The projects that the address names: `general`, a name, or, without one, all."""
    match asked.text("project"):
        case None:
            return None
        case "general":
            return frozenset({None})
        case name:
            return frozenset({name})


def _wanted(asked: Asked) -> dict[str, Any]:
    zone, level = asked.text("zone"), asked.text("level")
    status = asked.text("status") or Status.ACTIVE
    return {
        "zones": [Zone(zone)] if zone else None,
        "levels": [Level(level)] if level else None,
        "statuses": [] if status == "all" else [Status(status)],
        "domain": asked.text("domain"),
        "projects": projects_of(asked),
        "text": asked.text("text"),
    }


def _sentence(asked: Asked, total: int, sort: Sort, *, reverse: bool) -> str:
    """What is shown, such as "42 active lessons of project shop, newest first"."""
    status = asked.text("status") or "active"
    kinds = [status if status != "all" else "", asked.text("zone"), asked.text("level")]
    what = " ".join(filter(None, [*kinds, "lesson" if total == 1 else "lessons"]))
    parts = [f"{total:,} {what}"]
    parts += [f"in {asked.text('domain')}"] if asked.text("domain") else []
    if project := asked.text("project"):
        parts.append("of no project" if project == "general" else f"of project {project}")
    parts += [f"with “{asked.text('text')}”"] if asked.text("text") else []
    order = "newest first" if sort is Sort.NEWEST else f"by {sort}"
    return f"{' '.join(parts)}, {order}{', reversed' if reverse else ''}"


def change(asked: Asked) -> Moved:
    """Retire, restore, approve or quarantine those that were chosen: all or none."""
    action = Curation(asked.text("action") or "")
    if action not in BULK or not may(asked, action):
        raise InputError(f"{action} cannot be done here: open the lesson")
    ids = [str(one) for one in asked.form.getlist("id")]
    if not ids:
        raise InputError("no lesson is chosen: mark some, then say what to do with them")
    made = asked.app.library.curate_all(
        ids, action, reason="by hand, on the page", client=asked.session.name
    )
    asked.tell(Notice(f"{past(action)}: {len(made):,}"))
    return Moved(f"/experiences{with_query(asked.query)}")
