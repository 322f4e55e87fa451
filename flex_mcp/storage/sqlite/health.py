"""Whether a library is sound: its file, its tables, and what is derived from them."""

import contextlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from flex_mcp.errors import NotALibraryError
from flex_mcp.models import Outcome, Vectors
from flex_mcp.storage.sqlite import file, search_index
from flex_mcp.storage.sqlite.briefs import brief
from flex_mcp.storage.sqlite.conversations import turn
from flex_mcp.storage.sqlite.experiences import experience
from flex_mcp.storage.sqlite.history import revision
from flex_mcp.storage.sqlite.queries import as_mappings, runner
from flex_mcp.storage.sqlite.trajectories import trajectory

DERIVED = {"chunks", "tokens", "staged", "pairs"}  # tables made of the others
NONE = {"evidence": "[]", "retrieval_ids": "[]", "trajectory_ids": "[]"}  # kept in other tables
SHADOWS = ("words_", "sqlite_")  # tables that SQLite makes for its own ones
FIRST = 3  # of SQLite's complaints that are shown


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong, a sentence each: with the file itself, and with what can be made anew."""

    damage: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()


def health(path: Path) -> Health:
    """Look at all of a library, without changing anything; a large one takes seconds.

    Raises:
        LibraryError: it cannot be opened.
    """
    try:
        with contextlib.closing(file.connect_unchanged(path)) as connection:
            connection.execute("BEGIN")  # one snapshot, while others write
            return _examined(path, connection)
    except (apsw.Error, UnicodeDecodeError) as error:
        return Health(damage=(_plain(str(error)),))
    except NotALibraryError as error:
        if isinstance(error.__cause__, apsw.CorruptError):
            return Health(damage=(_plain(str(error.__cause__)),))
        raise


def _examined(path: Path, connection: apsw.Connection) -> Health:
    if not (version := file.schema_version(path, connection)):
        return Health()
    said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
    complaints = [_plain(line) for text in said if text != "ok" for line in text.splitlines()]
    derived = [line for line in complaints if "fts5" in line.lower()]
    damage = [line for line in complaints if line not in derived]
    if damage := damage or list(_misfits(version, connection)):
        more = [f"and {len(damage) - FIRST} more"] if len(damage) > FIRST else []
        return Health(damage=(*damage[:FIRST], *more))
    unlike = ["full text is damaged"] if derived else []
    if version == len(file.MIGRATIONS):  # an older one is brought up to date first
        unlike += _unlike(connection)
    return Health(unlike=tuple(unlike))


def _misfits(version: int, connection: apsw.Connection) -> Iterator[str]:
    """What is wrong in a file whose pages are sound."""
    expected = {one for one in file.usual_schema(version) if not one[1].startswith(SHADOWS)}
    schema = connection.execute("SELECT type, name, sql FROM sqlite_schema")
    if {(kind, name, sql) for kind, name, _, sql in expected}.difference(schema):
        yield f"its tables are not those of schema {version}"
        return
    if strays := sum(1 for _ in connection.execute("PRAGMA foreign_key_check")):
        yield f"{strays:,} rows belong to others that are not there"
    if version < len(file.MIGRATIONS):
        return
    for name in sorted({name for kind, name, root, _ in expected if kind == "table" and root}):
        if name not in DERIVED and (bad := sum(1 for _ in unreadable(connection, name))):
            yield f"{bad:,} rows of {name} cannot be read"


def _unlike(connection: apsw.Connection) -> Iterator[str]:
    run = runner(connection)
    if words := next(run("unlike_words"))[0]:
        yield f"full text and the tables differ in {words:,} experiences"
    if vectors := search_index.mistakes(run):
        yield f"the vectors and the tables differ in {vectors:,} places"


def unreadable(connection: apsw.Connection, name: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a table that the program could not make anything of."""
    check = READABLE.get(name, len)
    for row in as_mappings(connection.execute(f"SELECT * FROM {name}")):
        try:
            check(row)
        except UNREADABLE:
            yield row


UNREADABLE = (apsw.CorruptError, ValueError, TypeError, LookupError)
READABLE: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "meta": lambda row: _check_setting(row["name"], row["value"]),
    "experiences": lambda row: experience({**row, **NONE}),
    "trajectories": lambda row: trajectory({**row, **NONE}),
    "revisions": revision,
    "briefs": lambda row: brief({**row, **NONE}),
    "brief_turns": turn,
    "retrievals": lambda row: (
        datetime.fromisoformat(row["at"]),
        Outcome(row["outcome"] or "unknown"),
    ),
    "entries": lambda row: json.loads(row["json"]),
}  # by table: what the program makes of a row, and must be able to


def _check_setting(name: str, value: str) -> None:
    match name:
        case "vectors":
            Vectors(**json.loads(value))
        case "relevance":
            b64decode(json.loads(value)[-1], validate=True)
        case "backups":
            json.loads(value)
        case _:
            pass


def _plain(complaint: str) -> str:
    return " ".join(complaint.replace("*** in database main ***", "").split())[:200]
