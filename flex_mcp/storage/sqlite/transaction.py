"""One transaction on a library file: the tables and both indexes change together."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import apsw

from flex_mcp.errors import InputError
from flex_mcp.models import (
    Brief,
    Counters,
    Decision,
    Experience,
    Filter,
    Outcome,
    RecordedTrajectory,
    Retrieval,
    Revision,
    Snapshot,
    Status,
    TrajectoryState,
    Vectors,
    new_id,
    utc_now,
)
from flex_mcp.models.briefs import Reply, Turn
from flex_mcp.storage.protocol import EPOCH, Entry, IndexedText, Scored
from flex_mcp.storage.sqlite import rows, search_index
from flex_mcp.storage.sqlite.search_index import OwnChanges, SearchIndex
from flex_mcp.storage.sqlite.snapshot import NAMED, SqliteReading, staging_name

if TYPE_CHECKING:
    from flex_mcp.models.forgetting import Affected

KEPT = 100_000  # signatures; older ones go


class SqliteWriting(SqliteReading):
    """See `storage.protocol.Writing`. No triggers: they fail on vec0 under `trusted_schema=OFF`."""

    def __init__(self, connection: apsw.Connection, index: SearchIndex) -> None:
        super().__init__(connection, index)
        self._own = OwnChanges(index)  # not yet committed: the shared index must not know
        self._touched: dict[str, None] = {}  # ids, in order, that are not signed for
        self._changes = connection.total_changes()

    def sign(self, verb: str, client: str) -> None:
        if self._connection.total_changes() == self._changes:
            return
        number = self._run(
            "add_write",
            at=utc_now().isoformat(),
            client=client,
            process=os.getpid(),
            verb=verb,
            ids=rows.as_json(list(self._touched)[:NAMED]),
            touched=len(self._touched),
        )[0]["number"]
        self._run("drop_writes", last=number - KEPT)
        self._touched.clear()
        self._changes = self._connection.total_changes()

    def _touch(self, *ids: str) -> None:
        self._touched |= dict.fromkeys(ids)

    def _nearest(
        self, run: search_index.Run, vector: bytes, depth: int, wanted: Filter
    ) -> list[Scored]:
        return self._own.nearest(run, vector, depth, wanted)

    def set_setting(self, name: str, value: str) -> None:
        self._run("set_setting", name=name, value=value)

    def add_trajectory(self, trajectory: RecordedTrajectory, content_hash: str) -> None:
        self._touch(trajectory.id)
        self._run("add_trajectory", **rows.trajectory_row(trajectory, content_hash))
        self.link_retrievals(trajectory.id, trajectory.retrieval_ids)

    def link_retrievals(self, trajectory_id: str, retrieval_ids: Sequence[str]) -> None:
        for retrieval_id in retrieval_ids:
            self._run(
                "add_trajectory_retrieval", trajectory_id=trajectory_id, retrieval_id=retrieval_id
            )

    def set_state(self, ids: Sequence[str], state: TrajectoryState) -> None:
        self._touch(*ids)
        self._run("set_state", ids=rows.as_json(ids), state=str(state))

    def use_vectors(self, vectors: Vectors) -> None:
        search_index.create(self._connection, vectors.dimension)
        self._name_vectors(vectors)

    def _name_vectors(self, vectors: Vectors) -> None:
        self.set_setting("vectors", json.dumps(dataclasses.asdict(vectors)))

    def put_experience(
        self,
        experience: Experience,
        vectors: Sequence[bytes] | None,
        text: IndexedText | None,
    ) -> None:
        self._touch(experience.id)
        number = self._run("put_experience", **rows.experience_row(experience))[0]["number"]
        self._run("clear_evidence", id=experience.id)
        for place, trajectory_id in enumerate(experience.evidence):
            self._run("add_evidence", id=experience.id, place=place, trajectory_id=trajectory_id)
        self._index_text(number, experience.status, text)
        search_index.put(self._tuples, number, experience, vectors)

    def _index_text(self, number: int, status: Status, text: IndexedText | None) -> None:
        if text is not None or status is not Status.ACTIVE:
            self._run("clear_words", number=number)
        if text is None:
            return
        if status is Status.ACTIVE:
            self._run("add_words", number=number, **text.columns)
        self._run("put_tokens", number=number, version=text.version, tokens=text.tokens)

    def add_revision(self, revision: Revision) -> None:
        self._run("add_revision", **rows.revision_row(revision))

    def add_retrieval(self, retrieval: Retrieval) -> None:
        self.restore_retrieval(retrieval)
        self._run("count_served", id=retrieval.id)

    def restore_retrieval(self, retrieval: Retrieval) -> None:
        self._touch(retrieval.id)
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
        self._touch(retrieval_id)
        self._run("set_outcome", id=retrieval_id, outcome=str(outcome))
        return [Counters(**row) for row in self._run("counters", id=retrieval_id)]

    def add_brief(self, brief: Brief) -> None:
        self._touch(brief.id)
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
        self._touch(brief_id)
        self._run(
            "close_brief",
            id=brief_id,
            answer_hash=answer_hash,
            decisions=rows.decisions_json(tuple(decisions)),
        )
        self._run("clear_turns", id=brief_id)

    def claim_until(self, brief_id: str, expires_at: datetime) -> None:
        self._touch(brief_id)
        self._run("claim_until", id=brief_id, expires_at=expires_at.isoformat())

    def put_turn(self, turn: Turn) -> None:
        self._touch(turn.brief_id)
        prompt = rows.prompt_json(turn.prompt)
        self._run("put_turn", brief_id=turn.brief_id, place=turn.place, prompt=prompt)

    def put_reply(self, turn: Turn, reply: Reply) -> None:
        self._touch(turn.brief_id)
        row = rows.reply_row(reply)
        self._run("put_reply", brief_id=turn.brief_id, place=turn.place, **row)

    def put_batch(self, turn: Turn, batch: str | None) -> None:
        self._touch(turn.brief_id)
        self._run("put_batch", brief_id=turn.brief_id, place=turn.place, batch=batch)

    def clear_turns(self, brief_id: str) -> None:
        self._run("clear_turns", id=brief_id)

    def add_entry(self, entry: Entry) -> None:
        self._run("drop_emptied_entry", identity=entry.identity)
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

    def forget(self, affected: "Affected") -> None:
        from flex_mcp.storage.sqlite import forgetting  # late: few processes forget

        forgetting.forget(self._connection, affected)

    def forget_history(self, experience_id: str, before: int) -> None:
        self._run("forget_history", id=experience_id, revision=before)

    def begin_staging(self, vectors: Vectors) -> None:
        if self.setting("staged_for") != staging_name(vectors):
            self._run("clear_staged")
            self.set_setting("staged_for", staging_name(vectors))

    def stage(
        self,
        vectors: Vectors,
        embedded: Sequence[tuple[Experience, Sequence[bytes], IndexedText]],
    ) -> None:
        self._check_staging(vectors)
        texts = {(one.id, one.revision): text for one, _, text in embedded}
        for experience in self.experiences([one.id for one, _, _ in embedded]):
            if text := texts.get((experience.id, experience.revision)):  # else it was indexed since
                number = self._run("number", id=experience.id)[0]["number"]
                self._index_text(number, experience.status, text)
        for experience, chunks, _ in embedded:
            self._run("clear_staged_experience", id=experience.id)
            for chunk in chunks:
                self._run(
                    "add_staged",
                    id=experience.id,
                    revision=experience.revision,
                    vector=chunk,
                )

    def _check_staging(self, vectors: Vectors) -> None:
        if self.setting("staged_for") != staging_name(vectors):
            raise InputError(
                "another reindex of this library is under way or just ended: run it again"
            )

    def switch(self, vectors: Vectors) -> None:
        self._check_staging(vectors)
        search_index.take_staged(self._connection, vectors.dimension)
        self._name_vectors(vectors)
        self._run("clear_staged")
        self.set_setting("staged_for", "")

    def rebuild_words(self, indexed: Callable[[Snapshot], IndexedText]) -> None:
        """Make words and tokens anew from the tables; `indexed` makes the text of each."""
        tables = [row["sql"] for row in self._run("words_tables")]
        self._run("drop_words")
        for sql in tables:
            self._connection.execute(sql)
        self._run("clear_tokens")
        for number, id_ in list(self._tuples("numbers_and_ids")):
            (experience,) = self.experiences([id_])
            self._index_text(number, experience.status, indexed(experience))

    def rebuild(self, indexed: Callable[[Snapshot], IndexedText]) -> None:
        """Make what is derived from the tables anew; of the vectors, what can be read is kept."""
        self.rebuild_words(indexed)
        search_index.rebuild(self._connection)
        self.set_setting(EPOCH, new_id("x"))
