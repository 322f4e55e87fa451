"""Libraries of every released schema in today's program, and today's library in yesterday's."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import numpy as np
import pytest
from support.fakes import a_lesson, add, ask, record
from support.processes import Worker
from support.stdio_server import initialized, served
from test_backups import spoil
from test_store import an_experience, keep

from flex_mcp import __version__, open_library
from flex_mcp.errors import FullDiskError, NewerLibraryError
from flex_mcp.models import DecisionKind, Status, TrajectoryState
from flex_mcp.search.embedder import StaticEmbedder
from flex_mcp.search.text import indexed_text
from flex_mcp.storage.sql_files import migrations
from flex_mcp.storage.sqlite import backups
from flex_mcp.storage.sqlite import file as sqlite_file
from flex_mcp.storage.sqlite.health import Health, health
from flex_mcp.storage.sqlite.repair import mend
from flex_mcp.storage.sqlite.restore import restore
from flex_mcp.storage.sqlite.store import SqliteStore, look

ALL = migrations(files("flex_mcp.storage.sqlite") / "sql")
RELEASED = range(1, 7)
AT = "2026-01-02T03:04:05+00:00"
LESSONS = {
    "e_aaaaaaaaaaaa": ("Pin the compiler version in the build image", "active"),
    "e_bbbbbbbbbbbb": ("Water the begonias only in the morning", "active"),
    "e_cccccccccccc": ("Never trust a retired lesson about ladders", "retired"),
    "e_dddddddddddd": ("Ignore what a quarantined lesson says of kettles", "quarantined"),
}
TRANSCRIPT = json.dumps({"transcript": "What was done, step by step. " * 400}).encode()
DERIVED = ("words_", "vectors", "pages", "tokens", "domains", "sqlite_")  # may be made anew
CHANCE = random.Random()

OLD_VECTORS = """
CREATE VIRTUAL TABLE vectors USING vec0 (chunk INTEGER PRIMARY KEY, level TEXT PARTITION KEY,
    zone TEXT, embedding FLOAT[256] DISTANCE_METRIC = cosine)
