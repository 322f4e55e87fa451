"""Salvage of a damaged library: the rows that SQLite can still read, taken into a new file.

A copy of the damaged file is read, -wal and all. In place of its first page it has one that names
our tables by their first pages, without indexes and constraints: so what is lost of the header, of
the schema or of an index costs no row.
"""

import contextlib
import mmap
import re
import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from flex_mcp.errors import LibraryError
from flex_mcp.models import Experience, Origin, Snapshot, values_of
from flex_mcp.storage.sqlite import backups, file, search_index
from flex_mcp.storage.sqlite.errors import beside
from flex_mcp.storage.sqlite.experiences import experience_row
from flex_mcp.storage.sqlite.health import DERIVED, unreadable
from flex_mcp.storage.sqlite.history import revision
from flex_mcp.storage.sqlite.queries import QUERIES, as_mappings

Values = tuple[Any, ...]
Key = int | str

HEADER = 100  # bytes at the start of a file (sqlite.org/fileformat2.html)
MAGIC = b"SQLite format 3\x00"
PAGE_SIZES = tuple(2**power for power in range(9, 16))
# A row of sqlite_schema; `bare` has no such space.
ROOT = re.compile(rb"(?s)table(\w+?)\1(.{1,4}?)CREATE TABLE \1 ")
OURS = re.compile(
    rb"(?s)e_[a-z2-7]{12}(?:golden|warning|mixed)(?:principle|pattern|instance)"
    rb"|tabletrajectoriestrajectories.{1,4}?CREATE TABLE trajectories "
)  # a lesson's row, or the schema's
LEAST_ROW = 16  # bytes, or more: a b-tree that leads to itself has no end
NEAR = 16  # numbers beyond a gap that are all tried
LARGEST = 2**62  # number that a table of ours has, and far more
DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
STARTS = [f"{kind}_{one}{two}" for kind in "bert" for one in DIGITS for two in DIGITS[::8]]
FAILURES = len(STARTS)  # tries beyond a gap, until a table has come to its end
UNREAD = (apsw.Error, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Rescued:
    """Rows by table: what was saved, and of what was seen what could not be.

    `gaps` are the places where rows could not be read: how many were there, nobody knows.
    """

    saved: Counter[str] = field(default_factory=Counter[str])
    lost: Counter[str] = field(default_factory=Counter[str])
    gaps: int = 0


def is_ours(path: Path) -> bool:
    """Whether a damaged file was a library: by its mark, or by bytes that only we write."""
    with path.open("rb") as held:
        head = held.read(HEADER)
    if head.startswith(MAGIC) and head[68:72] == file.APPLICATION_ID.to_bytes(4, "big"):
        return True
    return any(_matches(OURS, one) for one in (path, beside(path, "-wal")))


def rescue(path: Path, new: apsw.Connection) -> Rescued:
    """Take all rows that can be read into a new library, which is left without what is derived."""
    new.execute("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; DELETE FROM meta")
    tables = {name: _Table(new, name) for name in _names(new)}
    lost = Counter[str]()
    most = path.stat().st_size // LEAST_ROW
    with _opened(path, tables) as damaged:
        for name in _names(damaged):
            read = tables[name].rows(damaged, most)
            lost[name] += len({hash(row) for row in read if not tables[name].take(row)})
    new.execute(QUERIES["clear_background"])
    new.execute(QUERIES["uncompare"])
    for name in tables:
        lost[name] += _drop_unreadable(new, name)
    _take_vectors(path, new)  # before there are new numbers
    lost["experiences"] -= _take_from_history(new)
    lost += _drop_orphans(new)
    saved = Counter({name: _asked(new, f"SELECT count(*) FROM {name}")[0][0] for name in tables})
    new.execute("COMMIT; PRAGMA foreign_keys = ON")
    return Rescued(saved, lost, sum(table.gaps for table in tables.values()))


def _take_vectors(path: Path, new: apsw.Connection) -> None:
    """There is no second copy of them: where they cannot be read, a reindex makes them anew."""
    try:
        damaged = file.connect_unchanged(path)
    except (apsw.Error, LibraryError):
        search_index.rebuild(new)
        return
    with contextlib.closing(damaged):
        search_index.rebuild(new, damaged)


@contextlib.contextmanager
def _opened(path: Path, tables: "Mapping[str, _Table]") -> Generator[apsw.Connection]:
    """A copy of the damaged file, with its -wal folded in and our first page."""
    with backups.temporary(path) as made:
        shutil.copyfile(path, made)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(beside(path, "-wal"), beside(made, "-wal"))
        usual = _usual_roots(made)
        _put_first_page(made, tables, usual)
        with contextlib.suppress(apsw.Error), contextlib.closing(apsw.Connection(str(made))) as one:
            one.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        _put_first_page(made, tables, usual | _roots(made))
        with contextlib.closing(apsw.Connection(str(made))) as damaged:
            yield damaged


def _usual_roots(path: Path) -> dict[str, int]:
    """Where they begin in every library that was not vacuumed: for what the file cannot say."""
    with path.open("rb") as held:
        version = int.from_bytes(held.read(HEADER)[60:64])
    newest = len(file.MIGRATIONS)
    usual = file.usual_schema(version if 0 < version <= newest else newest)
    return {name: root for kind, name, root, _ in usual if kind == "table"}


def _roots(path: Path) -> dict[str, int]:
    """Where the tables begin, as the rows of the schema that are left say."""
    roots = [(name.decode(), int.from_bytes(root)) for name, root in _matches(ROOT, path)]
    return dict(reversed(roots))  # the first of each: the schema lies at the beginning


def _matches(pattern: re.Pattern[bytes], path: Path) -> list[Any]:
    if not path.exists() or not path.stat().st_size:
        return []
    with path.open("rb") as held, mmap.mmap(held.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return pattern.findall(data)


def _put_first_page(path: Path, tables: "Mapping[str, _Table]", roots: Mapping[str, int]) -> None:
    """Write one that leads to the first pages of our tables, and says nothing else."""
    with path.open("r+b") as held:
        said = int.from_bytes(held.read(HEADER)[16:18], "big")
        size = said if said in PAGE_SIZES else file.PAGE_SIZE
        with contextlib.closing(apsw.Connection(":memory:")) as made:
            made.execute(f"PRAGMA page_size = {size}; PRAGMA writable_schema = ON")
            for name in tables.keys() & roots.keys():
                made.execute(tables[name].bare)
                values = (roots[name], name)
                made.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", values)
            page = bytearray(made.serialize("main")[:size])
        page[18:20] = b"\x02\x02"  # it may have a -wal
        page[28:32] = bytes(4)  # as many pages as there are
        held.seek(0)
        held.write(page)


class _Table:
    """A table of the new library that takes rows of the damaged one; `gaps` as in `Rescued`."""

    def __init__(self, new: apsw.Connection, name: str) -> None:
        self._new = new
        columns = _asked(new, "SELECT name, type, pk, dflt_value FROM pragma_table_info(?)", name)
        key = [f'"{column}"' for column, _, number, _ in columns if number]
        listed = [f'"{one[0]}" DEFAULT {one[3] or "NULL"}' for one in columns]
        self._place, self._is_integer = next(
            (place, one[1] == "INTEGER") for place, one in enumerate(columns) if one[2]
        )
        is_numbered = self._is_integer and len(key) == 1
        if is_numbered:
            listed[self._place] = f"{key[0]} INTEGER PRIMARY KEY"
        made = "" if is_numbered else f", PRIMARY KEY ({', '.join(key)})) WITHOUT ROWID"
        self.bare = f"CREATE TABLE {name}({', '.join(listed)}{made or ')'}"
        chosen = f"SELECT * FROM {name}"
        self._upward = f"{chosen} WHERE {key[0]} >= ? ORDER BY {', '.join(key)}"
        self._downward = f"{chosen} ORDER BY {', '.join(f'{one} DESC' for one in key)}"
        marks = ", ".join("?" * len(columns))
        self._insert = f"INSERT OR IGNORE INTO {name} VALUES ({marks})"
        self.gaps = 0

    def rows(self, damaged: apsw.Connection, most: int) -> Iterator[Values]:
        """What can be read from the front, beyond each gap, and from the back; some come twice.

        Beyond a gap, numbers are tried one by one and ids by their beginnings.
        """
        start, left, failures = 0 if self._is_integer else "", most, 0
        while start is not None and failures < FAILURES:
            furthest = start
            try:
                for row in islice(damaged.execute(self._upward, (start,)), left):
                    yield row
                    left -= 1
                    furthest = _later(furthest, row[self._place])
                break
            except UNREAD:
                failures = 0 if furthest != start else failures
                self.gaps += not failures
                failures += 1
                start = _next(furthest, failures)
        with contextlib.suppress(*UNREAD):
            yield from islice(damaged.execute(self._downward), most)

    def take(self, row: Values) -> bool:
        """Whether it could be taken."""
        try:
            self._new.execute(self._insert, row)
        except apsw.Error:
            return False
        return True


def _later(key: Key, value: object) -> Key:
    """What is read of damaged bytes may be of another type."""
    if isinstance(key, int):
        return max(key, value) if isinstance(value, int) else key
    return max(key, value) if isinstance(value, str) else key


def _next(key: Key, failures: int) -> Key | None:
    """Where to go on after a gap: at each number first, with longer steps in a long one."""
    if isinstance(key, int):
        return key + 1 + failures // NEAR if key < LARGEST else None
    return next(iter(STARTS[bisect_right(STARTS, key) :]), None)


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
        new.execute(f"DELETE FROM {name} WHERE {where}", {key: row[key] for key in keys})
    return 0 if name == "meta" else len(bad)


def _take_from_history(new: apsw.Connection) -> int:
    """Bring back lost experiences as the last revision that is left of each says it was."""
    found = list(as_mappings(new.execute(QUERIES["lost_experiences"])))
    for row in found:
        last = revision(row)
        experience = Experience(
            **values_of(last.after, Snapshot),
            id=last.experience_id,
            origin=last.origin or Origin(kind="distilled", by=last.actor),
            revision=last.revision,
            created_at=datetime.fromisoformat(row["created_at"]),
            updated_at=last.at,
        )
        new.execute(QUERIES["put_experience"], experience_row(experience)).fetchall()
    return len(found)


def _drop_orphans(new: apsw.Connection) -> Counter[str]:
    """Drop what belongs to rows that are lost, until all that is left belongs together."""
    dropped = Counter[str]()
    while found := _asked(new, "PRAGMA foreign_key_check"):
        for name in {row[0] for row in found}:
            before = new.total_changes()
            keys = "SELECT [from], [table], [to] FROM pragma_foreign_key_list(?)"
            for own, parent, other in _asked(new, keys, name):
                new.execute(f"DELETE FROM {name} WHERE {own} NOT IN (SELECT {other} FROM {parent})")
            dropped[name] += new.total_changes() - before
    return dropped
