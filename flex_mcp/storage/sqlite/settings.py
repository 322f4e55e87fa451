"""Small values kept in the file."""

from dataclasses import dataclass

from flex_mcp.storage.sqlite.queries import Queries


@dataclass(slots=True)
class Settings:
    """See `storage.protocol.Settings`."""

    queries: Queries

    def get(self, name: str) -> str | None:
        return self.queries.first("setting", name=name)

    def set(self, name: str, value: str) -> None:
        self.queries.rows("set_setting", name=name, value=value)
