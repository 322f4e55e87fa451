"""A client's file as it was read: our entry, and its place."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flex_mcp.clients import files
from flex_mcp.clients.catalog import CLIENTS, ROOTS, Client
from flex_mcp.clients.entries import NAME, Entry, mapping
from flex_mcp.clients.jsonc import SyntaxFaultError
from flex_mcp.clients.places import ClientName
from flex_mcp.errors import ClientError


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A client's file as it was read; `keys` lead to our entry."""

    client: Client
    config: files.Config
    data: Entry
    keys: tuple[str, ...]

    @property
    def is_there(self) -> bool:
        return self.config.raw is not None

    @property
    def has_ours(self) -> bool:
        return NAME in self._servers(self.data)

    @property
    def ours(self) -> Entry | None:
        """Our entry; None where there is none, and empty where it is none."""
        return mapping(self._servers(self.data)[NAME]) if self.has_ours else None

    @property
    def has_unread_mark(self) -> bool:
        """Whether it begins with a byte order mark, and the client does not read such a file."""
        return self.config.has_mark and not self.client.reads_bom

    @property
    def unread(self) -> tuple[str, ...]:
        """Keys with servers that only other clients read."""
        others = sorted(ROOTS - {self.client.root})
        return tuple(key for key in others if mapping(self.data.get(key)))

    @property
    def is_misplaced(self) -> bool:
        """Whether our entry is under such a key only."""
        return not self.has_ours and any(NAME in self.data[key] for key in self.unread)

    def changed(self, value: Entry | None) -> str:
        """The text with our entry so, or without it; checked by reading it again.

        Raises:
            ClientError: this file cannot be changed without harm.
        """
        form, before, keys = self.client.format, self.config.text, self.keys
        try:
            text = form.put(before, keys, value) if value is not None else form.drop(before, keys)
            if self._filled(form.data(text)) == self._filled(self._expected(value)):
                return text
        except SyntaxFaultError:
            pass  # what it became is no longer of its format
        raise ClientError(
            f"{self.config.path} is written in a way that flex-mcp cannot change safely; it was "
            f"left as it is: edit {'.'.join(self.keys)} by hand"
        )

    def _servers(self, data: Entry) -> Entry:
        for key in self.keys[:-1]:
            data = mapping(data.get(key))
        return data

    def _expected(self, value: Entry | None) -> Entry:
        whole = mapping(self.data)
        level = whole
        for key in self.keys[:-1]:
            level[key] = level = mapping(level.get(key))
        level.pop(NAME, None)
        if value is not None:
            level[NAME] = value
        return whole

    def _filled(self, data: Entry) -> Entry:
        """Data without a table of servers that has none: TOML has no such thing."""
        return {key: value for key, value in data.items() if key != self.keys[0] or value != {}}


def read(name: ClientName, path: Path) -> ClientFile:
    """A client's file, there or not.

    Raises:
        ClientError: it cannot be read, or does not hold what such a file holds.
    """
    client = CLIENTS[name]
    config = files.read(path)
    try:
        data = client.format.data(config.text)
    except SyntaxFaultError as error:
        raise ClientError(
            f"{path} is no {client.format.name} that {client.title} reads ({error}); it was left "
            "as it is: mend it first"
        ) from error
    keys = _keys(name, client, data)
    level = data
    for depth, key in enumerate(keys):
        if not isinstance(level, dict):
            where = ".".join(keys[:depth]) or "what it holds"
            raise ClientError(
                f"{path} was left as it is, since {where} is no object: mend it first"
            )
        level = mapping(cast("object", level)).get(key, {})
    return ClientFile(client, config, data, keys)


def alike(one: Entry | None, other: Entry | None) -> bool:
    """Whether two entries say the same; no variables, or an empty set of them, is one thing."""
    first, second = (
        entry and {key: value for key, value in entry.items() if value != {}}
        for entry in (one, other)
    )
    return first == second


def _keys(name: ClientName, client: Client, data: object) -> tuple[str, ...]:
    """Where our entry stands; OpenCode 2 has a level more, `mcp.servers`."""
    servers = mapping(mapping(data).get(client.root)).get("servers")
    if name is ClientName.OPENCODE and isinstance(servers, dict) and "type" not in servers:
        return (client.root, "servers", NAME)
    return (client.root, NAME)
