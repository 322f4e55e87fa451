"""Edit one table of a TOML file in place: everything else keeps its every character.

Blocks of lines are moved as text, since tomlkit writes some files' tables in another order; it
serves where our table is part of another one, inline or dotted.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from flex_mcp.clients.jsonc import SyntaxFaultError

HEADER = re.compile(r"^[ \t]*\[.*\n?", re.MULTILINE)
FOREIGN = re.compile(r"(?:^[ \t]*(?:#.*)?\r?(?:\n|\Z))*\Z", re.MULTILINE)  # heads the next table
HOLE = "\0"  # where our table stood; no TOML holds it
GAP = re.compile(r"(?<=\n)\r?\n\0(?=\r?\n|\Z)|\0")  # the hole, with the empty line before it


class Toml:
    """TOML, where the entries are tables such as `[mcp_servers.flex-mcp]`."""

    name = "TOML"

    def data(self, text: str) -> Any:
        """What the text holds.

        Raises:
            SyntaxFaultError: it is no TOML.
        """
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SyntaxFaultError(str(error)) from error
        except RecursionError as error:
            raise SyntaxFaultError("it is nested too deeply") from error

    def put(self, text: str, keys: Sequence[str], value: Mapping[str, Any]) -> str:
        """The text with a table under two keys; it stands at the end.

        Where that cannot be, since the first key is an inline or a dotted table, it becomes part of
        that one.

        Raises:
            SyntaxFaultError: nor can that be.
        """
        import tomlkit

        rest, newline = self.drop(text, keys), "\r\n" if "\r\n" in text else "\n"
        table = tomlkit.table()
        table.update({name: _inline(part) for name, part in value.items()})
        added = tomlkit.dumps({keys[0]: {keys[1]: table}}).replace("\n", newline)
        if rest.strip():
            added = newline + added
        if rest and not rest.endswith("\n"):  # nor will the whole
            added = newline + added.removesuffix(newline)
        return rest + added if _loads(rest + added) else _edited(rest, keys, value)

    def drop(self, text: str, keys: Sequence[str]) -> str:
        """The text without the table under two keys.

        Raises:
            SyntaxFaultError: it cannot be.
        """
        rest = text
        for start, end in reversed([*_blocks(text, keys)]):
            foreign = cast("re.Match[str]", FOREIGN.search(text[start:end]))[0]
            rest = rest[:start] + HOLE + foreign + rest[end:]
        rest = GAP.sub("", rest)
        if _holds(rest, keys):
            rest = _edited(rest, keys, None)
        return rest if text.endswith("\n") else rest.removesuffix("\n").removesuffix("\r")


def _blocks(text: str, keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where our tables are, from a header to the next; one within a string or a list is none."""
    headers = [*HEADER.finditer(text)]
    ends = [*(header.start() for header in headers), len(text)]
    for header in headers:
        start = header.start()
        if _holds(header[0], keys) and _loads(text[:start]) is not None:
            yield start, next(end for end in ends if end > start and _loads(text[start:end]))


def _holds(text: str, keys: Sequence[str]) -> bool:
    servers = (_loads(text) or {}).get(keys[0])
    return isinstance(servers, dict) and keys[1] in servers


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _edited(text: str, keys: Sequence[str], value: Mapping[str, Any] | None) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
        if tomlkit.dumps(document) != text:
            raise SyntaxFaultError("its tables would change places")
        if value is None:
            del document[keys[0]][keys[1]]
        else:
            document[keys[0]][keys[1]] = _inline(value)
        return tomlkit.dumps(document)
    except TOMLKitError as error:
        raise SyntaxFaultError(str(error)) from error


def _inline(value: object) -> Any:
    """A value as tomlkit has it, on one line."""
    import tomlkit

    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    for name, part in cast("Mapping[str, object]", value).items():
        table[name] = _inline(part)
    return table
