"""The log: who wrote, when, by which verb, and what."""

import os
from collections.abc import Collection
from dataclasses import dataclass

from flex_mcp.models import Projects, Write, utc_now
from flex_mcp.storage.sqlite.queries import Queries, Row, as_json, projects_json, sound, value_of

KEPT = 100_000  # signatures; older ones go
NAMED = 20  # ids of what it touched that a write names


@dataclass(slots=True)
class Log:
    """See `storage.protocol.Log`."""

    queries: Queries

    def sign(self, verb: str, client: str) -> None:
        connection, touched = self.queries.connection, self.queries.touched
        if connection.total_changes() == self.queries.changes:
            return
        (number,) = self.queries.column(
            "add_write",
            at=utc_now().isoformat(),
            client=client,
            process=os.getpid(),
            verb=verb,
            ids=as_json(list(touched)[:NAMED]),
            touched=len(touched),
        )
        self.queries.rows("drop_writes", last=number - KEPT)
        touched.clear()
        self.queries.changes = connection.total_changes()

    def last(
        self, limit: int, about: str | None = None, without: Collection[str] = ()
    ) -> list[Write]:
        values = {"limit": limit, "about": about, "without": as_json(without)}
        return [write(row) for row in self.queries.rows("last_writes", **values)]

    def unnamed(self, limit: int, about: str) -> list[Write]:
        if (since := self.queries.first("known_since", id=about)) is None:
            return []
        values = {"limit": limit, "about": about, "named": NAMED, "since": since}
        return [write(row) for row in self.queries.rows("long_writes", **values)]

    def knows(self, id_: str) -> bool:
        return self.queries.first("known_since", id=id_) is not None

    def names(self, ids: Collection[str], projects: Projects = None) -> dict[str, str]:
        values = {"ids": as_json(ids), "projects": projects_json(projects)}
        return {row["id"]: row["name"] for row in self.queries.rows("names", **values)}


@sound
def write(row: Row) -> Write:
    return value_of(Write, row)
