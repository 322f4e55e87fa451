"""Trajectories: their rows, compressed where they are long, and the searches they worked with."""

import contextlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw

from flex_mcp.models import (
    Agent,
    Projects,
    RecordedTrajectory,
    ReportedOutcome,
    Step,
    StepKind,
    TrajectoryFilter,
    TrajectoryState,
)
from flex_mcp.storage.sqlite.queries import (
    Queries,
    Row,
    as_json,
    columns_of,
    projects_json,
    sound,
    text_row,
    value_of,
)

COMPRESS_OVER = 4096  # bytes of a trajectory's body
BODY_LIMIT = 64 * 1024 * 1024  # bytes of one; 5 MiB of text in JSON, whatever its characters


@dataclass(slots=True)
class Trajectories:
    """See `storage.protocol.Trajectories`."""

    queries: Queries

    def get(self, ids: Sequence[str]) -> list[RecordedTrajectory]:
        return [trajectory(row) for row in self.queries.rows("trajectories", ids=as_json(ids))]

    def ids(self, projects: Projects = None) -> list[str]:
        return self.queries.column("trajectory_ids", projects=projects_json(projects))

    def listed(
        self, wanted: TrajectoryFilter, *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        most = -1 if limit is None else limit
        words, row = {"what": "id"}, _wanted_row(wanted)
        return self.queries.listed("list_trajectories", words, **row, after=after, limit=most)

    def count(self, wanted: TrajectoryFilter) -> int:
        words, row = {"what": "count(*)"}, _wanted_row(wanted)
        (count,) = self.queries.listed("list_trajectories", words, **row, after=None, limit=-1)
        return count

    def by_key(self, key: str) -> tuple[str, str] | None:
        found = self.queries.row("trajectory_by_key", key=key)
        return (found["id"], found["content_hash"]) if found else None

    def pending(
        self,
        now: datetime,
        *,
        limit: int | None = None,
        like: str | None = None,
        skip: Iterable[str] = (),
        projects: Projects = None,
    ) -> list[str]:
        return self.queries.column(
            "pending" if like is None else "pending_of_task",
            now=now.isoformat(),
            limit=-1 if limit is None else limit,
            skip=as_json(skip),
            projects=projects_json(projects),
            **({} if like is None else {"id": like}),
        )

    def count_pending(self, now: datetime, projects: Projects = None) -> int:
        values = {"now": now.isoformat(), "projects": projects_json(projects)}
        return self.queries.first("pending_count", **values)

    def independent(self, ids: Sequence[str]) -> int:
        return self.queries.first("independent", ids=as_json(ids))

    def add(self, value: RecordedTrajectory, content_hash: str) -> None:
        self.queries.touch(value.id)
        self.queries.rows("add_trajectory", **trajectory_row(value, content_hash))
        self.link(value.id, value.retrieval_ids)

    def link(self, trajectory_id: str, retrieval_ids: Sequence[str]) -> None:
        for retrieval_id in retrieval_ids:
            values = {"trajectory_id": trajectory_id, "retrieval_id": retrieval_id}
            self.queries.rows("add_trajectory_retrieval", **values)

    def set_state(self, ids: Sequence[str], state: TrajectoryState) -> None:
        self.queries.touch(*ids)
        self.queries.rows("set_state", ids=as_json(ids), state=str(state))

    def replace(self, value: RecordedTrajectory, content_hash: str) -> None:
        self.queries.touch(value.id)
        row = trajectory_row(value, content_hash)
        self.queries.rows("keep_replaced", **row)
        self.queries.rows("replace_trajectory", **row)

    def set_outcome(self, value: ReportedOutcome) -> None:
        self.queries.touch(value.trajectory_id or "")
        self.queries.rows("set_trajectory_outcome", **columns_of(value))


def _wanted_row(wanted: TrajectoryFilter) -> dict[str, Any]:
    row = columns_of(wanted, projects=projects_json(wanted.projects))
    return row | text_row(wanted.text)


@sound
def trajectory(row: Row) -> RecordedTrajectory:
    body = row["body"]
    if row["compressed"]:
        body = unpacked(body)
    content: dict[str, Any] = json.loads(body) if body else {}
    steps = content.get("steps")
    agent = row["agent_name"], row["agent_model"]
    return value_of(
        RecordedTrajectory,
        row,
        steps=None if steps is None else tuple(_step(step) for step in steps),
        transcript=content.get("transcript"),
        agent=None if agent == (None, None) else Agent(name=agent[0], model=agent[1]),
    )


def unpacked(body: bytes) -> bytes:
    """A body that was compressed; a file from elsewhere may hold one that never ends.

    Raises:
        CorruptError: it does, or it is damaged.
    """
    unpacking = zlib.decompressobj()
    with contextlib.suppress(zlib.error):
        text = unpacking.decompress(body, BODY_LIMIT)
        if unpacking.eof:
            return text
    raise apsw.CorruptError("a trajectory is damaged")


def _step(step: Mapping[str, Any]) -> Step:
    return Step(kind=StepKind(step["kind"]), content=step["content"], name=step.get("name"))


def trajectory_row(value: RecordedTrajectory, content_hash: str) -> dict[str, Any]:
    body = _body(value)
    compressed = body is not None and len(body) > COMPRESS_OVER
    return columns_of(
        value,
        content_hash=content_hash,
        agent_name=value.agent and value.agent.name,
        agent_model=value.agent and value.agent.model,
        body=zlib.compress(body, 6) if body and compressed else body,
        compressed=int(compressed),
    )


def _body(value: RecordedTrajectory) -> bytes | None:
    if value.steps is None and value.transcript is None:
        return None
    content: dict[str, object] = {"transcript": value.transcript}
    if value.steps is not None:
        steps = [
            {"kind": str(step.kind), "content": step.content}
            | ({} if step.name is None else {"name": step.name})
            for step in value.steps
        ]
        content = {"steps": steps}
    return json.dumps(content, ensure_ascii=False).encode()
