"""Statistics: how much of what a library holds."""

from flex_mcp.models import Projects, Spent, Statistics
from flex_mcp.storage.sqlite import search_index
from flex_mcp.storage.sqlite.history import History
from flex_mcp.storage.sqlite.queries import Queries, Row, projects_json, sound, value_of
from flex_mcp.storage.sqlite.settings import Settings


def statistics(queries: Queries, projects: Projects = None) -> Statistics:
    """See `storage.protocol.Transaction.statistics`."""
    counts: dict[str, dict[str, int]] = {}
    for what, name, count in queries.tuples("count_by", projects=projects_json(projects)):
        counts.setdefault(what, {})[name] = count
    last = History(queries).last(1, projects)
    return Statistics(
        library_id=Settings(queries).get("library_id") or "",
        schema_version=int(queries.connection.pragma("user_version")),
        vectors=search_index.made_by(queries.tuples),
        experiences=sum(counts.get("status", {}).values()),
        by_status=counts.get("status", {}),
        by_zone=counts.get("zone", {}),
        by_level=counts.get("level", {}),
        by_domain=counts.get("domain", {}),
        by_project=counts.get("project", {}),
        trajectories=sum(counts.get("state", {}).values()),
        by_state=counts.get("state", {}),
        retrievals=counts["retrievals"][""],
        revisions=counts["revisions"][""],
        last_change=last[0].at if last else None,
        spent=tuple(spent(row) for row in queries.rows("spent")),
        held=search_index.memory_bytes(queries.tuples),
    )


@sound
def spent(row: Row) -> Spent:
    return value_of(Spent, row)
