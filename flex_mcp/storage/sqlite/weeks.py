"""Weeks: what came in, what was searched, and how many experiences were active."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from flex_mcp.models import Projects, Week
from flex_mcp.storage.sqlite.queries import Queries, projects_json

Counted = defaultdict[str, Counter[str]]  # by week
NO_SEARCH = {"searches": 0, "serving": 0, "helpful": 0, "harmful": 0}


def weeks(queries: Queries, first: date, count: int, projects: Projects) -> list[Week]:
    """See `storage.protocol.Transaction.weeks`."""
    values = {"first": first.isoformat(), "projects": projects_json(projects)}
    by_zone, by_level, outcomes, more = (Counted(Counter) for _ in range(4))
    for week, zone, level, made, active in queries.tuples("weekly_experiences", **values):
        by_zone[week][zone] += made
        by_level[week][level] += made
        more[week][zone] += active
    for made, week, zone, change in queries.tuples("weekly_changes", **values):
        more[week][zone] += change
        more[made][zone] -= change  # it was made without it
    for week, outcome, number in queries.tuples("weekly_trajectories", **values):
        outcomes[week][outcome] += number
    searches = {row["week"]: row for row in queries.rows("weekly_searches", first=values["first"])}
    days = {str(day): day for day in (first + timedelta(weeks=n) for n in range(count))}
    active = _active(queries, more, days, values["projects"])
    return [
        Week(
            first_day=day,
            experiences=by_zone[week].total(),
            by_zone=by_zone[week],
            by_level=by_level[week],
            active=active[week],
            trajectories=outcomes[week].total(),
            by_outcome=outcomes[week],
            **{name: searches.get(week, NO_SEARCH)[name] for name in NO_SEARCH},
        )
        for week, day in days.items()
    ]


def _active(
    queries: Queries, more: Counted, weeks: Mapping[str, Any], projects: str | None
) -> dict[str, Counter[str]]:
    """How many were active at the end of each week: from now backwards."""
    found: dict[str, Counter[str]] = {}
    left = Counter[str](dict(queries.tuples("active_now", projects=projects)))
    for week in sorted({*more, *weeks} - {None}, reverse=True):  # None: of a damaged time
        found[week] = +left
        left.subtract(more[week])
    return found