"""  # of the active experiences, as the schemas before 7 had it

VECTORS = """
SELECT c.chunk, c.experience, v.embedding FROM chunks c JOIN vectors v ON v.chunk = c.chunk
ORDER BY c.chunk
"""

Row = dict[str, Any]


def put(connection: apsw.Connection, table: str, *rows: Row) -> None:
    for row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [*row.values()])  # noqa: S608


# Libraries as earlier versions made them


def an_old_library(path: Path, version: int) -> None:
    """The schema of an earlier version, by its own migrations, and rows in every table."""
    connection = sqlite_file.connect(_created(path))
    connection.pragma("page_size", sqlite_file.PAGE_SIZE)
    connection.pragma("journal_mode", "wal")
    connection.execute("BEGIN IMMEDIATE")
    for number in range(version):
        connection.execute(ALL[number])
        connection.pragma("user_version", number + 1)
    connection.pragma("application_id", sqlite_file.APPLICATION_ID)
    _fill(connection)
    if version >= 2:  # distillation
        _fill_distillation(connection)
    if version >= 4:  # pages
        page = {"kind": "chunks", "page": 0, "change": 1, "rows": bytes(128)}
        put(connection, "pages", page, page | {"kind": "experiences", "change": 2})
        put(connection, "domains", {"code": 1, "domain": "build/images"})
    if version >= 5:  # tokens
        put(connection, "tokens", {"experience": 1, "version": "an old one", "tokens": b"\1\0"})
    if version >= 6:  # writes
        put(connection, "writes", {"at": AT, "client": "codex", "process": 7, "verb": "record", "ids": "[]", "touched": 0})  # fmt: skip
    connection.execute("COMMIT")
    connection.close()


def _created(path: Path) -> Path:
    path.touch(0o600)
    return path


def _fill(connection: apsw.Connection) -> None:
    about = StaticEmbedder().vectors
    put(
        connection,
        "meta",
        {"name": "library_id", "value": "l_oldoldoldold"},
        {
            "name": "vectors",
            "value": json.dumps(asdict(about)),
        },
    )
    _fill_trajectories(connection)
    connection.execute(OLD_VECTORS)
    for number, (id_, (text, status)) in enumerate(LESSONS.items(), start=1):
        _fill_experience(connection, number, id_, text, status)
    put(connection, "retrievals", {"id": "r_aaaaaaaaaaaa", "query": "how to pin", "at": AT, "client": "codex", "outcome": "success"})  # fmt: skip
    put(connection, "retrieval_hits", {"retrieval_id": "r_aaaaaaaaaaaa", "place": 1, "experience_id": "e_aaaaaaaaaaaa", "score": 0.5, "credit": 1})  # fmt: skip
    put(connection, "trajectory_retrievals", {"trajectory_id": "t_aaaaaaaaaaaa", "retrieval_id": "r_aaaaaaaaaaaa"})  # fmt: skip
    put(connection, "briefs", {"id": "b_aaaaaaaaaaaa", "rendered": "A brief.", "created_at": AT, "expires_at": AT, "answer_hash": None, "decisions": "[]"})  # fmt: skip
    put(connection, "brief_trajectories", {"brief_id": "b_aaaaaaaaaaaa", "place": 0, "trajectory_id": "t_bbbbbbbbbbbb"})  # fmt: skip
    put(connection, "entries", {"number": 1, "identity": "an entry", "zone": "golden", "json": '{"method": "m"}'})  # fmt: skip
    put(connection, "entry_parts", {"entry": 1, "place": 0, "kind": "method", "identity": "a part", "experience_id": "e_bbbbbbbbbbbb"})  # fmt: skip
    put(connection, "staged", {"experience": 1, "revision": 1, "vector": b"\0\0"})


def _fill_trajectories(connection: apsw.Connection) -> None:
    bodies = {
        "t_aaaaaaaaaaaa": (zlib.compress(TRANSCRIPT, 6), 1, "distilled"),
        "t_bbbbbbbbbbbb": (b'{"steps": [{"kind": "thought", "content": "Hm."}]}', 0, "pending"),
        "t_cccccccccccc": (None, 0, "skipped"),
    }
    for id_, (body, compressed, state) in bodies.items():
        put(
            connection,
            "trajectories",
            {
                "id": id_,
                "key": f"hash:{id_}",
                "content_hash": id_,
                "task": f"Task of {id_}",
                "domain": "build/images",
                "outcome": "success",
                "answer": "42",
                "score": 0.5,
                "feedback": "well done",
                "verified_by": "tests",
                "agent_name": "codex",
                "agent_model": "a model",
                "body": body,
                "compressed": compressed,
                "state": state,
                "recorded_at": AT,
            },
        )


def _fill_experience(
    connection: apsw.Connection, number: int, id_: str, text: str, status: str
) -> None:
    snapshot: Row = {"zone": "golden", "level": "pattern", "title": text[:40], "when": "building"}
    snapshot |= {"lesson": text, "examples": '["as in the old days"]', "domain": "build/images"}
    snapshot |= {"tags": '["old"]', "priority": 4, "status": status, "superseded_by": None}
    put(
        connection,
        "experiences",
        {"number": number, "id": id_}
        | snapshot
        | {"fingerprint": id_, "origin_kind": "distilled", "origin_by": "codex", "revision": 1}
        | {"created_at": AT, "updated_at": AT, "served": 3, "successes": 2, "failures": 1},
    )
    after = snapshot | {"examples": ["as in the old days"], "tags": ["old"], "evidence": []}
    put(connection, "revisions", {"experience_id": id_, "revision": 1, "kind": "add", "before": None, "after": json.dumps(after), "actor": "codex", "at": AT, "reason": "seen", "trajectory_id": "t_aaaaaaaaaaaa"})  # fmt: skip
    put(connection, "evidence", {"experience_id": id_, "place": 0, "trajectory_id": "t_aaaaaaaaaaaa"})  # fmt: skip
    whole = "\n".join((snapshot["title"], snapshot["when"], text))
    (vector, *_) = StaticEmbedder().passages([whole])[0]
    put(connection, "embeddings", {"chunk": number, "experience": number, "vector": half(vector)})
    if status == "active":
        words = {name: snapshot[name] for name in ("title", "when", "lesson")}
        put(connection, "words", {"rowid": number} | words | {"examples": "", "tags": "old"})
        put(connection, "vectors", {"chunk": number, "level": "pattern", "zone": "golden", "embedding": floats(half(vector))})  # fmt: skip


def _fill_distillation(connection: apsw.Connection) -> None:
    connection.execute("UPDATE experiences SET origin_road = 'anthropic', origin_tokens = 7")
    connection.execute("UPDATE briefs SET road = 'anthropic', prompts = 'critic 1'")
    put(connection, "brief_turns", {"brief_id": "b_aaaaaaaaaaaa", "place": 0, "model": "a model", "input_tokens": 5, "output_tokens": 2})  # fmt: skip


def half(vector: bytes) -> bytes:
    """A float32 vector as the schemas before 7 kept it."""
    return np.frombuffer(vector, np.float32).astype(np.float16).tobytes()


def floats(half: bytes) -> bytes:
    return np.frombuffer(half, np.float16).astype(np.float32).tobytes()


def rows_of(path: Path) -> dict[str, list[Row]]:
    """All rows of all tables that are no index, looked at without touching the file.

    Vectors are given as the schemas before 7 kept them, wherever they are by now, experiences
    without the fingerprints that are made of their texts.
    """
    with closing(sqlite_file.connect_unchanged(path)) as connection:
        tables = ask(
            connection,
            "SELECT s.name FROM sqlite_schema s JOIN pragma_table_list l ON l.name = s.name "
            "WHERE l.schema = 'main' AND l.type = 'table'",
        )
        found: dict[str, list[Row]] = {}
        for (name,) in tables:
            if not name.startswith(DERIVED):
                columns = ask(connection, "SELECT name FROM pragma_table_info(?)", name)
                rows = ask(connection, f"SELECT * FROM {name}")  # noqa: S608
                found[name] = [
                    {column: value for (column,), value in zip(columns, row, strict=True)}
                    for row in rows
                ]
        for row in found["experiences"]:
            del row["fingerprint"]
        if "chunks" in found:
            del found["chunks"]
            found["embeddings"] = [
                {"chunk": chunk, "experience": number, "vector": half(vector)}
                for chunk, number, vector in ask(connection, VECTORS)
            ]
            for row in found["staged"]:
                row["vector"] = half(row["vector"])
        return found


def digests(folder: Path) -> dict[str, str]:
    """Of all files but those by which processes agree (-shm)."""
    return {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in folder.iterdir()
        if not one.name.endswith("-shm")
    }


@pytest.fixture(params=RELEASED)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A library of a released schema."""
    path = tmp_path / f"library{request.param}.db"
    an_old_library(path, request.param)
    assert all(rows_of(path).values())  # something in every table
    return path


