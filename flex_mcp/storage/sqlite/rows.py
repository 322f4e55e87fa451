"""Rows of the tables as values, and back."""

import functools
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import apsw

from flex_mcp.models import (
    Agent,
    Brief,
    Decision,
    Experience,
    Filter,
    Level,
    Origin,
    Outcome,
    RecordedTrajectory,
    Revision,
    RevisionKind,
    Road,
    Snapshot,
    Spent,
    Status,
    Step,
    StepKind,
    TrajectoryState,
    Vectors,
    VerifiedBy,
    Write,
    Zone,
)
from flex_mcp.models.briefs import Prompt, Reply, Turn
from flex_mcp.storage.protocol import Scored, Standing
from flex_mcp.validation import adapter

T = TypeVar("T")
Row = Mapping[str, Any]
R = TypeVar("R", Row, tuple[Any, ...])
COMPRESS_OVER = 4096  # bytes of a trajectory's body
BODY_LIMIT = 64 * 1024 * 1024  # bytes of one; 5 MiB of text in JSON, whatever its characters

Decisions = tuple[Decision, ...]


def _sound(read: Callable[[R], T]) -> Callable[[R], T]:
    """A row that holds what we never write is damage that SQLite does not see."""

    @functools.wraps(read)
    def reading(row: R) -> T:
        try:
            return read(row)
        except (ValueError, TypeError, LookupError, AttributeError, zlib.error) as error:
            raise apsw.CorruptError(f"a {read.__name__} is damaged") from error

    return reading


def as_json(items: Iterable[object]) -> str:
    return json.dumps(list(items), ensure_ascii=False)


def texts(column: str) -> tuple[str, ...]:
    return () if column == "[]" else tuple(json.loads(column))  # most are empty, and many are read


