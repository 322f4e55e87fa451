"""What can be read of a damaged library, taken into a new one."""

import contextlib
import mmap
import re
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from flex_mcp.models import Experience, Origin, Snapshot, values_of
from flex_mcp.sqlite import file, rows
from flex_mcp.sqlite.carving import HEADER, MAGIC, Carver, Row
from flex_mcp.sqlite.health import DERIVED, as_mappings, unreadable

Values = tuple[Any, ...]

OUR_ID = re.compile("[et]_[a-z2-7]{12}")  # tells a library that has lost its header
STRAYS = {"experiences": "e_", "revisions": "e_", "trajectories": "t_"}  # how their rows are known
LATER = 6  # columns that a migration has added to a table, at most


@dataclass(frozen=True, slots=True)
class Rescued:
    """Rows by table: what was saved, and of what was seen what could not be."""

    saved: Counter[str] = field(default_factory=Counter[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    pages_lost: int = 0


def is_ours(path: Path) -> bool:
    """Whether a damaged file was a library: by its mark, or by rows that only we write."""
    with path.open("rb") as held:
        head = held.read(HEADER)
    if head.startswith(MAGIC) and head[68:72] == file.APPLICATION_ID.to_bytes(4, "big"):
        return True
    if len(head) < HEADER:
        return False
    with _opened(path) as carver:
        return any(OUR_ID.fullmatch(_id(row)) for row in carver.stray())


def rescue(path: Path, new: apsw.Connection) -> Rescued:
    """Take all rows that can be read into a new library, which is left without what is derived."""
    new.execute("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; DELETE FROM meta")
    tables = {name: _Table(new, name) for name in _names(new)}
    with _opened(path) as carver:
        lost = _take_all(carver, tables)
        pages_lost = carver.lost
    new.execute(file.QUERIES["clear_background"])
    for name in tables:
        lost[name] += _drop_unreadable(new, name)
    lost["embeddings"] += _drop_orphans_of(new, "embeddings")  # before there are new numbers
    lost["experiences"] -= _take_from_history(new)
    lost += _drop_orphans(new)
    saved = Counter({name: _asked(new, f"SELECT count(*) FROM {name}")[0][0] for name in tables})  # noqa: S608  ours
    new.execute("COMMIT; PRAGMA foreign_keys = ON")
    return Rescued(saved, lost, pages_lost)


@contextlib.contextmanager
def _opened(path: Path) -> Generator[Carver]:
    wal = path.with_name(path.name + "-wal")
    newer = wal.read_bytes() if wal.exists() else b""
    with (
        path.open("rb") as held,
        mmap.mmap(held.fileno(), 0, access=mmap.ACCESS_READ) as data,
        contextlib.closing(Carver(data, newer)) as carver,
    ):
        yield carver


def _take_all(carver: Carver, tables: "Mapping[str, _Table]") -> Counter[str]:
    """Each table from its root, then what no root leads to: how many rows could not be taken."""
    lost = Counter[str]()
    roots = _usual_roots(carver.page(1)) | _roots(carver)
    for name, table in tables.items():
        if name in roots:
            lost[name] += sum(not table.take(row) for row in carver.rows(roots[name]))
    for row in carver.stray():
        for name, start in STRAYS.items():
            if tables[name].looks_alike(row, start):
                tables[name].take(row)
    return lost


def _roots(carver: Carver) -> dict[str, int]:
    """Where the tables begin, as the file says."""
    found: dict[str, int] = {}
    for row in carver.rows(1):
        match row.values:
            case ("table", str(name), _, int(root), *_) if root > 0:
                found[name] = root
            case _:
                pass
    return found


def _usual_roots(header: bytes) -> dict[str, int]:
    """Where they begin in every library that was not vacuumed: for what the file cannot say."""
    newest, version = len(file.MIGRATIONS), int.from_bytes(header[60:64], "big")
    usual = file.usual_schema(version if 0 < version <= newest else newest)
    return {name: root for kind, name, root, _ in usual if kind == "table" and root}


def _id(row: Row) -> str:
    """Where our tables with numbers have their ids."""
    id_ = row.values[1] if len(row.values) > 1 else None
    return id_ if isinstance(id_, str) else ""


class _Table:
    """A table of the new library that takes rows of the damaged one."""

    def __init__(self, new: apsw.Connection, name: str) -> None:
        self._new = new
        columns = _asked(new, "SELECT type, pk, dflt_value FROM pragma_table_info(?)", name)
        numbers = [place for place, one in enumerate(columns) if one[:2] == ("INTEGER", 1)]
        self._number = numbers[0] if numbers else None
        self._defaults = [_asked(new, f"SELECT {one[2] or 'NULL'}")[0][0] for one in columns]
        marks = ", ".join("?" * len(columns))
        self._insert = f"INSERT OR IGNORE INTO {name} VALUES ({marks})"  # noqa: S608  ours

    def looks_alike(self, row: Row, start: str) -> bool:
        most = len(self._defaults)
        fits = most - LATER <= len(row.values) <= most and row.values[0] is None
        return fits and _id(row).startswith(start)

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


def _names(new: apsw.Connection) -> list[str]:
    """Our tables, without those that are made of them."""
    found = _asked(
        new,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
        "AND name NOT LIKE 'sqlite_%'",
    )
    return [name for (name,) in found if name not in DERIVED]


def _asked(connection: apsw.Connection, question: str, *values: str) -> list[Values]:
    return list(connection.execute(question, values))


def _drop_unreadable(new: apsw.Connection, name: str) -> int:
    """Drop the rows whose bytes changed so that the program could not read them."""
    bad = list(unreadable(new, name))
    keys = [key for (key,) in _asked(new, "SELECT name FROM pragma_table_info(?) WHERE pk", name)]
    where = " AND ".join(f"{key} = :{key}" for key in keys)
    for row in bad:
        new.execute(f"DELETE FROM {name} WHERE {where}", {key: row[key] for key in keys})  # noqa: S608  ours
    return 0 if name == "meta" else len(bad)


def _take_from_history(new: apsw.Connection) -> int:
    """Bring back lost experiences as the last revision that is left of each says it was."""
    found = list(as_mappings(new.execute(file.QUERIES["lost_experiences"])))
    for row in found:
        last = rows.revision(row)
        experience = Experience(
            **values_of(last.after, Snapshot),
            id=last.experience_id,
            origin=last.origin or Origin(kind="distilled", by=last.actor),
            revision=last.revision,
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=last.at,
        )
        new.execute(file.QUERIES["put_experience"], rows.experience_row(experience)).fetchall()
    return len(found)


def _drop_orphans(new: apsw.Connection) -> Counter[str]:
    """Drop what belongs to rows that are lost, until all that is left belongs together."""
    dropped = Counter[str]()
    while found := _asked(new, "PRAGMA foreign_key_check"):
        for name in {row[0] for row in found}:
            dropped[name] += _drop_orphans_of(new, name)
    return dropped


def _drop_orphans_of(new: apsw.Connection, name: str) -> int:
    before = new.total_changes()
    keys = _asked(new, "SELECT [from], [table], [to] FROM pragma_foreign_key_list(?)", name)
    for own, parent, other in keys:
        new.execute(f"DELETE FROM {name} WHERE {own} NOT IN (SELECT {other} FROM {parent})")  # noqa: S608  ours
    return new.total_changes() - before
