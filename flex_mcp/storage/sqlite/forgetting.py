"""Forgetting in the file: the rows, and what is made of them.

The rows go in one transaction, which leaves a mark: the ids of what went. Until the file was
cleaned and checked for these, the mark stays, and any later run goes on from there.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from flex_mcp.storage.protocol import FORGETTING
from flex_mcp.storage.sqlite import search_index
from flex_mcp.storage.sqlite.queries import Queries, Run, as_json, first
from flex_mcp.storage.sqlite.trajectories import unpacked

if TYPE_CHECKING:
    from flex_mcp.models.forgetting import Affected, Held, Kind  # late: few processes forget

ID = re.compile(r"(?=([a-z]_[a-z2-7]{12}))")
FEW = 8  # ids up to which a text is searched for one after the other


@dataclass(slots=True)
class Forgetting:
    """See `storage.protocol.Forgetting`."""

    queries: Queries

    def texts(self, kind: "Kind") -> "Iterator[Held]":
        from flex_mcp.models.forgetting import Held

        for id_, at, domain, text, *body in self.queries.tuples(f"texts_of_{kind}"):
            decoded = "\n".join(map(_decoded, (text, *_whole(*body))))
            yield Held(id_, decoded, domain, datetime.fromisoformat(at) if at else None)

    def naming(self, kind: "Kind", ids: Collection[str]) -> set[str]:
        wanted = frozenset(ids)

        def is_named(text: str) -> bool:
            if len(wanted) <= FEW:
                return any(id_ in text for id_ in wanted)
            return not wanted.isdisjoint(ID.findall(text))

        return {id_ for id_, text in self.queries.tuples(f"naming_{kind}") if is_named(text)}

    def linked(self, kind: "Kind", ids: Collection[str]) -> set[str]:
        return set(self.queries.column(f"linked_{kind}", ids=as_json(ids)))

    def forget(self, affected: "Affected") -> None:
        run, connection = self.queries.tuples, self.queries.connection
        connection.pragma("secure_delete", 1)
        numbers = self.queries.column("numbers", ids=as_json(affected.experiences))
        for verb, chosen in (
            ("empty_entries", affected.entries),
            ("forget_strata", affected.experiences),
            ("forget_experiences", affected.experiences),
            ("forget_trajectories", affected.trajectories),
            ("forget_links", affected.retrievals),
            ("uncount_retrievals", affected.retrievals),
            ("forget_retrievals", affected.retrievals),
            ("forget_briefs", affected.briefs),
            ("forget_writes", affected.ids),
            ("forget_clients", affected.clients),
        ):
            run(verb, ids=as_json(chosen))
        run("forget_emptied_entries")
        for number in numbers:
            run("clear_words", number=number)
        if numbers:
            search_index.forget(connection)
        if affected.document:
            document = self.queries.first("setting", name="flex_document")
            run("forget_setting", name="flex_document", value=document)
        mark = affected.ids | (mark_in(run) or frozenset())
        run("set_setting", name=FORGETTING, value=as_json(mark))


def _whole(body: bytes | None = None, compressed: int = 0) -> Iterator[bytes]:
    """The body of a trajectory; nothing of other kinds."""
    if body:
        yield unpacked(body) if compressed else body


def _decoded(text: str | bytes) -> str:
    try:
        return "\n".join(_strings(json.loads(text)))
    except ValueError:
        return text if isinstance(text, str) else text.decode(errors="replace")


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in cast("list[object]", value):
                yield from _strings(item)
        case dict():
            for key, item in cast("dict[str, object]", value).items():
                yield key
                yield from _strings(item)
        case _:
            pass


def mark_in(run: Run) -> frozenset[str] | None:
    """The ids that a forgetting left behind which has not ended."""
    found = first(run, "setting", name=FORGETTING)
    return None if found is None else frozenset(json.loads(found))
