"""Outcomes: how work ended, as often as somebody said so."""

from dataclasses import dataclass

from flex_mcp.models import ReportedOutcome
from flex_mcp.storage.sqlite.queries import Queries, Row, columns_of, sound, value_of


@dataclass(slots=True)
class Outcomes:
    """See `storage.protocol.Outcomes`."""

    queries: Queries

    def of(self, id_: str) -> list[ReportedOutcome]:
        return [outcome(row) for row in self.queries.rows("outcomes", id=id_)]

    def all(self) -> list[ReportedOutcome]:
        return [outcome(row) for row in self.queries.rows("all_outcomes")]

    def add(self, value: ReportedOutcome) -> None:
        self.queries.touch(value.trajectory_id or value.retrieval_id or "")
        self.queries.rows("add_outcome", **columns_of(value))


@sound
def outcome(row: Row) -> ReportedOutcome:
    return value_of(ReportedOutcome, row)
