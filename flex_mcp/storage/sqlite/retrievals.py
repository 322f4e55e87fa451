"""Retrievals: which searches served what, and what came of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flex_mcp.models import Counters, Outcome, Retrieval
from flex_mcp.storage.sqlite.queries import Queries, Row, as_json, columns_of, sound, value_of


@dataclass(slots=True)
class Retrievals:
    """See `storage.protocol.Retrievals`."""

    queries: Queries

    def get(self, retrieval_id: str) -> Retrieval | None:
        if (found := self.queries.row("retrieval", id=retrieval_id)) is None:
            return None
        return retrieval(found | {"hits": self.queries.rows("retrieval_hits", id=retrieval_id)})

    def ids(self) -> list[str]:
        return self.queries.column("retrieval_ids")

    def add(self, value: Retrieval) -> None:
        self.restore(value)
        self.queries.rows("count_served", id=value.id)

    def restore(self, value: Retrieval, known: Collection[str] = ()) -> None:
        self.queries.touch(value.id)
        self.queries.rows("add_retrieval", **columns_of(value))
        none = (0,) * len(value.served)
        said = value.credits or none, value.named or none
        hits = zip(value.served, value.scores, *said, strict=True)
        for place, (experience_id, score, credit, named) in enumerate(hits, start=1):
            self.queries.rows(
                "add_retrieval_hit",
                id=value.id,
                place=place,
                experience_id=experience_id,
                score=score,
                credit=credit,
                named=named,
            )
        if known:
            self.queries.rows("count_restored", id=value.id, known=as_json(known))

    def set_outcome(
        self,
        retrieval_id: str,
        outcome: Outcome,
        counted: Mapping[str, int],
        named: Mapping[str, int],
    ) -> list[Counters]:
        for hit in self.queries.rows("retrieval_hits", id=retrieval_id):
            id_ = hit["experience_id"]
            values = {"credit": counted.get(id_, 0), "named": named.get(id_, 0)}
            self.queries.rows("credit", id=retrieval_id, experience_id=id_, **values)
            (more, less), (helpful, harmful) = (
                ((now > 0) - (hit[name] > 0), (now < 0) - (hit[name] < 0))
                for name, now in values.items()
            )
            self.queries.rows(
                "count_credit",
                experience_id=id_,
                successes=more,
                failures=less,
                helpful=helpful,
                harmful=harmful,
            )
        self.queries.touch(retrieval_id)
        self.queries.rows("set_outcome", id=retrieval_id, outcome=str(outcome))
        return [Counters(**row) for row in self.queries.rows("counters", id=retrieval_id)]


@sound
def retrieval(row: Row) -> Retrieval:
    """`hits` are its hits' rows, in order."""
    hits = row["hits"]
    return value_of(
        Retrieval,
        row,
        served=tuple(hit["experience_id"] for hit in hits),
        scores=tuple(hit["score"] for hit in hits),
        credits=tuple(hit["credit"] for hit in hits),
        named=tuple(hit["named"] for hit in hits),
    )
