"""A lesson as a text that a person edits: a line for each short field, then a part for each text.

The text is read back field by field, so what was not touched is not changed, whatever it holds.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from flex_mcp.errors import InputError
from flex_mcp.models import Level, Snapshot, Strict, Zone
from flex_mcp.validation import checked, glance

S = TypeVar("S", bound=Strict)

LINES = ("title", "zone", "level", "domain", "project", "tags", "priority")
PARTS = ("when", "lesson", "example")
MADE = re.compile(r"#.* of revision (\d{1,9})\b")
PART = re.compile(r"--- (\S+) ---\s*")
ESCAPED = re.compile(r"\\+--- \S+ ---\s*")  # the first \ is ours
NOTES = f"""\
# A field is emptied where its text is deleted. Lines with # up here are left out.
# zone: {", ".join(Zone)}. level: {", ".join(Level)}. priority: 1 to 5, the highest.
# project: the only one in which it holds; empty for everywhere. tags: with commas between.
# What stands below "--- lesson ---" is the lesson, up to the next such line. An example is
# another case with its own result; each has a part of its own.
"""
EMPTY: Mapping[str, Any] = {"zone": Zone.GOLDEN, "level": Level.PATTERN, "priority": 3}


def form(todo: str, values: Mapping[str, Any], revision: int | None = None) -> str:
    """The text for a person, who is told what to do with it, and of which revision it is made."""
    lines = [f"{name}: {_line(values.get(name))}" for name in LINES]
    texts = [*((name, values.get(name) or "") for name in ("when", "lesson"))]
    texts += [("example", one) for one in values.get("examples") or ("",)]
    parts = [f"--- {name} ---\n{_escaped(text)}\n" for name, text in texts]
    made = f"# This was made of revision {revision}.\n" if revision else ""
    return "\n".join((f"# {todo}\n{made}{NOTES}", *lines, "", *parts))


def values_of_form(one: Snapshot) -> dict[str, Any]:
    """What the form of an experience holds."""
    names = (*LINES, "when", "lesson", "examples")
    return {name: getattr(one, name) for name in names}


def _line(value: object) -> str:
    match value:
        case None:
            return ""
        case tuple():
            return ", ".join(map(_line, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            return " ".join(str(value).split())


def _escaped(text: str) -> str:
    """A text of which no line looks as if a part began."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(f"\\{line}" if _is_mark(line) else line for line in lines)


def _is_mark(line: str) -> bool:
    return bool(PART.fullmatch(line) or ESCAPED.fullmatch(line))


class Form:
    """A form as a person gave it back: the fields that stand there, and what is wrong with it."""

    def __init__(self, text: str) -> None:
        self.wrong: list[str] = []
        self.revision: int | None = None  # of which it was made
        self._parts: list[tuple[str, list[str]]] = []
        self.fields: dict[str, Any] = {}
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
            self._read(number, line)
        if self._parts:
            self.fields["examples"] = tuple(filter(None, self._texts("example")))
        for name in ("when", "lesson"):
            if len(texts := self._texts(name)) > 1:
                self.wrong.append(f"{name} is there twice: give one of them")
            if texts:
                self.fields[name] = texts[0]

    def _texts(self, name: str) -> list[str]:
        found = ("\n".join(lines) for part, lines in self._parts if part == name)
        return [text.strip("\n").rstrip() for text in found]

    def _read(self, number: int, line: str) -> None:
        if begun := PART.fullmatch(line):
            if begun[1] not in PARTS:
                self.wrong.append(
                    f"line {number}: {glance(line.strip())!r} begins no part, which are "
                    f"{', '.join(PARTS)}: put \\ before it where it is text"
                )
            self._parts.append((begun[1], []))
        elif self._parts:
            self._parts[-1][1].append(line[1:] if ESCAPED.fullmatch(line) else line)
        elif made := MADE.match(line):
            self.revision = int(made[1])
        elif line.strip() and not line.startswith("#"):
            self._read_field(number, line)

    def _read_field(self, number: int, line: str) -> None:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or name not in LINES:
            which = f"there is no field {glance(name)!r}; there are {', '.join(LINES)}"
            self.wrong.append(f"line {number}: {which}")
        elif name in self.fields:
            self.wrong.append(f"{name} is there twice: give one of them")
        else:
            self.fields[name] = _value(name, value)

    def checked(self, kind: type[S], value: S | Mapping[str, Any]) -> S:
        """A value of these fields.

        Raises:
            InputError: all that is wrong with the form and the value.
        """
        wrong = list(self.wrong)
        try:
            made = checked(kind, value)
        except InputError as error:
            raise InputError("; ".join([*wrong, str(error)])) from error
        if wrong:
            raise InputError("; ".join(wrong))
        return made


def _value(name: str, text: str) -> object:
    if name == "tags":
        return tuple(filter(None, (tag.strip() for tag in text.split(","))))
    return int(text) if name == "priority" and text.isdecimal() and len(text) < 5 else text