def test_an_old_library_opens_with_nothing_lost(old: Path) -> None:
    before = rows_of(old)
    open_library(old).close()
    after = rows_of(old)
    for table, rows in before.items():
        known = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert all(row in known for row in rows), table
    assert health(old) == Health()


def knows_its_lessons_again(path: Path) -> bool:
    texts = [(id_, text) for id_, (text, _) in LESSONS.items()]
    with open_library(path) as library:
        decisions = library.apply(
            [a_lesson(text, title=text[:40], when="Building", action="add") for _, text in texts]
        )
    return [(one.decision, one.experience_id) for one in decisions] == [
        (DecisionKind.DISCARD, id_) for id_, _ in texts
    ]


def test_an_old_library_knows_its_lessons_again(old: Path) -> None:
    assert knows_its_lessons_again(old)


@pytest.mark.parametrize(("text", "older"), [("Die Straße sperren", True), ("Close it", False)])
def test_an_old_library_whose_words_are_not_folded_says_so_until_a_reindex(
    tmp_path: Path, text: str, *, older: bool
) -> None:
    path = tmp_path / "library.db"
    an_old_library(path, 6)
    with contextlib.closing(sqlite_file.connect(path)) as connection:
        connection.execute("UPDATE experiences SET lesson = ? WHERE number = 1", [text])
    with open_library(path) as library:
        assert look(path).older_words is older
        library.reindex()
    assert not look(path).older_words


