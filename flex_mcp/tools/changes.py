"""What a revision changed, field by field, in words that a person reads; pure functions."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import cast

from flex_mcp.models import Revision, Snapshot

PIECES = re.compile(r"(?<=[.!?])\s+|\n+")  # a text is compared sentence by sentence
TEXTS = {"when", "lesson"}


@dataclass(frozen=True, slots=True)
class Change:
    """What went out of a field, and what came in; neither where the order alone is another."""

    field: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


def changes(revision: Revision) -> list[Change]:
    """What a revision changed; nothing where the experience began with it."""
    before = revision.before
    if before is None:
        return []
    names = [one.name for one in fields(Snapshot)]
    pairs = ((name, getattr(before, name), getattr(revision.after, name)) for name in names)
    return [_change(name, old, new) for name, old, new in pairs if old != new]


def _change(name: str, old: object, new: object) -> Change:
    label = name.replace("_", " ")
    if name in TEXTS:
        removed, added = _differing(PIECES.split(str(old)), PIECES.split(str(new)))
        return Change(label, tuple(filter(None, removed)), tuple(filter(None, added)))
    if isinstance(old, tuple):
        these, those = cast("tuple[str, ...]", old), cast("tuple[str, ...]", new)
        return Change(label, tuple(_without(these, those)), tuple(_without(those, these)))
    return Change(label, _said(old), _said(new))  # pyright: ignore[reportUnknownArgumentType]


def _said(value: object) -> tuple[str, ...]:
    return () if value is None else (str(value),)


def _without(these: Sequence[str], those: Sequence[str]) -> Iterator[str]:
    return (one for one in these if one not in those)


def _differing(old: Sequence[str], new: Sequence[str]) -> tuple[list[str], list[str]]:
    """The pieces of each that the other has not in that place."""
    removed: list[str] = []
    added: list[str] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind != "equal":
            removed += old[first:last]
            added += new[begin:end]
    return removed, added
