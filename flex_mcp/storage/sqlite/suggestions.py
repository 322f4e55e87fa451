"""Suggestions: pairs of experiences that were compared, and what was dismissed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models import Concern, Experience, Filter, Relation, Suggestion
from flex_mcp.storage.sqlite.queries import Queries, filter_row


@dataclass(slots=True)
class Suggestions:
    """See `storage.protocol.Suggestions`."""

    queries: Queries

    def all(
        self, wanted: Filter, *, before: datetime, searches: int, often: int
    ) -> list[Suggestion]:
        chosen = filter_row(wanted)
        values = {"before": before.isoformat(), "searches": searches - 1, "often": often}
        rows = [
            *self.queries.tuples("concerns", **chosen, **values),
            *self.queries.tuples("pairs", **chosen),
        ]
        return [Suggestion(Concern(concern), tuple(ids)) for concern, *ids in rows]

    def uncompared(self, limit: int) -> list[str]:
        return self.queries.column("uncompared", limit=limit)

    def count_uncompared(self) -> int:
        return self.queries.first("count_uncompared")

    def put_pairs(self, seen: Experience, relations: Mapping[str, Relation]) -> None:
        run = self.queries.tuples
        if not self.queries.column("set_compared", id=seen.id, revision=seen.revision):
            return
        run("clear_pairs", id=seen.id)
        for other, relation in relations.items():
            run("put_pair", id=seen.id, other=other, relation=str(relation))

    def dismiss(self, suggestion: Suggestion) -> None:
        self._set("dismiss", suggestion)

    def take_up(self, suggestion: Suggestion) -> None:
        self._set("take_up", suggestion)

    def _set(self, verb: str, suggestion: Suggestion) -> None:
        one, other = suggestion.ids[0], suggestion.ids[-1]
        self.queries.touch(*suggestion.ids)
        self.queries.tuples(verb, one=one, other=other, concern=str(suggestion.concern))
