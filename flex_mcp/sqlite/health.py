"""Whether a library is sound: its file, its tables, and what is derived from them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from flex_mcp.errors import NotALibraryError
from flex_mcp.sqlite import file

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
            return _examined(path, connection)
    except (apsw.Error, UnicodeDecodeError) as error:
        return Health(damage=(_plain(str(error)),))
    except NotALibraryError as error:
        if isinstance(error.__cause__, apsw.CorruptError):
            return Health(damage=(_plain(str(error.__cause__)),))
        raise


def _examined(path: Path, connection: apsw.Connection) -> Health:
    version = file.schema_version(path, connection)
    if not version:
        return Health()
    said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
    complaints = [_plain(line) for text in said if text != "ok" for line in text.splitlines()]
    derived = [line for line in complaints if "fts5" in line.lower()]
    damage = [line for line in complaints if line not in derived]
    if damage:
        more = [f"and {len(damage) - FIRST} more"] if len(damage) > FIRST else []
        return Health(damage=(*damage[:FIRST], *more))
    if strays := sum(1 for _ in connection.execute("PRAGMA foreign_key_check")):
        return Health(damage=(f"{strays} rows belong to others that are not there",))
    expected = {one for one in file.usual_schema(version) if not one[1].startswith(SHADOWS)}
    schema = connection.execute("SELECT type, name, sql FROM sqlite_schema")
    if {(kind, name, sql) for kind, name, _, sql in expected}.difference(schema):
        return Health(damage=(f"its tables are not those of schema {version}",))
    unlike = ["full text is damaged"] if derived else []
    if version == len(file.MIGRATIONS):  # an older one is brought up to date first
        unlike += _unlike(connection)
    return Health(unlike=tuple(unlike))


def _unlike(connection: apsw.Connection) -> Iterator[str]:
    run = file.runner(connection)
    if words := next(run("unlike_words"))[0]:
        yield f"full text and the tables differ in {words:,} experiences"
    if vectors := _unlike_vectors(connection):
        yield f"the vectors' index and the tables differ in {vectors:,} places"
    if pages := _wrong_pages(connection):
        yield f"{pages:,} pages of what a search holds in memory differ from the tables"


def _unlike_vectors(connection: apsw.Connection) -> int:
    run = file.runner(connection)
    if next(run("vectors_made_by"), None) is None:
        return 0
    if next(run("vectors_table"), None) is None:
        return int(next(iter(connection.execute("SELECT count(*) FROM embeddings")))[0])  # pyright: ignore[reportArgumentType]
    try:
        return int(next(run("unlike_vectors"))[0])
    except apsw.Error:
        return 1  # its own tables are damaged


def _wrong_pages(connection: apsw.Connection) -> int:
    from flex_mcp.sqlite import pages  # late: numpy starts slowly

    return pages.mistakes(file.runner(connection))


def _plain(complaint: str) -> str:
    return " ".join(complaint.replace("*** in database main ***", "").split())[:200]
