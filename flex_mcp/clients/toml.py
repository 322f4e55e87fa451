"""Changing one table of a TOML file: everything else keeps its every character."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from flex_mcp.clients.jsonc import SyntaxFaultError

LINE = re.compile(r"[^\n]*\n|[^\n]+")
HEADER = re.compile(r"[ \t]*\[")
LONG = re.compile(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'')  # a header in such a string is none
IDLE = re.compile(r"[ \t]*(?:#[^\n]*)?\r?\n?")


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
        """
        rest = self.drop(text, keys)
        newline = "\r\n" if "\r\n" in text else "\n"
        gap = newline if rest.strip() else ""
        added = gap + _table(keys, value).replace("\n", newline)
        if rest and not rest.endswith("\n"):  # nor will the whole
            added = newline + added.removesuffix(newline)
        try:
            tomllib.loads(rest + added)
        except tomllib.TOMLDecodeError:
            return _into(rest, keys, value)
        return rest + added

    def drop(self, text: str, keys: Sequence[str]) -> str:
        """The text without the table under two keys."""
        data = tomllib.loads(text)
        if keys[1] not in data.get(keys[0], {}):
            return text
        del data[keys[0]][keys[1]]
        rest = "".join(_without_blocks(text, _header_of(keys)))
        if not text.endswith("\n"):  # nor will what is left
            rest = rest.removesuffix("\n").removesuffix("\r")
        if _same(rest, data):
            return rest
        return _out_of(text, keys)


def _header_of(keys: Sequence[str]) -> re.Pattern[str]:
    names = (rf"(?:{re.escape(key)}|\"{re.escape(key)}\"|'{re.escape(key)}')" for key in keys)
    path = r"[ \t]*\.[ \t]*".join(names)
    return re.compile(rf"[ \t]*\[[ \t]*{path}[ \t]*(?:\.[^\n]*)?\][ \t]*(?:#[^\n]*)?\r?\n?")


def _without_blocks(text: str, ours: re.Pattern[str]) -> list[str]:
    """The lines but those of our tables; what follows the last setting is somebody else's."""
    blind = LONG.sub(lambda found: re.sub(r"[^\n]", "x", found[0]), text)
    kept: list[str] = []
    block: list[str] = []
    for line, shown in zip(LINE.findall(text), LINE.findall(blind), strict=True):
        if HEADER.match(shown):
            _end_block(kept, block)
            block = [line] if ours.fullmatch(shown) else []
        elif block:
            block.append(line)
        if not block:
            kept.append(line)
    _end_block(kept, block)
    return kept


def _end_block(kept: list[str], block: Sequence[str]) -> None:
    end = len(block)
    while end > 1 and IDLE.fullmatch(block[end - 1]):
        end -= 1
    after = block[end:]
    if block and kept and not kept[-1].strip() and not (after and after[0].strip()):
        kept.pop()  # the gap that stood before our table
    kept += after


def _same(text: str, data: Mapping[str, Any]) -> bool:
    """Whether a text holds this; a table that is empty now may be gone with its last entry."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return found == data or found == {name: value for name, value in data.items() if value != {}}


def _table(keys: Sequence[str], value: Mapping[str, Any]) -> str:
    import tomlkit

    document = tomlkit.document()
    outer = tomlkit.table(is_super_table=True)
    outer[keys[1]] = _item(value, inline=False)
    document[keys[0]] = outer
    return tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]  as tomlkit has it


def _item(value: object, *, inline: bool) -> Any:
    """A table of ours; what lies in it is inline, so that it is one block."""
    import tomlkit

    if not isinstance(value, dict):
        return value
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for name, part in cast("dict[str, object]", value).items():
        table[name] = _item(part, inline=True)
    return table


def _into(text: str, keys: Sequence[str], value: Mapping[str, Any]) -> str:
    import tomlkit

    document: Any = tomlkit.parse(text)
    document[keys[0]][keys[1]] = _item(value, inline=True)
    return tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]


def _out_of(text: str, keys: Sequence[str]) -> str:
    import tomlkit

    document: Any = tomlkit.parse(text)
    del document[keys[0]][keys[1]]
    return tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]
