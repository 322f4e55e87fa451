"""Imports: FLEX entries as they came, and the experiences made of them."""

from dataclasses import dataclass

from flex_mcp.storage.protocol import Entry, EntryPart
from flex_mcp.storage.sqlite.queries import Queries


@dataclass(slots=True)
class Imports:
    """See `storage.protocol.Imports`."""

    queries: Queries

    def entries(self) -> list[Entry]:
        parts: dict[int, list[EntryPart]] = {}
        for row in self.queries.rows("entry_parts"):
            part = EntryPart(row["kind"], row["identity"], row["experience_id"])
            parts.setdefault(row["entry"], []).append(part)
        return [
            Entry(row["identity"], row["zone"], row["json"], tuple(parts.get(row["number"], ())))
            for row in self.queries.rows("entries")
        ]

    def made_of(self, identity: str) -> str | None:
        found = self.queries.column("part", identity=identity)
        return found[0] if found else None

    def add(self, entry: Entry) -> None:
        self.queries.rows("drop_emptied_entry", identity=entry.identity)
        values = {"identity": entry.identity, "zone": entry.zone, "json": entry.json}
        for number in self.queries.column("add_entry", **values):
            for place, part in enumerate(entry.parts):
                self.queries.rows(
                    "add_entry_part",
                    entry=number,
                    place=place,
                    kind=part.kind,
                    identity=part.identity,
                    experience_id=part.experience_id,
                )
