"""One transaction on a library file: the tables and both indexes change together."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from flex_mcp.errors import InputError
from flex_mcp.models import (
    Brief,
    Counters,
    Decision,
    Experience,
    Outcome,
    RecordedTrajectory,
    Retrieval,
    Revision,
    Status,
    TrajectoryState,
    Vectors,
)
from flex_mcp.sqlite import rows
from flex_mcp.sqlite.reading import SqliteReading, staging_name, vectors_table
from flex_mcp.store import Entry
from flex_mcp.turns import Reply, Turn


class SqliteWriting(SqliteReading):
    """See `flex_mcp.store.Writing`. No triggers: they fail on vec0 under `trusted_schema=OFF`."""

    def set_setting(self, name: str, value: str) -> None:
        self._run("set_setting", name=name, value=value)

    def add_trajectory(self, trajectory: RecordedTrajectory, content_hash: str) -> None:
        self._run("add_trajectory", **rows.trajectory_row(trajectory, content_hash))
        self.link_retrievals(trajectory.id, trajectory.retrieval_ids)

    def link_retrievals(self, trajectory_id: str, retrieval_ids: Sequence[str]) -> None:
        for retrieval_id in retrieval_ids:
            self._run(
                "add_trajectory_retrieval", trajectory_id=trajectory_id, retrieval_id=retrieval_id
            )

    def set_state(self, ids: Sequence[str], state: TrajectoryState) -> None:
        self._run("set_state", ids=rows.as_json(ids), state=str(state))

    def use_vectors(self, vectors: Vectors) -> None:
        self._connection.execute(vectors_table(vectors.dimension))
        self.set_setting("vectors", json.dumps(dataclasses.asdict(vectors)))

    def put_experience(self, experience: Experience, vectors: Sequence[bytes] | None) -> None:
        number = self._run("put_experience", **rows.experience_row(experience))[0]["number"]
        self._run("clear_evidence", id=experience.id)
        for place, trajectory_id in enumerate(experience.evidence):
            self._run("add_evidence", id=experience.id, place=place, trajectory_id=trajectory_id)
        self._index_words(number, experience)
        self._index_vectors(number, experience, vectors)

    def _index_words(self, number: int, experience: Experience) -> None:
        self._run("clear_words", number=number)
        if experience.status is Status.ACTIVE:
            self._run("add_words", number=number, **rows.words_row(experience))

    def _index_vectors(
        self, number: int, experience: Experience, vectors: Sequence[bytes] | None
    ) -> None:
        chunks = {row["chunk"]: row["vector"] for row in self._run("chunks", number=number)}
        for chunk in chunks:
            self._run("clear_vector", chunk=chunk)
        if vectors is not None:
            self._run("clear_embeddings", number=number)
            halves = [rows.half(vector) for vector in vectors]
            chunks = {
                self._run("add_embedding", number=number, vector=half)[0]["chunk"]: half
                for half in halves
            }
        if experience.status is Status.ACTIVE:
            for chunk, half in chunks.items():
                self._index_vector(chunk, experience.level, experience.zone, half)

    def _index_vector(self, chunk: int, level: str, zone: str, half: bytes) -> None:
        vector = rows.single(half)
        if not any(vector):
            return  # a text without a known token is found by its words alone
        self._run(
            "add_vector",
            chunk=chunk,
            level=str(level),
            zone=str(zone),
            vector=vector,
        )

    def add_revision(self, revision: Revision) -> None:
        self._run("add_revision", **rows.revision_row(revision))

    def add_retrieval(self, retrieval: Retrieval) -> None:
        self.restore_retrieval(retrieval)
        self._run("count_served", id=retrieval.id)

    def restore_retrieval(self, retrieval: Retrieval) -> None:
        self._run(
            "add_retrieval",
            id=retrieval.id,
            query=retrieval.query,
            at=retrieval.at.isoformat(),
            client=retrieval.client,
            outcome=None if retrieval.outcome is None else str(retrieval.outcome),
        )
        counted = retrieval.credits or (0,) * len(retrieval.served)
        hits = zip(retrieval.served, retrieval.scores, counted, strict=True)
        for place, (experience_id, score, credit) in enumerate(hits, start=1):
            self._run(
                "add_retrieval_hit",
                id=retrieval.id,
                place=place,
                experience_id=experience_id,
                score=score,
                credit=credit,
            )

    def set_outcome(
        self, retrieval_id: str, outcome: Outcome, counted: Mapping[str, int]
    ) -> list[Counters]:
        for hit in self._run("retrieval_hits", id=retrieval_id):
            experience_id, earlier = hit["experience_id"], hit["credit"]
            credit = counted.get(experience_id, 0)
            self._run("credit", id=retrieval_id, experience_id=experience_id, credit=credit)
            self._run(
                "count_credit",
                experience_id=experience_id,
                successes=(credit > 0) - (earlier > 0),
                failures=(credit < 0) - (earlier < 0),
            )
        self._run("set_outcome", id=retrieval_id, outcome=str(outcome))
        return [Counters(**row) for row in self._run("counters", id=retrieval_id)]

    def add_brief(self, brief: Brief) -> None:
        self._run(
            "add_brief",
            id=brief.id,
            rendered=brief.rendered,
            created_at=brief.created_at.isoformat(),
            expires_at=brief.expires_at.isoformat(),
            road=str(brief.road),
            prompts=brief.prompts,
        )
        for place, trajectory_id in enumerate(brief.trajectory_ids):
            self._run(
                "add_brief_trajectory",
                brief_id=brief.id,
                place=place,
                trajectory_id=trajectory_id,
            )

    def close_brief(self, brief_id: str, answer_hash: str, decisions: Sequence[Decision]) -> None:
        self._run(
            "close_brief",
            id=brief_id,
            answer_hash=answer_hash,
            decisions=rows.decisions_json(tuple(decisions)),
        )
        self._run("clear_turns", id=brief_id)

    def claim_until(self, brief_id: str, expires_at: datetime) -> None:
        self._run("claim_until", id=brief_id, expires_at=expires_at.isoformat())

    def put_turn(self, turn: Turn) -> None:
        prompt = rows.prompt_json(turn.prompt)
        self._run("put_turn", brief_id=turn.brief_id, place=turn.place, prompt=prompt)

    def put_reply(self, turn: Turn, reply: Reply) -> None:
        row = rows.reply_row(reply)
        self._run("put_reply", brief_id=turn.brief_id, place=turn.place, **row)

    def put_batch(self, turn: Turn, batch: str | None) -> None:
        self._run("put_batch", brief_id=turn.brief_id, place=turn.place, batch=batch)

    def clear_turns(self, brief_id: str) -> None:
        self._run("clear_turns", id=brief_id)

    def add_entry(self, entry: Entry) -> None:
        found = self._run("add_entry", identity=entry.identity, zone=entry.zone, json=entry.json)
        for row in found:
            for place, part in enumerate(entry.parts):
                self._run(
                    "add_entry_part",
                    entry=row["number"],
                    place=place,
                    kind=part.kind,
                    identity=part.identity,
                    experience_id=part.experience_id,
                )

    def begin_staging(self, vectors: Vectors) -> None:
        if self.setting("staged_for") != staging_name(vectors):
            self._run("clear_staged")
            self.set_setting("staged_for", staging_name(vectors))

    def stage(
        self, vectors: Vectors, embedded: Sequence[tuple[Experience, Sequence[bytes]]]
    ) -> None:
        self._check_staging(vectors)
        for experience, chunks in embedded:
            self._run("clear_staged_experience", id=experience.id)
            for chunk in chunks:
                self._run(
                    "add_staged",
                    id=experience.id,
                    revision=experience.revision,
                    vector=rows.half(chunk),
                )

    def _check_staging(self, vectors: Vectors) -> None:
        if self.setting("staged_for") != staging_name(vectors):
            raise InputError(
                "another reindex of this library is under way or just ended: run it again"
            )

    def switch(self, vectors: Vectors) -> None:
        self._check_staging(vectors)
        self._run("drop_vectors")
        self._run("clear_all_embeddings")
        self._run("take_staged")
        self.use_vectors(vectors)
        for row in self._run("indexable"):
            self._index_vector(row["chunk"], row["level"], row["zone"], row["vector"])
        self._run("clear_staged")
        self.set_setting("staged_for", "")
