"""What the fuzz tests share: hostile values, and what must be true of every answer.

`FUZZ=20 python -m pytest -m "" tests/test_fuzz_*.py` runs twenty times as many examples, other ones
each time; without it they are the same everywhere, and few.
"""

import copy
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import apsw
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from support.examples import examples

TIMES = int(os.environ.get("FUZZ", "0"))  # noqa: TID251  of the tests, not of the product
INSTANCES = "words_instances"  # every word with its place
ASIDE = {
    "words_data",
    "words_idx",
    "retrievals",
    "retrieval_hits",
    "writes",
    "sqlite_sequence",
}  # of searches, whose log is written behind
LEAKS = re.compile(
    r"Traceback|pydantic|validation error|https?://|apsw|File \"|NoneType|object at 0x"
)

NASTY = [
    *("", " ", "\0", "\x1b[2J", "\r\n", "\u202e", "\u200b", "\ud800", "\udfff\ud800", "\ufeff"),
    *(
        "../../etc/passwd",
        "/",
        "%2e%2e%2f",
        "~",
        "C:\\",
        "file:///etc/passwd",
        "'; DROP TABLE x;--",
    ),
    *('"', "$task", "{}", "[]", "[" * 600, '{"a":' * 300, "null", "NaN", "1e999", "é" * 5000, "*"),
    *("AND OR NOT NEAR(", "\U0001f99c" * 50, "a" * 25_000, "x/y//z/", "e_" + "a" * 12, "t_", "b_x"),
]
texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=30), st.text(st.characters(), max_size=8)
)
numbers = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([2**31, -(2**63), 2**64, 10**400, -0.0, 1e308, 0.5, 1.0000001]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)


def fuzzed(number: int) -> Callable[[Any], Any]:
    """So many examples; `FUZZ` times as many, and other ones each time, where that is set."""
    return settings(
        max_examples=number * TIMES if TIMES else examples(number),
        derandomize=not TIMES,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # looking for a smaller example takes longer than all else
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.large_base_example,
        ],
    )


def of_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a published schema takes, and now and then one that it does not."""
    return st.one_of(_of(schema), _of(schema), _of(schema), anything)


def _of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911  kinds of schema
    if options := schema.get("anyOf"):
        return st.one_of([_of(option) for option in options])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            named = {name: of_schema(one) for name, one in schema.get("properties", {}).items()}
            needed = {name: named.pop(name) for name in schema.get("required", ()) if name in named}
            return st.fixed_dictionaries(needed, optional=named)
        case "array":
            return st.lists(of_schema(schema.get("items", {})), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 10))
        case "number":
            return st.floats(0, 1)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return texts


@st.composite
def spoiled(draw: st.DrawFn, whole: Any) -> Any:
    """A JSON value with something in it replaced, taken out, put twice or put in."""
    value: Any = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(anything)
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["replace", "replace", "drop", "add"]))
        new = draw(anything)
        if kind == "replace":
            holder[key] = new
        elif kind == "drop":
            del holder[key]
        elif isinstance(key, str):
            holder[draw(texts)] = new
        else:
            holder.insert(key, copy.deepcopy(holder[key]))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each member and item in it, with what holds it."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(cast("dict[str, Any]", value))
    elif isinstance(value, list):
        keys = list(range(len(cast("list[Any]", value))))
    for key in keys:
        yield value, key
        yield from _places(value[key])


damages = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "flip", "set", "cut", "twice", "end"]),
        st.integers(0, 1_000_000),  # where, in millionths
        st.sampled_from([1, 1, 2, 16, 200, 5_000]),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=8,
)


def flipped(whole: bytes) -> st.SearchStrategy[bytes]:
    """Bytes with some of them changed, cut out, said twice, or the end cut off."""
    return damages.map(lambda drawn: damaged(whole, drawn))


def damaged(whole: bytes, drawn: Sequence[tuple[str, int, int, int]]) -> bytes:
    made = bytearray(whole)
    for kind, millionths, length, byte in drawn:
        at = len(made) * millionths // 1_000_001
        piece = made[at : at + length]
        match kind:
            case "flip":
                made[at : at + 1] = bytes(one ^ (1 << byte % 8) for one in piece[:1])
            case "set":
                made[at : at + length] = bytes([byte]) * len(piece)
            case "cut":
                del made[at : at + length]
            case "twice":
                made[at:at] = piece
            case _:
                del made[at:]
    return bytes(made)


def check_sentence(said: str) -> None:
    """What a person or model reads of a refusal: one line in our words."""
    assert said.strip()
    assert len(said) < 2_000, said[:2_000]
    assert "\n" not in said.strip(), said
    assert not LEAKS.search(said), said


def tables(path: Path) -> dict[str, str]:
    """A hash of each table of a library, but those that searches write behind.

    The words' index counts by what is in it: a quiet moment merges its segments.
    """
    if not path.exists():
        return {}
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        named = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE V%'"
        names = [name for (name,) in connection.execute(named) if name not in ASIDE]
        words = f'CREATE VIRTUAL TABLE temp."{INSTANCES}" USING fts5vocab (main, words, instance)'
        connection.execute(words)
        return {name: _hash(connection, name) for name in [*names, INSTANCES]}
    finally:
        connection.close()


def _hash(connection: apsw.Connection, table: str) -> str:
    kept = ", ".join(f'"{one}"' for one in _columns(connection, table))
    where = " WHERE name <> 'relevance'" if table == "meta" else ""
    rows = connection.execute(f'SELECT {kept} FROM "{table}"{where}')  # noqa: S608  its own names
    return hashlib.sha256(repr(sorted(map(repr, rows))).encode(errors="replace")).hexdigest()


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return [name for (name,) in found if name != "served"]  # searches count it


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def request(id_: object, method: str, params: object = None) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": id_, "method": method}
    return message if params is None else message | {"params": params}


def chosen(items: Sequence[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(items))
