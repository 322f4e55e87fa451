"""Mending a library: what is derived is made anew; a damaged file's rows go into a new one."""

import contextlib
import json
import mmap
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from flex_mcp.errors import FlexError, InputError, NotALibraryError
from flex_mcp.models import Outcome, Vectors
from flex_mcp.sqlite import SqliteStore, copies, file, rows
from flex_mcp.sqlite.carving import HEADER, MAGIC, Carver, Row
from flex_mcp.sqlite.health import health
from flex_mcp.sqlite.locking import check_unused
from flex_mcp.sqlite.restoring import put_instead
from flex_mcp.sqlite.writing import SqliteWriting

DERIVED = {"pages", "domains", "tokens", "staged"}
OURS = 5  # tables of ours by which a file without our mark in its header is known
STRAYS = {"experiences": "e_", "revisions": "e_", "trajectories": "t_"}  # how their rows are known
ENDS = ("", "-wal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What was done to a library: nothing, what is derived made anew, or its rows rescued."""

    found: tuple[str, ...] = ()
    rebuilt: bool = False
    damaged: Path | None = None
    saved: Mapping[str, int] = field(default_factory=dict[str, int])
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    pages_lost: int = 0
    unembedded: int = 0


def mend(path: Path) -> Mended:
    """Mend a library, if anything is wrong with it.

    Raises:
        InputError: there is no file.
        NotALibraryError: it is no library, or nothing can be read from it; it is left as it is.
        BusyLibraryError: its file would have to be replaced, and a process has it open.
    """
    if not path.is_file():
        raise InputError(f"there is no library {path} to repair: name one with --library")
    try:
        found = health(path)
    except NotALibraryError:
        _check_ours(path)
        return _rescued(path, ("its beginning cannot be read",))
    if found.damage:
        _check_ours(path)
        return _rescued(path, found.damage)
    if not found.unlike:
        return Mended()
    store = SqliteStore(path)
    try:
        with store.writing() as writing:
            writing.rebuild()
    finally:
        store.close()
    return Mended(found=found.unlike, rebuilt=True)


def rebuild(connection: apsw.Connection) -> None:
    """Make all that is derived anew, in one transaction."""
    from flex_mcp.sqlite.index import Index  # late: numpy starts slowly

    connection.execute("BEGIN IMMEDIATE")
    SqliteWriting(connection, Index).rebuild()
    connection.execute("COMMIT")


def _rescued(path: Path, found: tuple[str, ...]) -> Mended:
    check_unused(path)
    with copies.temporary(path) as made, file.plain_errors(made):
        with contextlib.closing(file.connect(made)) as new:
            file.migrate(made, new)
            counted = _take_in(path, new)
            if not counted.saved["experiences"] + counted.saved["trajectories"]:
                raise NotALibraryError(
                    f"nothing can be read from {path}; it was left as it is: "
                    "`flex-mcp restore FILE` puts a backup in its place"
                )
            unembedded = _made_sound(new)
            new.pragma("journal_mode", "delete")
        copies.check_whole(made, made)
        damaged = put_instead(made, path)
    return Mended(
        found=found,
        damaged=damaged,
        saved=+counted.saved,
        lost=+counted.lost,
        pages_lost=counted.pages_lost,
        unembedded=unembedded,
    )


@dataclass(slots=True)
class _Counted:
    saved: Counter[str] = field(default_factory=Counter[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    pages_lost: int = 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Carver]:
    wal = path.with_name(path.name + "-wal")
    newer = wal.read_bytes() if wal.exists() else b""
    with path.open("rb") as held:
        data = mmap.mmap(held.fileno(), 0, access=mmap.ACCESS_READ)
        carver = Carver(data, newer)
        try:
            yield carver
        finally:
            carver.close()
            data.close()


def _take_in(path: Path, new: apsw.Connection) -> _Counted:
    """All rows that can be read, into a new library; each table in the order of what needs what."""
    counted = _Counted()
    new.execute("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; DELETE FROM meta")
    with _opened(path) as carver:
        roots = _usual_roots() | _roots(carver)
        tables = {name: _Table(new, name) for name in _tables(new)}
        for name, table in tables.items():
            if name in roots:
                for row in carver.rows(roots[name]):
                    counted.lost[name] += not table.take(row)
        for row in carver.stray():
            for name, start in STRAYS.items():
                if tables[name].looks_alike(row, start):
                    tables[name].take(row)
        counted.pages_lost = carver.lost
    for name in tables:
        counted.lost[name] += _drop_unreadable(new, name)
    for name, dropped in _drop_orphans(new).items():
        counted.lost[name] += dropped
    for name in tables:
        counted.saved[name] = int(str(new.execute(f"SELECT count(*) FROM {name}").get))  # noqa: S608  ours
    new.execute("COMMIT; PRAGMA foreign_keys = ON")
    return counted


class _Table:
    """A table of the new library that takes rows of the damaged one."""

    def __init__(self, new: apsw.Connection, name: str) -> None:
        self._new = new
        columns = new.execute(
            "SELECT name, type, pk, [notnull], dflt_value FROM pragma_table_info(?)", (name,)
        ).fetchall()
        self._width = len(columns)
        self._number = next((i for i, one in enumerate(columns) if one[1:3] == ("INTEGER", 1)), None)
        self._defaults = [new.execute(f"SELECT {one[4] or 'NULL'}").get for one in columns]  # noqa: S608  ours
        marks = ", ".join("?" * self._width)
        self._insert = f"INSERT OR IGNORE INTO {name} VALUES ({marks})"  # noqa: S608  names of ours

    def looks_alike(self, row: Row, start: str) -> bool:
        id_ = row.values[1] if len(row.values) > 1 else None
        enough = self._width - 6 <= len(row.values) <= self._width  # columns came later
        return enough and isinstance(id_, str) and id_.startswith(start) and row.values[0] is None

    def take(self, row: Row) -> bool:
        """Whether it could be taken; columns that came later have their defaults."""
        values = [*row.values, *self._defaults[len(row.values) :]]
        if row.number is not None and self._number is not None:
            values[self._number] = row.number
        try:
            self._new.execute(self._insert, values)
        except apsw.Error:
            return False
        return True


def _tables(new: apsw.Connection) -> list[str]:
    """Ours, without those that are made of them."""
    found = new.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
        "AND name NOT LIKE 'sqlite_%'"
    )
    return [name for (name,) in found if isinstance(name, str) and name not in DERIVED]


def _roots(carver: Carver) -> dict[str, int]:
    """Where the tables begin, as the file says."""
    found: dict[str, int] = {}
    for row in carver.rows(1):
        match row.values:
            case ("table", str(name), _, int(root), *_) if root:
                found[name] = root
            case _:
                pass
    return found


def _usual_roots() -> dict[str, int]:
    """Where they begin in every library that was not vacuumed: for what the file cannot say."""
    return {
        name: root
        for kind, name, root, _ in file.usual_schema(len(file.MIGRATIONS))
        if kind == "table" and root
    }


def _check_ours(path: Path) -> None:
    with path.open("rb") as held:
        head = held.read(HEADER)
    marked = head[68:72] == file.APPLICATION_ID.to_bytes(4, "big")
    if marked and head.startswith(MAGIC):
        return
    if path.stat().st_size >= 2 * HEADER:
        with _opened(path) as carver:
            ours = _roots(carver).keys() & _usual_roots().keys()
        if len(ours) >= OURS:
            return
    raise NotALibraryError(
        f"{path} is no library of flex-mcp; it was left as it is: name another with --library"
    )


def _readable() -> Mapping[str, Callable[[Mapping[str, Any]], object]]:
    """By table: what the program makes of a row, which it must be able to."""
    none = {"evidence": "[]", "retrieval_ids": "[]", "trajectory_ids": "[]"}
    return {
        "meta": _setting,
        "experiences": lambda row: rows.experience({**row, **none}),
        "trajectories": lambda row: rows.trajectory({**row, **none}),
        "revisions": rows.revision,
        "briefs": lambda row: rows.brief({**row, **none}),
        "brief_turns": rows.turn,
        "retrievals": lambda row: (datetime.fromisoformat(row["at"]), Outcome(row["outcome"] or "unknown")),
        "entries": lambda row: json.loads(row["json"]),
    }


def _setting(row: Mapping[str, Any]) -> None:
    match row["name"]:
        case "vectors":
            Vectors(**json.loads(row["value"]))
        case "relevance":
            raise ValueError  # measured again
        case "backups":
            json.loads(row["value"])
        case _:
            pass


def _drop_unreadable(new: apsw.Connection, name: str) -> int:
    """Drop the rows whose bytes changed so that the program could not read them."""
    check = _readable().get(name)
    if check is None:
        return 0
    cursor = new.execute(f"SELECT * FROM {name}")  # noqa: S608  ours
    bad: list[Sequence[Any]] = []
    for values in cursor:
        names = [column[0] for column in cursor.get_description()]
        try:
            check(dict(zip(names, values, strict=True)))
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error, FlexError):
            bad.append(values)
    keys = _keys(new, name)
    where = " AND ".join(f"{key} = ?" for key, _ in keys)
    for values in bad:
        new.execute(f"DELETE FROM {name} WHERE {where}", [values[place] for _, place in keys])  # noqa: S608
    return 0 if name == "meta" else len(bad)


