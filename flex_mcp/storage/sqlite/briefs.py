"""Briefs: which trajectories each claims, for how long, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models import Brief, Decision, Road
from flex_mcp.storage.protocol import Claim
from flex_mcp.storage.sqlite.queries import Queries, Row, as_json, columns_of, sound, value_of
from flex_mcp.validation import adapter

Decisions = tuple[Decision, ...]


@dataclass(slots=True)
class Briefs:
    """See `storage.protocol.Briefs`."""

    queries: Queries

    def get(self, brief_id: str) -> Brief | None:
        found = self.queries.row("brief", id=brief_id)
        return brief(found) if found else None

    def claims(self, now: datetime, ids: Sequence[str] | None = None) -> list[Claim]:
        at = now.isoformat()
        if ids is None:
            return [claim(row) for row in self.queries.rows("pending_claims", now=at)]
        return [claim(row) for row in self.queries.rows("claims", now=at, ids=as_json(ids))]

    def add(self, value: Brief) -> None:
        self.queries.touch(value.id)
        self.queries.rows("add_brief", **columns_of(value))
        for place, trajectory_id in enumerate(value.trajectory_ids):
            values = {"brief_id": value.id, "place": place, "trajectory_id": trajectory_id}
            self.queries.rows("add_brief_trajectory", **values)

    def extend(self, brief_id: str, expires_at: datetime) -> None:
        self.queries.touch(brief_id)
        self.queries.rows("extend_brief", id=brief_id, expires_at=expires_at.isoformat())

    def close(self, brief_id: str, answer_hash: str, decisions: Sequence[Decision]) -> None:
        self.queries.touch(brief_id)
        made = adapter(Decisions).dump_json(tuple(decisions)).decode()
        self.queries.rows("close_brief", id=brief_id, answer_hash=answer_hash, decisions=made)


@sound
def brief(row: Row) -> Brief:
    return value_of(Brief, row, decisions=adapter(Decisions).validate_json(row["decisions"]))


@sound
def claim(row: Row) -> Claim:
    until = datetime.fromisoformat(row["until"])
    return Claim(row["trajectory_id"], row["brief_id"], Road(row["road"]), until)
