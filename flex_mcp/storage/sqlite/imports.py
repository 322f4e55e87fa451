"""Imports: FLEX entries as they came, and the experiences made of them."""

from dataclasses import dataclass

from flex_mcp.storage.protocol import Entry, EntryPart
from flex_mcp.storage.sqlite.queries import Queries, columns_of, value_of


@dataclass(slots=True)
class Imports:
    """See `storage.protocol.Imports`."""

    queries: Queries

    def entries(self) -> list[Entry]:
        parts: dict[int, list[EntryPart]] = {}
        for row in self.queries.rows("entry_parts"):
            parts.setdefault(row["entry"], []).append(value_of(EntryPart, row))
        return [
            value_of(Entry, row, parts=tuple(parts.get(row["number"], ())))
            for row in self.queries.rows("entries")
        ]

    def made_of(self, identity: str) -> str | None:
        return self.queries.first("part", identity=identity)

    def add(self, entry: Entry) -> None:
        self.queries.rows("drop_emptied_entry", identity=entry.identity)
        for number in self.queries.column("add_entry", **columns_of(entry)):
            for place, part in enumerate(entry.parts):
                self.queries.rows("add_entry_part", entry=number, place=place, **columns_of(part))