@_sound
def experience(row: Row) -> Experience:
    return Experience(
        id=row["id"],
        zone=Zone(row["zone"]),
        level=Level(row["level"]),
        title=row["title"],
        when=row["when"],
        lesson=row["lesson"],
        examples=texts(row["examples"]),
        domain=row["domain"],
        tags=texts(row["tags"]),
        priority=row["priority"],
        status=Status(row["status"]),
        superseded_by=row["superseded_by"],
        evidence=texts(row["evidence"]),
        origin=Origin(
            kind=row["origin_kind"],
            by=row["origin_by"],
            road=Road(row["origin_road"]) if row["origin_road"] else None,
            model=row["origin_model"],
            prompts=row["origin_prompts"],
            tokens=row["origin_tokens"],
        ),
        revision=row["revision"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        served=row["served"],
        successes=row["successes"],
        failures=row["failures"],
    )


@_sound
def standing(row: tuple[Any, ...]) -> Standing:
    id_, zone, level, priority, successes, failures, updated_at = row
    at = datetime.fromisoformat(updated_at)
    if at.tzinfo is None:
        raise ValueError(updated_at)
    return Standing(id_, Zone(zone), Level(level), priority, successes, failures, at)


@_sound
def scored(row: tuple[Any, ...]) -> Scored:
    id_, zone, level, score = row
    return Scored(id_, Zone(zone), Level(level), score)


def experience_row(value: Experience) -> dict[str, Any]:
    return {
        "id": value.id,
        "zone": str(value.zone),
        "level": str(value.level),
        "title": value.title,
        "when": value.when,
        "lesson": value.lesson,
        "examples": as_json(value.examples),
        "domain": value.domain,
        "tags": as_json(value.tags),
        "priority": value.priority,
        "status": str(value.status),
        "superseded_by": value.superseded_by,
        "fingerprint": value.fingerprint,
        "origin_kind": value.origin.kind,
        "origin_by": value.origin.by,
        "origin_road": value.origin.road and str(value.origin.road),
        "origin_model": value.origin.model,
        "origin_prompts": value.origin.prompts,
        "origin_tokens": value.origin.tokens,
        "revision": value.revision,
        "created_at": value.created_at.isoformat(),
        "updated_at": value.updated_at.isoformat(),
        "served": value.served,
        "successes": value.successes,
        "failures": value.failures,
    }


def _snapshot(text: str) -> Snapshot:
    """As it was kept: the limits of what comes in may have been others then."""
    content = json.loads(text)
    for name in ("title", "when", "lesson"):
        if not isinstance(content[name], str):
            raise TypeError(name)
    kinds: dict[str, Callable[[Any], Any]] = {"zone": Zone, "level": Level, "status": Status}
    kinds |= dict.fromkeys(("examples", "tags", "evidence"), tuple)
    return Snapshot(**{name: kinds.get(name, _same)(value) for name, value in content.items()})


def _same(value: T) -> T:
    return value


@_sound
def revision(row: Row) -> Revision:
    before = row["before"]
    return Revision(
        experience_id=row["experience_id"],
        revision=row["revision"],
        kind=RevisionKind(row["kind"]),
        before=None if before is None else _snapshot(before),
        after=_snapshot(row["after"]),
        actor=row["actor"],
        at=datetime.fromisoformat(row["at"]),
        reason=row["reason"],
        trajectory_id=row["trajectory_id"],
        origin=adapter(Origin).validate_json(row["origin"]) if row["origin"] else None,
    )


def revision_row(value: Revision) -> dict[str, Any]:
    before = value.before
    return {
        "experience_id": value.experience_id,
        "revision": value.revision,
        "kind": str(value.kind),
        "before": None if before is None else adapter(Snapshot).dump_json(before).decode(),
        "after": adapter(Snapshot).dump_json(value.after).decode(),
        "actor": value.actor,
        "at": value.at.isoformat(),
        "reason": value.reason,
        "trajectory_id": value.trajectory_id,
        "origin": value.origin and adapter(Origin).dump_json(value.origin).decode(),
    }


@_sound
def write(row: Row) -> Write:
    return Write(
        number=row["number"],
        at=datetime.fromisoformat(row["at"]),
        client=row["client"],
        process=row["process"],
        verb=row["verb"],
        ids=texts(row["ids"]),
        touched=row["touched"],
    )


@_sound
def trajectory(row: Row) -> RecordedTrajectory:
    body = row["body"]
    if row["compressed"]:
        body = unpacked(body)
    content: dict[str, Any] = json.loads(body) if body else {}
    steps = content.get("steps")
    agent = row["agent_name"], row["agent_model"]
    return RecordedTrajectory(
        id=row["id"],
        key=row["key"],
        task=row["task"],
        domain=row["domain"],
        steps=None if steps is None else tuple(_step(step) for step in steps),
        transcript=content.get("transcript"),
        answer=row["answer"],
        outcome=Outcome(row["outcome"]),
        score=row["score"],
        feedback=row["feedback"],
        verified_by=VerifiedBy(row["verified_by"]),
        agent=None if agent == (None, None) else Agent(name=agent[0], model=agent[1]),
        state=TrajectoryState(row["state"]),
        recorded_at=datetime.fromisoformat(row["recorded_at"]),
        retrieval_ids=tuple(json.loads(row["retrieval_ids"])),
    )


def unpacked(body: bytes) -> bytes:
    """A body that was compressed; a file from elsewhere may hold one that never ends."""
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(body, BODY_LIMIT)
    if not unpacking.eof:
        raise zlib.error
    return text


def _step(step: Mapping[str, Any]) -> Step:
    return Step(kind=StepKind(step["kind"]), content=step["content"], name=step.get("name"))


def trajectory_row(value: RecordedTrajectory, content_hash: str) -> dict[str, Any]:
    body = _body(value)
    compressed = body is not None and len(body) > COMPRESS_OVER
    return {
        "id": value.id,
        "key": value.key,
        "content_hash": content_hash,
        "task": value.task,
        "domain": value.domain,
        "outcome": str(value.outcome),
        "answer": value.answer,
        "score": value.score,
        "feedback": value.feedback,
        "verified_by": str(value.verified_by),
        "agent_name": value.agent and value.agent.name,
        "agent_model": value.agent and value.agent.model,
        "body": zlib.compress(body, 6) if body and compressed else body,
        "compressed": int(compressed),
        "state": str(value.state),
        "recorded_at": value.recorded_at.isoformat(),
    }


def _body(value: RecordedTrajectory) -> bytes | None:
    if value.steps is not None:
        steps = [
            {"kind": str(step.kind), "content": step.content}
            | ({} if step.name is None else {"name": step.name})
            for step in value.steps
        ]
        return json.dumps({"steps": steps}, ensure_ascii=False).encode()
    if value.transcript is not None:
        return json.dumps({"transcript": value.transcript}, ensure_ascii=False).encode()
    return None


@_sound
def brief(row: Row) -> Brief:
    return Brief(
        id=row["id"],
        trajectory_ids=tuple(json.loads(row["trajectory_ids"])),
        rendered=row["rendered"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        road=Road(row["road"]),
        prompts=row["prompts"],
        answer_hash=row["answer_hash"],
        decisions=adapter(Decisions).validate_json(row["decisions"]),
    )


@_sound
def turn(row: Row) -> Turn | None:
    """None where the brief has ended and only its cost is kept."""
    if row["prompt"] is None:
        return None
    return Turn(
        brief_id=row["brief_id"],
        place=row["place"],
        prompt=adapter(Prompt).validate_json(row["prompt"]),
        reply=adapter(Reply).validate_json(row["reply"]) if row["reply"] else None,
        batch=row["batch"],
    )


def prompt_json(prompt: Prompt) -> str:
    return adapter(Prompt).dump_json(prompt).decode()


def reply_row(reply: Reply) -> dict[str, Any]:
    return {
        "reply": adapter(Reply).dump_json(reply).decode(),
        "model": reply.model,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
    }


@_sound
def spent(row: Row) -> Spent:
    return Spent(
        road=Road(row["road"]),
        model=row["model"],
        questions=row["questions"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
    )


def decisions_json(decisions: tuple[Decision, ...]) -> str:
    return adapter(Decisions).dump_json(decisions).decode()


def filter_row(wanted: Filter) -> dict[str, Any]:
    return {
        "zones": None if wanted.zones is None else as_json(sorted(wanted.zones)),
        "levels": None if wanted.levels is None else as_json(sorted(wanted.levels)),
        "domain": wanted.domain,
    }


def vectors_of(value: str) -> Vectors:
    """What made the vectors, as the setting says it."""
    return Vectors(**json.loads(value))


def single(vector: bytes) -> bytes:
    """A vector of float32 of one of float16, as schemas before 7 have them."""
    import numpy as np

    return np.frombuffer(vector, np.float16).astype(np.float32).tobytes()
