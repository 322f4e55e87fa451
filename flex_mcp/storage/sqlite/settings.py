"""Small values kept in the file."""

from dataclasses import dataclass

from flex_mcp.storage.sqlite.queries import Queries


@dataclass(slots=True)
class Settings:
    """See `storage.protocol.Settings`."""

    queries: Queries

    def get(self, name: str) -> str | None:
        found = self.queries.column("setting", name=name)
        return found[0] if found else None

    def set(self, name: str, value: str) -> None:
        self.queries.rows("set_setting", name=name, value=value)
