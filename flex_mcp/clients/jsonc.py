"""Changing one entry of a JSON file, comments or not: everything else keeps its every character."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

SKIP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*[\s\S]*?\*/)*")
SAME_LINE = re.compile(r"(?:[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/))*")  # comments that end a line
BLANK = re.compile(r"[ \t]*")
COMMENT = re.compile(
    r'"(?:[^"\\]|\\.)*"|(//[^\r\n]*|/\*[\s\S]*?\*/)'
)  # or a string, which has none
REFUSED = "comments and commas at an end are"
Cut = tuple[int, int, str]  # from, to, and what takes its place


@dataclass(frozen=True, slots=True)
class _Node:
    start: int
    end: int
    value: Any
    members: "tuple[_Member, ...]" = ()


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    start: int
    node: _Node


class SyntaxFaultError(ValueError):
    """A text is not of its format; says where."""


@dataclass(frozen=True, slots=True)
class Json:
    """JSON as a client reads it.

    Args:
        comments: whether it reads `//` and `/* */`.
        commas: whether it then also reads a comma before a closing bracket.
    """

    comments: bool
    commas: bool = True
    name: str = "JSON"

    def data(self, text: str) -> Any:
        """What the text holds; an empty one holds an empty object.

        Raises:
            SyntaxFaultError: it is no JSON that the client reads.
        """
        if not text.strip():
            return {}
        value = _parsed(text).value
        if not (self.comments and self.commas):
            refused = (
                "a comma at an end is" if self.comments else "comments and commas at an end are"
            )
            try:
                json.loads(_uncommented(text) if self.comments else text)
            except json.JSONDecodeError as error:
                _fault(text, error.pos, f"{refused} not allowed here")
        return value

    def put(self, text: str, keys: Sequence[str], value: object) -> str:
        """The text with a value under the keys; those that are missing are made."""
        if not text.strip():
            return json.dumps(_nested(keys, value), indent=2, ensure_ascii=False) + "\n"
        node = _parsed(text)
        style, at = _Style(text, node), node.start
        for depth, key in enumerate(keys):
            member = _member(node, key)
            if member is None:
                return _cut(text, [style.insertion(node, key, _nested(keys[depth + 1 :], value))])
            node, at = member.node, member.start
        inline = style.one_line and "\n" not in text[node.start : node.end]
        shown = style.dumped(value, None if inline else style.margin(at))
        return _cut(text, [(node.start, node.end, shown)])

    def drop(self, text: str, keys: Sequence[str]) -> str:
        """The text without what is under the keys."""
        node = _parsed(text)
        way: list[tuple[_Node, _Member]] = []
        for key in keys:
            member = _member(node, key)
            if member is None:
                return text
            way.append((node, member))
            node = member.node
        return self.drop(_cut(text, _removal(text, *way[-1])), keys)  # it may be there twice


class _Style:
    """How a file is written, so that what is added looks like it."""

    def __init__(self, text: str, root: _Node) -> None:
        self.text, self.indent = text, "  "
        if root.members and (margin := _margin(text, root.members[0].start)):
            self.indent = margin.removeprefix(_margin(text, root.start)) or self.indent
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.one_line = "\n" not in text.strip() and bool(root.members)

    def margin(self, at: int) -> str:
        """What begins a line like that of `at`."""
        return self.newline + _margin(self.text, at)

    def dumped(self, value: object, margin: str | None) -> str:
        """A value in lines that begin so, or on one line."""
        if margin is None:
            return json.dumps(value, ensure_ascii=False)
        return json.dumps(value, ensure_ascii=False, indent=self.indent).replace("\n", margin)

    def insertion(self, node: _Node, key: str, value: object) -> Cut:
        """What adds a member at the end of an object."""
        text, start = self.text, node.start + 1
        if not node.members:
            return self._first(node, key, value)
        last = node.members[-1]
        comma = _comma(text, last.node.end)
        after = last.node.end if comma is None else comma + 1
        begin, end = (",", "") if comma is None else ("", ",")
        if "\n" not in text[start : node.members[0].start]:
            return (after, after, f"{begin} {json.dumps(key)}: {self.dumped(value, None)}{end}")
        margin = self.margin(last.start)
        place = _end(SAME_LINE, text, after)
        piece = f"{margin}{json.dumps(key)}: {self.dumped(value, margin)}"
        return (after, place, f"{begin}{text[after:place]}{piece}{end}")

    def _first(self, node: _Node, key: str, value: object) -> Cut:
        text, start, end = self.text, node.start + 1, node.end - 1
        is_empty = not text[start:end].strip()
        if self.one_line and is_empty:
            return (start, end, f"{json.dumps(key)}: {self.dumped(value, None)}")
        base = self.margin(node.start)
        margin = base + self.indent
        piece = f"{margin}{json.dumps(key)}: {self.dumped(value, margin)}"
        if is_empty:
            return (start, end, piece + base)
        place = _end(SAME_LINE, text, start)
        return (place, place, piece + ("" if "\n" in text[place : node.end] else base))


def _removal(text: str, node: _Node, member: _Member) -> list[Cut]:
    """What takes a member out: with its comma, and with its lines where nothing else is there."""
    index = node.members.index(member)
    comma = _comma(text, member.node.end)
    start, end = member.start, member.node.end if comma is None else comma + 1
    around = text[node.start + 1 : start] + text[end : node.end - 1]
    if len(node.members) == 1 and not around.strip():
        return [(node.start + 1, node.end - 1, "")]
    cuts: list[Cut] = []
    if comma is None and index and (before := _comma(text, node.members[index - 1].node.end)):
        cuts.append((before, before + 1, ""))
    line, rest = len(text[:start].rstrip(" \t")), _end(BLANK, text, end)
    opens = text[:line].endswith(("\n", "\r"))
    if opens and text[rest : rest + 1] in {"\n", "\r"}:
        start = line - (2 if text[:line].endswith("\r\n") else 1)
        end = rest
    elif opens or comma is not None:
        end = rest
    else:
        start = max([line, *(stop for _, stop, _ in cuts)])
    return [*cuts, (start, end, "")]


def _uncommented(text: str) -> str:
    """The text with spaces for comments, so that all else keeps its place."""
    return COMMENT.sub(lambda one: re.sub(r"[^\r\n]", " ", one[0]) if one[1] else one[0], text)


def _parsed(text: str) -> _Node:
    try:
        node = _value(text, _end(SKIP, text, 0))
    except RecursionError as error:
        raise SyntaxFaultError("it is nested too deeply") from error
    rest = _end(SKIP, text, node.end)
    if rest < len(text):
        _fault(text, rest, "nothing may follow here")
    return node


def _value(text: str, at: int) -> _Node:
    if text.startswith("{", at):
        return _object(text, at)
    if text.startswith("[", at):
        return _array(text, at)
    try:
        value, end = DECODER.raw_decode(text, at)
    except ValueError:
        _fault(text, at, "a value is missing or malformed")
    return _Node(at, end, value)


def _object(text: str, start: int) -> _Node:
    members: list[_Member] = []
    at = _end(SKIP, text, start + 1)
    while not text.startswith("}", at):
        if not text.startswith('"', at):
            _fault(text, at, "a name in double quotes, or a closing brace, is missing")
        key = _value(text, at)
        colon = _end(SKIP, text, key.end)
        if not text.startswith(":", colon):
            _fault(text, colon, "a colon is missing")
        node = _value(text, _end(SKIP, text, colon + 1))
        members.append(_Member(key.value, at, node))
        at = _next(text, node.end, "}")
    value = {member.key: member.node.value for member in members}
    return _Node(start, at + 1, value, tuple(members))


def _array(text: str, start: int) -> _Node:
    values: list[Any] = []
    at = _end(SKIP, text, start + 1)
    while not text.startswith("]", at):
        node = _value(text, at)
        values.append(node.value)
        at = _next(text, node.end, "]")
    return _Node(start, at + 1, values)


def _next(text: str, at: int, closing: str) -> int:
    at = _end(SKIP, text, at)
    if text.startswith(",", at):
        return _end(SKIP, text, at + 1)
    if not text.startswith(closing, at):
        _fault(text, at, f"a comma, or a closing {closing}, is missing")
    return at


def _fault(text: str, at: int, what: str) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    raise SyntaxFaultError(f"line {line}, column {column}: {what}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


DECODER = json.JSONDecoder(parse_constant=_no_number)  # NaN is no JSON


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _comma(text: str, at: int) -> int | None:
    """Where the comma after a value is, if there is one."""
    at = _end(SKIP, text, at)
    return at if text.startswith(",", at) else None


def _member(node: _Node, key: str) -> _Member | None:
    """The member that counts: of two with one name, the last."""
    return next((one for one in reversed(node.members) if one.key == key), None)


def _margin(text: str, at: int) -> str:
    """The white space that the line of `at` begins with."""
    line = text.rfind("\n", 0, at) + 1
    return text[line : min(_end(BLANK, text, line), at)]


def _nested(keys: Sequence[str], value: object) -> object:
    for key in reversed(keys):
        value = {key: value}
    return value


def _cut(text: str, cuts: Sequence[Cut]) -> str:
    for start, end, piece in sorted(cuts, reverse=True):
        text = text[:start] + piece + text[end:]
    return text
