"""The history: revisions of experiences."""

import json
from dataclasses import dataclass
from typing import Any

from flex_mcp.models import Level, Origin, Projects, Revision, Snapshot, Status, Zone
from flex_mcp.storage.sqlite.queries import (
    Queries,
    Row,
    columns_of,
    projects_json,
    sound,
    value_of,
)
from flex_mcp.validation import adapter


@dataclass(slots=True)
class History:
    """See `storage.protocol.History`."""

    queries: Queries

    def of(self, experience_id: str) -> list[Revision]:
        found = self.queries.rows("revisions", experience_id=experience_id)
        return [revision(row) for row in found]

    def last(self, limit: int, projects: Projects = None) -> list[Revision]:
        values = {"limit": limit, "projects": projects_json(projects)}
        return [revision(row) for row in self.queries.rows("last_revisions", **values)]

    def since(self, number: int, limit: int) -> list[Revision]:
        found = self.queries.rows("revisions_since", number=number, limit=limit)
        return [revision(row) for row in found]

    def number(self) -> int:
        return self.queries.first("last_revision_number")

    def merged_with(self, value: Revision) -> Revision | None:
        if value.origin is not None:
            return None
        found = self.queries.row(
            "merged_with",
            id=value.experience_id,
            kind=str(value.kind),
            at=value.at.isoformat(),
            actor=value.actor,
            into=value.after.superseded_by,
        )
        return revision(found) if found else None

    def add(self, value: Revision) -> None:
        self.queries.rows("add_revision", **revision_row(value))

    def drop(self, experience_id: str, before: int) -> None:
        self.queries.rows("drop_revisions", id=experience_id, revision=before)


@sound
def revision(row: Row) -> Revision:
    before = row["before"]
    return value_of(
        Revision,
        row,
        before=None if before is None else _snapshot(before),
        after=_snapshot(row["after"]),
        origin=adapter(Origin).validate_json(row["origin"]) if row["origin"] else None,
    )


def _snapshot(text: str) -> Snapshot:
    """As it was kept: the limits of what comes in may have been others then."""
    content = json.loads(text)
    for name in ("title", "when", "lesson"):
        if not isinstance(content[name], str):
            raise TypeError(name)
    kinds: dict[str, Any] = {"zone": Zone, "level": Level, "status": Status}
    kinds |= dict.fromkeys(("examples", "tags", "evidence"), tuple)
    content |= {name: kinds[name](content[name]) for name in kinds.keys() & content.keys()}
    return Snapshot(**content)


def revision_row(value: Revision) -> dict[str, Any]:
    before = value.before
    return columns_of(
        value,
        before=None if before is None else adapter(Snapshot).dump_json(before).decode(),
        after=adapter(Snapshot).dump_json(value.after).decode(),
        origin=value.origin and adapter(Origin).dump_json(value.origin).decode(),
    )
