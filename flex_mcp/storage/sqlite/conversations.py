"""Conversations: the turns of open briefs, and what they cost."""

import json
from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models.briefs import Prompt, Reply, Turn
from flex_mcp.storage.sqlite.queries import Queries, Row, sound, value_of
from flex_mcp.validation import adapter


@dataclass(slots=True)
class Conversations:
    """See `storage.protocol.Conversations`."""

    queries: Queries

    def turns(self, brief_id: str) -> list[Turn]:
        found = (turn(row) for row in self.queries.rows("turns", id=brief_id))
        return [turn for turn in found if turn]

    def cost(self, brief_id: str) -> tuple[int | None, str | None]:
        ((tokens, model),) = self.queries.tuples("cost", id=brief_id)
        return tokens, model

    def batches(self, now: datetime) -> dict[str, list[str]]:
        found = self.queries.tuples("batches", now=now.isoformat())
        return {batch: json.loads(brief_ids) for batch, brief_ids in found}

    def put(self, value: Turn) -> None:
        reply = value.reply
        self.queries.touch(value.brief_id)
        self.queries.rows(
            "put_turn",
            brief_id=value.brief_id,
            place=value.place,
            prompt=adapter(Prompt).dump_json(value.prompt).decode(),
            reply=reply and adapter(Reply).dump_json(reply).decode(),
            model=reply and reply.model,
            input_tokens=reply and reply.input_tokens,
            output_tokens=reply and reply.output_tokens,
            batch=value.batch,
        )

    def clear(self, brief_id: str) -> None:
        self.queries.rows("clear_turns", id=brief_id)


@sound
def turn(row: Row) -> Turn | None:
    """None where the brief has ended and only its cost is kept."""
    if row["prompt"] is None:
        return None
    reply = adapter(Reply).validate_json(row["reply"]) if row["reply"] else None
    return value_of(Turn, row, prompt=adapter(Prompt).validate_json(row["prompt"]), reply=reply)
