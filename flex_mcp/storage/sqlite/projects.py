"""Projects: those that experiences and trajectories are of, counted, and taken in others' place."""

from collections.abc import Mapping
from dataclasses import dataclass

from flex_mcp.models import ProjectCount
from flex_mcp.storage.sqlite.queries import Queries, Row, as_json, sound, value_of


@dataclass(slots=True)
class ProjectNames:
    """See `storage.protocol.ProjectNames`."""

    queries: Queries

    def counts(self) -> list[ProjectCount]:
        return [project(row) for row in self.queries.rows("projects")]

    def experiences(self, project: str) -> list[str]:
        return self.queries.column("experiences_of_project", project=project)

    def keys(self, project: str) -> list[tuple[str, str, str]]:
        rows = self.queries.rows("keys_of_project", project=project)
        return [(row["id"], row["key"], row["content_hash"]) for row in rows]

    def move_trajectories(self, old: str, new: str, keys: Mapping[str, str]) -> None:
        moved = self.queries.column("move_trajectories_of_project", old=old, new=new)
        self.queries.rows("move_keys", keys=as_json(keys.items()))
        self.queries.touch(*moved)


@sound
def project(row: Row) -> ProjectCount:
    return value_of(ProjectCount, row)