def test_all_that_was_in_an_old_library_is_found_and_shown(old: Path) -> None:
    with open_library(old) as library:
        for id_, (text, status) in LESSONS.items():
            (found,) = library.get([id_])
            assert (found.lesson, found.status) == (text, Status(status))
            assert (found.served, found.successes, found.evidence) == (3, 2, ("t_aaaaaaaaaaaa",))
            assert [one.after.lesson for one in library.history(id_)] == [text]
        whole, steps, empty = library.trajectories([f"t_{12 * one}" for one in "abc"])
        assert whole.transcript == json.loads(TRANSCRIPT)["transcript"]
        assert [step.content for step in steps.steps or ()] == ["Hm."]
        assert [one.state for one in (whole, steps, empty)] == [
            TrajectoryState.DISTILLED,
            TrajectoryState.PENDING,
            TrajectoryState.SKIPPED,
        ]
        with library.reading() as reading:
            retrieval = reading.retrievals.get("r_aaaaaaaaaaaa")
            assert retrieval is not None
            assert retrieval.served == ("e_aaaaaaaaaaaa",)
            brief = reading.briefs.get("b_aaaaaaaaaaaa")
            assert brief is not None
            assert brief.trajectory_ids == ("t_bbbbbbbbbbbb",)
            assert [entry.json for entry in reading.imports.entries()] == ['{"method": "m"}']
        for id_, (text, status) in LESSONS.items():
            hits = [hit.experience.id for hit in library.search(text, abstain=False).hits]
            assert (hits[:1] == [id_]) is (status == "active"), text
        added = add(library, a_lesson("A lesson of today about umbrellas"))
        assert library.get(added)
        assert record(library)


def test_an_old_library_is_sound_to_the_doctor_and_left_as_it_is(old: Path) -> None:
    before = digests(old.parent)
    assert health(old) == Health()
    assert digests(old.parent) == before


@pytest.mark.parametrize(
    ("outcome", "credit", "named"),
    [
        ("success", (1, 0), (1, 0)),
        ("success", (-1, 0), (-1, 0)),
        ("success", (1, 1), (0, 0)),
        ("failure", (-1, -1), (0, 0)),
        ("failure", (0, -1), (0, -1)),
        ("partial", (0, 0), (0, 0)),
        (None, (0, 0), (0, 0)),
    ],
)
def test_what_was_named_is_told_from_what_was_credited(
    tmp_path: Path, outcome: str | None, credit: tuple[int, int], named: tuple[int, int]
) -> None:
    path, id_, hits = tmp_path / "library.db", "r_bbbbbbbbbbbb", list(LESSONS)[:2]
    an_old_library(path, 6)
    with contextlib.closing(sqlite_file.connect(path)) as connection:
        put(connection, "retrievals", {"id": id_, "query": "x", "at": AT, "client": "c", "outcome": outcome})  # fmt: skip
        for place, hit in enumerate(hits):
            put(connection, "retrieval_hits", {"retrieval_id": id_, "place": place, "experience_id": hit, "score": 0.5, "credit": credit[place]})  # fmt: skip
    with open_library(path) as library:
        with library.reading() as reading:
            found = reading.retrievals.get(id_)
        assert found is not None
        assert (found.named, found.credits) == (named, credit)
        counted = [(one.helpful, one.harmful) for one in library.get(hits)]
        assert counted == [(int(one > 0), int(one < 0)) for one in named]


def test_a_backup_of_an_old_schema_is_restored_and_brought_up_to_date(
    old: Path, tmp_path: Path
) -> None:
    path, before = tmp_path / "library.db", old.read_bytes()
    restore(path, old)
    assert old.read_bytes() == before
    assert version_of(path) == len(ALL)
    assert health(path) == Health()
    assert [row["id"] for row in rows_of(path)["experiences"]] == [*LESSONS]
    assert backups.copies_of(path) == []


def test_a_damaged_library_of_an_old_schema_is_mended(old: Path) -> None:
    before = rows_of(old)
    spoil(old, "retrievals")
    mended = mend(old, indexed_text)
    assert (mended.gaps, mended.unembedded) == (1, 0)
    assert health(old) == Health()
    after = rows_of(old)
    for table in ("experiences", "trajectories", "revisions", "evidence", "briefs", "entry_parts"):
        assert [{name: row[name] for name in before[table][0]} for row in after[table]] == (
            before[table]
        )
    assert after["retrievals"] == after["retrieval_hits"] == []
    assert knows_its_lessons_again(old)


# The copy that is kept


def test_a_copy_of_what_it_was_stays_beside_a_library_that_was_brought_up_to_date(
    old: Path,
) -> None:
    before, version = rows_of(old), version_of(old)
    open_library(old).close()
    open_library(old).close()
    if version == len(ALL):
        assert backups.copies_of(old) == []
        return
    (copy,) = backups.copies_of(old)
    assert copy.name.startswith(f"{old.name}.schema-{version}-2")
    assert copy.suffix == ".bak"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert rows_of(copy) == before
    assert version_of(copy) == version
    with closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        assert connection.pragma("journal_mode") == "delete"


