"""Domains: the paths of experiences and trajectories, counted, and taken in others' place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flex_mcp.models import DomainCount, Filter
from flex_mcp.storage.sqlite.queries import Queries, Row, as_json, filter_row, sound, value_of


@dataclass(slots=True)
class Domains:
    """See `storage.protocol.Domains`."""

    queries: Queries

    def counts(self, wanted: Filter) -> list[DomainCount]:
        return [domain(row) for row in self.queries.rows("domains", **filter_row(wanted))]

    def most_used(self, wanted: Filter, limit: int) -> list[str]:
        return self.queries.column("most_used_domains", **filter_row(wanted), limit=limit)

    def experiences(self, domains: Iterable[str]) -> list[str]:
        return self.queries.column("experiences_of_domains", domains=as_json(domains))

    def move_trajectories(self, paths: Mapping[str, str]) -> None:
        moved = self.queries.column("move_trajectories", paths=as_json(paths.items()))
        self.queries.touch(*moved)


@sound
def domain(row: Row) -> DomainCount:
    return value_of(DomainCount, row)
