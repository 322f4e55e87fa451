"""Forgetting in the file: the rows, and what is made of them.

The rows go in one transaction, which leaves a mark: the ids of what went. Until the file was
cleaned and checked for these, the mark stays, and any later run goes on from there.
"""

import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, cast

import apsw

from flex_mcp.models.forgetting import Affected, Held, Kind
from flex_mcp.storage.protocol import FORGETTING
from flex_mcp.storage.sqlite import rows, search_index
from flex_mcp.storage.sqlite.file import runner

Run = Callable[..., Iterator[tuple[Any, ...]]]

ID = re.compile(r"(?=([a-z]_[a-z2-7]{12}))")
FEW = 8  # ids up to which a text is searched for one after the other


# What is held


def held(run: Run, kind: Kind) -> Iterator[Held]:
    """All rows of a kind, decoded."""
    if kind is Kind.TRAJECTORY:
        for id_, at, domain, body, compressed, text in run("held_trajectory"):
            whole = zlib.decompress(body) if compressed else body or b"[]"
            texts = f"{_decoded(text)}\n{_decoded(whole)}"
            yield Held(id_, texts, domain, datetime.fromisoformat(at))
        return
    for id_, at, domain, text in run(f"held_{kind}"):
        yield Held(id_, _decoded(text), domain, datetime.fromisoformat(at) if at else None)


def _decoded(text: str | bytes) -> str:
    try:
        return "\n".join(_strings(json.loads(text)))
    except ValueError:
        return text if isinstance(text, str) else text.decode(errors="replace")


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in cast("list[object]", value):
                yield from _strings(item)
        case dict():
            for key, item in cast("dict[str, object]", value).items():
                yield key
                yield from _strings(item)
        case _:
            pass


def naming(run: Run, kind: Kind, ids: Collection[str]) -> set[str]:
    """Whose rows of this kind name one of the ids."""
    wanted = frozenset(ids)

    def is_named(text: str) -> bool:
        if len(wanted) <= FEW:
            return any(id_ in text for id_ in wanted)
        return not wanted.isdisjoint(ID.findall(text))

    return {id_ for id_, text in run(f"naming_{kind}") if is_named(text)}


# The rows


def forget(connection: apsw.Connection, affected: Affected) -> None:
    """Delete what goes, and leave the mark; `connection` is in a transaction."""
    connection.pragma("secure_delete", 1)
    run = runner(connection)
    numbers = [number for (number,) in run("numbers", ids=rows.as_json(affected.experiences))]
    for verb, chosen in (
        ("empty_entries", affected.entries),
        ("forget_experiences", affected.experiences),
        ("forget_trajectories", affected.trajectories),
        ("forget_links", affected.retrievals),
        ("forget_retrievals", affected.retrievals),
        ("forget_briefs", affected.briefs),
        ("forget_writes", affected.ids),
        ("forget_clients", affected.clients),
    ):
        run(verb, ids=rows.as_json(chosen))
    run("forget_emptied_entries")
    _forget_indexed(connection, numbers)
    if affected.document:
        run(
            "forget_setting",
            name="flex_document",
            value=next(run("setting", name="flex_document"))[0],
        )
    _put_mark(run, affected.ids | (mark_in(run) or frozenset()))


def _forget_indexed(connection: apsw.Connection, numbers: Collection[int]) -> None:
    """What is made of experiences and does not go with them."""
    for number in numbers:
        runner(connection)("clear_words", number=number)
    if numbers:
        search_index.forget(connection)


def mark_in(run: Run) -> frozenset[str] | None:
    """The ids that a forgetting left behind which has not ended."""
    found = next(run("setting", name=FORGETTING), None)
    return frozenset(json.loads(found[0])) if found else None


def _put_mark(run: Run, ids: Collection[str]) -> None:
    run("set_setting", name=FORGETTING, value=rows.as_json(ids))