def _keys(new: apsw.Connection, name: str) -> list[tuple[str, int]]:
    found = new.execute("SELECT name, cid FROM pragma_table_info(?) WHERE pk ORDER BY pk", (name,))
    return [(str(key), int(str(place))) for key, place in found]


def _drop_orphans(new: apsw.Connection) -> Counter[str]:
    """Drop what belongs to rows that are lost, until all that is left belongs together."""
    dropped = Counter[str]()
    while found := new.execute("PRAGMA foreign_key_check").fetchall():
        for name in {str(row[0]) for row in found}:
            dropped[name] += _drop_orphans_of(new, name)
    return dropped


def _drop_orphans_of(new: apsw.Connection, name: str) -> int:
    count = new.total_changes()
    keys = new.execute("SELECT [from], [table], [to] FROM pragma_foreign_key_list(?)", (name,))
    for own, parent, other in keys.fetchall():
        new.execute(f"DELETE FROM {name} WHERE {own} NOT IN (SELECT {other} FROM {parent})")  # noqa: S608
    return new.total_changes() - count


def _made_sound(new: apsw.Connection) -> int:
    """Make what is derived anew: how many experiences have no vectors."""
    run = file.runner(new)
    made_by = next(run("vectors_made_by"), None)
    size = 2 * Vectors(**json.loads(made_by[0])).dimension if made_by else 0
    new.execute("DELETE FROM embeddings WHERE length(vector) <> ?", (size,))
    file.complete(new)
    rebuild(new)
    return int(
        str(
            new.execute(
                "SELECT count(*) FROM experiences e WHERE status = 'active' AND NOT EXISTS "
                "(SELECT 1 FROM embeddings c WHERE c.experience = e.number)"
            ).get
        )
    )
