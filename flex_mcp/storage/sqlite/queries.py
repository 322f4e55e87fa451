"""Named SQL statements, and running them on one connection."""

import functools
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from importlib.resources import files
from string import Template
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

import apsw

from flex_mcp.models import Filter, Projects, values_of
from flex_mcp.storage.sql_files import named_queries

T = TypeVar("T")
LONGEST_PATTERN = 20_000  # characters
GLOBS = "glob", "other_glob", "third_glob"  # of each case of a text's first letter
SIGMAS = {"\u03c3", "\u03c2"}  # which of the two a capital becomes depends on what stands around it
RARE = {"k": "\u212a", "å": "\u212b", "θ": "ϴ", "ω": "\u2126", "ß": "ẞ"}  # capitals beside `upper`
Row = Mapping[str, Any]
Run = Callable[..., Iterator[tuple[Any, ...]]]  # a statement's name with its values

SQL = files("flex_mcp.storage.sqlite") / "sql"
QUERIES = named_queries(SQL)


def runner(connection: apsw.Connection) -> Run:
    """Statements on this connection: rows as tuples, as they come."""

    def run(query: str, /, **values: Any) -> Iterator[tuple[Any, ...]]:
        return connection.execute(QUERIES[query], values)

    return run


def first(run: Run, query: str, /, **values: Any) -> Any:
    """The first value of the first row; None where there is none."""
    found = next(run(query, **values), None)
    return None if found is None else found[0]


def as_mappings(cursor: apsw.Cursor) -> Iterator[dict[str, Any]]:
    """The rows, by column."""
    names: list[str] = []
    for values in cursor:
        names = names or [column[0] for column in cursor.get_description()]
        yield dict(zip(names, values, strict=True))


class Queries:
    """The statements of one transaction; the ids that it touched, and changes signed for so far."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.tuples = runner(connection)
        self.touched: dict[str, None] = {}  # in order
        self.changes = connection.total_changes()

    def rows(self, query: str, /, **values: Any) -> list[dict[str, Any]]:
        """All rows, by column."""
        return list(as_mappings(self.connection.execute(QUERIES[query], values)))

    def row(self, query: str, /, **values: Any) -> dict[str, Any] | None:
        """The first row, if there is one."""
        found = self.rows(query, **values)
        return found[0] if found else None

    def listed(self, query: str, words: Mapping[str, str], /, **values: Any) -> list[Any]:
        """The first value of each row of a statement that lacks words, which are ours, of SQL."""
        made = Template(QUERIES[query]).substitute(words)
        return [value for (value,) in self.connection.execute(made, values)]

    def first(self, query: str, /, **values: Any) -> Any:
        """The first value of the first row; None where there is none."""
        return first(self.tuples, query, **values)

    def column(self, query: str, /, **values: Any) -> list[Any]:
        """The first value of each row."""
        return [value for value, *_ in self.tuples(query, **values)]

    def touch(self, *ids: str) -> None:
        """Note whom the log has to name."""
        self.touched |= dict.fromkeys(ids)


def sound(read: Callable[[Row], T]) -> Callable[[Row], T]:
    """A row that holds what we never write is damage that SQLite does not see."""

    @functools.wraps(read)
    def reading(row: Row) -> T:
        try:
            return read(row)
        except (ValueError, TypeError, LookupError, AttributeError, zlib.error) as error:
            raise apsw.CorruptError(f"a {read.__name__} is damaged") from error

    return reading


def value_of(kind: type[T], row: Row, **others: Any) -> T:
    """A value from the columns of its fields' names; `others` are the fields that have none."""
    read = {name: reader(row[name]) for name, reader in _readers(kind) if name not in others}
    return kind(**read, **others)


def columns_of(value: object, **others: Any) -> dict[str, Any]:
    """The fields of a value as columns hold them, and `others`; a statement takes what it names."""
    columns = values_of(value, type(value))
    for name, content in columns.items():
        match content:
            case datetime():
                columns[name] = content.isoformat()
            case () | (str(), *_):
                columns[name] = as_json(content)
            case _:
                pass
    return columns | others


@functools.cache
def _readers(kind: type) -> list[tuple[str, Callable[[Any], Any]]]:
    """The fields of a kind of values, and what makes each of a column."""
    hints = get_type_hints(kind)
    return [(field.name, _reader(hints[field.name])) for field in fields(kind)]


def _reader(hint: Any) -> Callable[[Any], Any]:
    if NoneType in (options := get_args(hint)):
        read = _reader(options[0])
        return lambda column: None if column is None else read(column)
    if hint == tuple[str, ...]:
        return texts
    if hint is datetime:
        return _moment
    return hint if isinstance(hint, type) and issubclass(hint, Enum) else lambda column: column


def _moment(column: str) -> datetime:
    at = datetime.fromisoformat(column)
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # a bundle from elsewhere may say none


def as_json(items: Iterable[object]) -> str:
    return json.dumps(list(items), ensure_ascii=False)


def texts(column: str) -> tuple[str, ...]:
    return () if column == "[]" else tuple(json.loads(column))  # most are empty, and many are read


def text_row(text: str | None) -> dict[str, str | None]:
    """A text that is looked for in either case, as the patterns that a statement compares.

    LIKE knows ASCII's letters alone, and neither it nor GLOB takes a pattern of over 50,000 bytes.
    GLOB knows no letters, so it gets both cases of each; it is fast where a pattern begins with a
    letter itself, so there is one for each case of the first. What neither can say, `lowered` does,
    which calls Python for each row.
    """
    row: dict[str, str | None] = dict.fromkeys(("pattern", *GLOBS, "lowered"))
    if text and text.isascii() and len(text) < LONGEST_PATTERN:
        escaped = re.sub(r"([\\%_])", r"\\\1", text)
        return row | {"pattern": f"%{escaped}%"}
    if not text:
        return row
    lowered = text.lower()
    globs = _globs(lowered)
    if globs and not {*lowered} & SIGMAS:
        return row | globs
    return row | globs | {"lowered": lowered}


def _globs(lowered: str) -> dict[str, str]:
    """Patterns of GLOB of which one fits whatever becomes this text in small letters, or none.

    `İ` alone becomes two characters, `i` and a dot that stands above it.
    """
    first, *others = map(_cases, lowered)
    if lowered.endswith("i"):
        others[-1] += "İ"
    rest = "".join(f"[{one}]" if len(one) > 1 or one in "*?[" else one for one in others)
    made = [f"*{'[' + one + ']' if one in '*?[' else one}{rest}*" for one in first]
    if len(made[0]) > LONGEST_PATTERN // 2 or {*lowered} & {"\0", "\u0307"}:
        return {}
    return dict(zip(GLOBS, made, strict=False))


def _cases(letter: str) -> str:
    """All characters that are this one in small letters; of a sigma, that may be."""
    known = dict.fromkeys((letter, letter.upper(), letter.title(), *RARE.get(letter, "")))
    return "".join(one for one in known if one.lower() == letter or {letter} & SIGMAS)


def filter_row(wanted: Filter) -> dict[str, Any]:
    return {
        "zones": None if wanted.zones is None else as_json(sorted(wanted.zones)),
        "levels": None if wanted.levels is None else as_json(sorted(wanted.levels)),
        "domain": wanted.domain,
        "projects": projects_json(wanted.projects),
    }


def projects_json(wanted: Projects) -> str | None:
    """Projects as statements take them; general is the empty name there."""
    return None if wanted is None else as_json(sorted(project or "" for project in wanted))