@pytest.mark.process
def test_the_terminal_is_told_once_that_a_library_was_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    an_old_library(path, 2)
    command = [sys.executable, "-P", "-m", "flex_mcp", "list", "--json", "--library", str(path)]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    (copy,) = backups.copies_of(path)
    assert first.stderr == (
        f"flex-mcp: the library {path} was brought from schema 2 to {len(ALL)}; a copy of it as it "
        f"was is {copy}\n"
    )
    assert json.loads(first.stdout)["experiences"]
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == (first.stdout, "")


@pytest.mark.process
def test_a_server_logs_that_it_brought_a_library_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    an_old_library(path, 2)
    with served(path) as pipes:
        initialized(pipes)
        wanted = {"ids": ["e_aaaaaaaaaaaa"]}
        found = pipes.ask("tools/call", name="get_experience", arguments=wanted)["result"]
        assert found["structuredContent"]["experiences"]
        _, logged = pipes.process.communicate()
    assert logged.startswith(f"flex-mcp: the library {path} was brought from schema 2 to")
    assert logged.count("\n") == 1


def version_of(path: Path) -> int:
    with closing(sqlite_file.connect_unchanged(path)) as connection:
        return int(connection.pragma("user_version"))


def test_a_new_library_leaves_no_copy(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("new.db", "empty.db"):
        SqliteStore(tmp_path / name).close()
        assert backups.copies_of(tmp_path / name) == []


def test_of_many_migrations_the_last_three_copies_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, grown = tmp_path / "library.db", list(ALL)
    SqliteStore(path).close()
    for number in range(5):
        grown = [*grown, f"CREATE TABLE more{number} (x) "]
        monkeypatch.setattr(sqlite_file, "MIGRATIONS", grown)
        SqliteStore(path).close()
    kept = [int(one.name.split("schema-")[1].split("-")[0]) for one in backups.copies_of(path)]
    assert sorted(kept) == [len(ALL) + 2, len(ALL) + 3, len(ALL) + 4]


class Usage(NamedTuple):
    """As shutil says it."""

    free: int = 0


def no_room(_: Path) -> Usage:
    return Usage()


def test_where_there_is_no_room_for_the_copy_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    an_old_library(path, 1)
    before = digests(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", no_room)
    with pytest.raises(FullDiskError, match=r"no room for the copy .* nothing was changed"):
        SqliteStore(path)
    assert digests(tmp_path) == before
    assert version_of(path) == 1


def test_a_copy_that_cannot_be_made_whole_stops_the_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise apsw.FullError

    path = tmp_path / "library.db"
    an_old_library(path, 3)
    before = digests(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(backups, "copy", full)
        with pytest.raises(FullDiskError):
            SqliteStore(path)
    assert digests(tmp_path) == before
    SqliteStore(path).close()
    assert version_of(path) == len(ALL)


@pytest.mark.process
def test_processes_that_open_an_old_library_at_once_bring_it_up_to_date_once(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    an_old_library(path, 2)
    before = rows_of(path)
    workers = [start("open", path) for _ in range(6)]
    for worker in workers:
        worker.go()
    assert {line["library_id"] for worker in workers for line in worker.end()} == {"l_oldoldoldold"}
    (copy,) = backups.copies_of(path)
    assert rows_of(copy) == before
    assert health(path) == Health()


@pytest.mark.process
def test_a_kill_at_any_moment_of_a_migration_leaves_a_library_that_opens_and_whole_copies(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    fresh = tmp_path / "fresh.db"
    an_old_library(fresh, 1)
    before = rows_of(fresh)
    for number in range(8):
        path = Path(shutil.copy(fresh, tmp_path / f"library{number}.db"))
        worker = start("open", path)
        worker.go()
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(0.02 + number * CHANCE.uniform(0.01, 0.05))
        worker.process.send_signal(signal.SIGKILL)
        worker.process.communicate()
        for copy in path.parent.glob(f"{path.name}.schema-*.bak"):
            assert rows_of(copy) == before
        open_library(path).close()
        assert health(path) == Health()
        assert version_of(path) == len(ALL)


# A library of tomorrow


def test_the_version_that_a_newer_library_needs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library, library.reading() as reading:
        assert reading.settings.get("made_by_version") == __version__
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE meta SET value = '9.8.7' WHERE name = 'made_by_version'")
        connection.pragma("user_version", 999)
    with pytest.raises(NewerLibraryError) as refused:
        SqliteStore(path)
    assert str(refused.value) == (
        f"the library {path} was written by flex-mcp 9.8.7 (schema 999), and this is "
        f"{__version__}, which knows up to schema {len(ALL)}: upgrade flex-mcp to 9.8.7 or later"
    )


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM meta WHERE name = 'made_by_version'", "ALTER TABLE meta RENAME TO settings"],
)
def test_a_newer_library_that_does_not_say_who_wrote_it_is_refused_all_the_same(
    tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "library.db"
    SqliteStore(path).close()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(statement)
        connection.pragma("user_version", 999)
    with pytest.raises(NewerLibraryError, match=r"has schema 999, .*: upgrade flex-mcp$"):
        SqliteStore(path)


YESTERDAY = """
import sys
from pathlib import Path
from flex_mcp.storage.sqlite import file
file.MIGRATIONS.pop()
from flex_mcp.cli.main import main
main(["stats", "--library", sys.argv[1]])
"""


@pytest.mark.process
def test_todays_library_in_yesterdays_program_is_refused_and_left_to_the_byte(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    worker = start("write-forever", path, "writer")
    worker.go()
    acknowledged = [worker.line() for _ in range(3)]
    worker.process.kill()
    acknowledged += worker.rest()
    before = digests(tmp_path)
    assert f"{path.name}-wal" in before  # what was written last is only there
    command = [sys.executable, "-c", YESTERDAY, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"knows up to schema {len(ALL) - 1}: upgrade flex-mcp" in ended.stderr
    assert digests(tmp_path) == before
    with open_library(path) as library:
        assert library.get([line["experience"] for line in acknowledged])
        assert library.statistics().trajectories >= len(acknowledged)


# Programs of earlier versions, where the history of the repository is here


def git(*arguments: str) -> bytes:
    root = Path(__file__).parents[1]
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the history of the repository is not here")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Path]]:
    """The last program of a schema, as a folder."""
    made: dict[int, Path] = {}

    def of(version: int) -> Path:
        if version not in made:
            made[version] = _unpacked(version, tmp_path_factory.mktemp(f"schema{version}"))
        return made[version]

    yield of
    for folder in made.values():
        shutil.rmtree(folder)


def _unpacked(version: int, folder: Path) -> Path:
    next_one = f":(glob)flex_mcp/**/{version + 1:04}_*.sql"  # wherever it lay then
    main_line = "-s", "--first-parent", "--diff-merges=first-parent"  # a branch may skip one
    added = (
        git("log", *main_line, "--diff-filter=A", "--format=%H", "--", next_one).decode().split()
    )
    if not added:
        pytest.skip(f"the history of the repository does not say when schema {version + 1} came")
    archive = git("archive", f"{added[-1]}^", "flex_mcp", "prompts")
    with tarfile.open(fileobj=BytesIO(archive)) as held:
        held.extractall(folder, filter="data")
    return folder


def run_of(
    folder: Path, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder)}  # noqa: TID251  the child's own
    command = [sys.executable, "-P", "-m", "flex_mcp", *map(str, arguments)]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )


WORK = {
    "task": "Build the image",
    "outcome": "success",
    "transcript": "What was done, step by step. " * 300,
    "lessons": [
        {
            "zone": "golden",
            "level": "pattern",
            "title": "Pin the compiler",
            "when": "building images",
            "lesson": "Pin the compiler version in the build image.",
        }
    ],
}


@pytest.mark.process
@pytest.mark.parametrize("version", range(1, len(ALL)))
def test_what_a_program_of_each_schema_wrote_is_here_today(
    tmp_path: Path, program: Callable[[int], Path], version: int
) -> None:
    path = tmp_path / "library.db"
    made = run_of(program(version), "record", "-", "--library", path, stdin=json.dumps(WORK))
    assert made.returncode == 0, made.stderr
    before = rows_of(path)
    assert version_of(path) == version
    with open_library(path) as library:
        (hit,) = library.search("pin the compiler version", abstain=False).hits
        assert hit.experience.lesson == WORK["lessons"][0]["lesson"]  # type: ignore[index]
        (trajectory,) = library.trajectories(hit.experience.evidence)
        assert trajectory.transcript == WORK["transcript"]
    after = rows_of(path)
    for table in ("trajectories", "revisions"):
        (row,), (known,) = before[table], after[table]
        assert {name: known[name] for name in row} == row
    (copy,) = backups.copies_of(path)
    assert rows_of(copy) == before
    assert health(path) == Health()


@pytest.mark.process
@pytest.mark.parametrize("version", range(1, len(ALL)))
def test_a_program_of_each_earlier_schema_refuses_todays_library_and_leaves_it(
    tmp_path: Path, program: Callable[[int], Path], version: int
) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        add(library, a_lesson())
    before = digests(tmp_path)
    for arguments in (("stats",), ("record", "-")):
        ended = run_of(program(version), *arguments, "--library", path, stdin=json.dumps(WORK))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "upgrade flex-mcp" in ended.stderr
    assert digests(tmp_path) == before


# What a migration makes of a schema


def shape(path: Path) -> dict[str, object]:
    """What a schema means, whatever words made it: columns, keys, indexes, virtual tables."""
    connection = apsw.Connection(str(path))
    tables = ask(
        connection,
        "SELECT s.name, l.type, l.wr, l.strict, s.sql FROM sqlite_schema s "
        "JOIN pragma_table_list l ON l.name = s.name AND l.schema = 'main' WHERE s.type = 'table'",
    )
    found: dict[str, object] = {}
    for name, kind, without_rowid, strict, sql in tables:
        columns = ask(
            connection,
            "SELECT name, type, [notnull], dflt_value, pk, hidden FROM pragma_table_xinfo(?)",
            name,
        )
        keys = ask(
            connection,
            "SELECT [table], [from], [to], on_delete FROM pragma_foreign_key_list(?)",
            name,
        )
        indexes = ask(
            connection, "SELECT name, [unique], origin, partial FROM pragma_index_list(?)", name
        )
        found[name] = {
            "kind": (kind, without_rowid, strict),
            "virtual": " ".join(sql.split()) if kind == "virtual" else None,
            "columns": set(columns),
            "keys": set(keys),
            "indexes": {
                index: ask(
                    connection,
                    "SELECT seqno, name, desc, coll FROM pragma_index_xinfo(?)",
                    index[0],
                )
                for index in indexes
            },
        }
    connection.close()
    return found


def old_library(path: Path, version: int) -> None:
    """A library as an earlier version made it."""
    connection = apsw.Connection(str(path))
    for number in range(version):
        connection.execute(ALL[number])
        connection.pragma("user_version", number + 1)
    if version:
        connection.pragma("application_id", sqlite_file.APPLICATION_ID)
        connection.execute("INSERT INTO meta (name, value) VALUES ('library_id', 'l_old')")
    connection.close()


@pytest.mark.parametrize("version", range(len(ALL) + 1))
def test_a_library_of_every_version_becomes_what_a_fresh_one_is(
    tmp_path: Path, version: int
) -> None:
    SqliteStore(tmp_path / "fresh.db").close()
    old_library(tmp_path / "old.db", version)
    store = SqliteStore(tmp_path / "old.db")
    with store.reading() as reading:
        assert reading.statistics().schema_version == len(ALL)
        assert version == 0 or reading.settings.get("library_id") == "l_old"
    store.close()
    fresh = shape(tmp_path / "fresh.db")
    assert "experiences" in fresh
    assert shape(tmp_path / "old.db") == fresh


def test_the_next_migration_takes_an_old_library_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    store, experience = SqliteStore(path), an_experience()
    keep(store, experience)
    store.close()
    new = "CREATE TABLE colours (name TEXT) STRICT; INSERT INTO colours VALUES ('red')"
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", [*ALL, new])
    for _ in range(2):  # once only, however often it is opened
        store = SqliteStore(path)
        with store.reading() as reading:
            assert reading.experiences.get([experience.id]) == [experience]
            assert reading.statistics().schema_version == len(ALL) + 1
        store.close()
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT name FROM colours").fetchall() == [("red",)]
    connection.close()


def test_a_migration_that_fails_leaves_the_library_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    store, experience = SqliteStore(path), an_experience()
    keep(store, experience)
    store.close()
    before = path.read_bytes()
    bad = "CREATE TABLE colours (name TEXT) STRICT; DELETE FROM experiences; SELECT no_such()"
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_file, "MIGRATIONS", [*ALL, bad])
        with pytest.raises(apsw.SQLError, match="no_such"):
            SqliteStore(path)
    assert path.read_bytes() == before
    store = SqliteStore(path)
    with store.reading() as reading:
        assert reading.experiences.get([experience.id]) == [experience]
    store.close()
