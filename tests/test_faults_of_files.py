"""A library that is deleted, moved, replaced or changed under real processes: see the table in
test_faults.py."""

import contextlib
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from support.faults import (
    QUERY,
    SAYS,
    WORK,
    Server,
    a_library,
    check_kept,
    command,
    hashes,
    killed,
    says,
)
from support.patience import PATIENCE
from support.processes import Worker
from support.stdio_server import served

from flex_mcp import open_library
from flex_mcp.storage.sqlite.file import MIGRATIONS

if sys.platform == "win32":
    pytest.skip("rights, signals and limits of POSIX", allow_module_level=True)


pytestmark = pytest.mark.process


def test_a_library_that_is_deleted_is_missed_and_not_made_anew(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    path = a_library(tmp_path / "library.db")
    server = serve(path)
    server.works()
    path.unlink()
    server.refuses("GONE", searches=False)
    assert command("list", "--library", path) == (2, says("MISSING", path))
    server.refuses("GONE", searches=False)
    assert list(tmp_path.iterdir()) == []  # its -wal, which is of no use to anybody, went with it
    a_library(path)
    server.works()


def test_damaged_vectors_leave_the_words_and_are_mended_while_a_server_runs(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    path = a_library(tmp_path / "library.db")
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE vectors_vector_chunks00 SET vectors = zeroblob(9)")
    server = serve(path)
    for is_damaged in (True, False):
        server.works()
        _, answer = server.call("search_experience", query=QUERY)
        assert (SAYS["VECTORS"][1:] in (answer.get("notice") or "")) is is_damaged
        assert command("reindex", "--library", path)[0] == 0
    check_kept(path, *server.acknowledged)


def test_a_library_that_is_moved_takes_all_along_and_is_served_when_it_is_back(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    path, away = a_library(tmp_path / "library.db"), tmp_path / "away" / "library.db"
    away.parent.mkdir()
    server = serve(path)
    server.works()
    path.rename(away)
    server.refuses("GONE", searches=False)
    shutil.copy(away, tmp_path / "copy.db")
    check_kept(tmp_path / "copy.db", *server.acknowledged)
    away.rename(path)
    server.works()
    check_kept(path, *server.acknowledged)


def test_a_library_that_is_moved_is_whole_when_the_server_ends(tmp_path: Path) -> None:
    path, away = a_library(tmp_path / "library.db"), tmp_path / "away.db"
    with served(path) as pipes:
        server = Server(pipes, path)
        server.works()
        path.rename(away)
        assert pipes.process.stdin
        pipes.process.stdin.close()
        assert pipes.process.wait(PATIENCE) == 0
    assert [one.name for one in tmp_path.iterdir()] == ["away.db"]
    check_kept(away, *server.acknowledged)


def test_a_folder_that_is_moved_and_back_makes_no_difference(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    (tmp_path / "here").mkdir()
    path = a_library(tmp_path / "here" / "library.db")
    server = serve(path)
    server.works()
    path.parent.rename(tmp_path / "there")
    server.refuses("GONE", searches=False)
    (tmp_path / "there").rename(path.parent)
    server.works()
    check_kept(path, *server.acknowledged)


def test_a_library_that_is_replaced_by_another_is_left_whole_and_the_other_one_served(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    path, other = a_library(tmp_path / "library.db"), a_library(tmp_path / "other.db")
    servers = [serve(path), serve(path)]
    for server in servers:
        server.works()
    before = [id_ for server in servers for id_ in server.acknowledged]
    path.rename(tmp_path / "old.db")
    other.rename(path)
    for server in servers:
        server.acknowledged.clear()
        server.works()
        server.works()
    check_kept(tmp_path / "old.db", *before)
    check_kept(path, *(id_ for server in servers for id_ in server.acknowledged))
    with open_library(path) as library:
        assert library.statistics().trajectories == 4


def idle(start: Callable[..., Worker], path: Path) -> Worker:
    """A process that has the library open, and looks at it only when it is told to."""
    worker = start("idle", path)
    worker.go()
    assert worker.line() == {"opened": True}
    return worker


@pytest.mark.parametrize("then", ["search", "end", "be killed"])
@pytest.mark.parametrize("instead", ["another library", "a new one"])
def test_who_has_the_old_library_open_takes_nothing_from_the_one_that_came_in_its_place(
    tmp_path: Path, start: Callable[..., Worker], instead: str, then: str
) -> None:
    path, other = a_library(tmp_path / "library.db"), a_library(tmp_path / "other.db")
    old = idle(start, path)
    if instead == "another library":
        other.replace(path)
    else:
        path.unlink()
    new, acknowledged = idle(start, path), list[str]()
    for _ in range(5):
        new.tell("record")
        acknowledged.append(new.line()["trajectory"])
    if then == "search":
        old.tell("search")
        assert old.line() == {"trajectories": 5}
    elif then == "end":
        old.end()
    else:
        old.process.kill()
    check_kept(path, *acknowledged)
    new.tell("record")
    check_kept(path, *acknowledged, new.line()["trajectory"])


def text(path: Path) -> str:
    path.write_text("These are my notes.\n" * 100, encoding="utf-8")
    return "NONE"


def of_another_program(path: Path) -> str:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('pie')")
    connection.close()
    return "FOREIGN"


def of_another_program_in_wal_mode(path: Path) -> str:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('pie')")
    connection.close()
    return "FOREIGN"


def one_byte(path: Path) -> str:
    path.write_text("x", encoding="utf-8")
    return "NONE"


def cut_off(path: Path) -> str:
    os.truncate(a_library(path), 3 * 8192 + 100)
    return "NONE"


def cut_off_in_its_header(path: Path) -> str:
    os.truncate(a_library(path), 60)
    return "NONE"


def of_a_newer_version(path: Path) -> str:
    with apsw.Connection(str(a_library(path))) as connection:
        connection.pragma("user_version", 99)
    connection.close()
    return "NEWER"


NO_LIBRARIES = pytest.mark.parametrize(
    "make",
    [
        text,
        one_byte,
        of_another_program,
        of_another_program_in_wal_mode,
        cut_off,
        cut_off_in_its_header,
        of_a_newer_version,
    ],
)


@NO_LIBRARIES
def test_what_is_no_library_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], str]
) -> None:
    fault = make(path := tmp_path / "library.db")
    before = hashes(tmp_path)
    for arguments in (["stats"], ["search", QUERY], ["record"]):
        refused = command(*arguments, "--library", path, stdin=WORK)
        assert refused == (2, says(fault, path))
        assert hashes(tmp_path) == before


@NO_LIBRARIES
def test_what_takes_the_place_of_a_library_is_left_as_it_is_until_a_library_is_back(
    tmp_path: Path, serve: Callable[[Path], Server], make: Callable[[Path], str]
) -> None:
    path, other = a_library(tmp_path / "library.db"), tmp_path / "other.db"
    fault = make(other)
    server = serve(path)
    server.works()
    path.rename(tmp_path / "old.db")
    other.rename(path)
    before = hashlib.sha256(path.read_bytes()).digest()
    server.refuses(fault, searches=False)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    (tmp_path / "old.db").rename(path)
    server.works()
    check_kept(path, *server.acknowledged)


def test_a_folder_is_no_library_and_an_empty_file_becomes_one(tmp_path: Path) -> None:
    assert command("stats", "--library", tmp_path) == (2, says("FOLDER", tmp_path))
    path = tmp_path / "library.db"
    path.touch()
    assert command("stats", "--library", path) == (2, says("MISSING", path))
    assert path.stat().st_size == 0
    assert command("record", "--library", path, stdin=WORK) == (0, "")
    check_kept(path)


def test_a_library_that_is_cut_off_while_it_is_served_is_said_to_be_damaged(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    path = a_library(tmp_path / "library.db")
    shutil.copy(path, copy := tmp_path / "copy.db")
    server = serve(path)
    server.search()
    os.truncate(path, 3 * 8192 + 100)
    server.refuses("NONE", searches=False)
    copy.rename(path)
    server.works()


@pytest.mark.parametrize("ends", [["-wal"], ["-shm"], ["-wal", "-shm"]])
def test_what_sqlite_keeps_beside_a_library_may_be_taken_away_while_it_is_served(
    tmp_path: Path, serve: Callable[[Path], Server], ends: list[str]
) -> None:
    path = a_library(tmp_path / "library.db")
    servers = [serve(path), serve(path)]
    for server in servers:
        server.record()  # and no log of a search is on its way
    for end in ends:
        path.with_name(path.name + end).unlink()
    for server in servers:
        server.works()
        os.kill(server.pid, signal.SIGKILL)
    check_kept(path, *(id_ for server in servers for id_ in server.acknowledged))


def test_a_library_without_its_shm_after_a_kill_is_whole(tmp_path: Path) -> None:
    path = a_library(tmp_path / "library.db")
    kept = killed(path)
    path.with_name("library.db-shm").unlink()
    check_kept(path, *kept)


def test_a_wal_without_its_library_is_not_thrown_away(tmp_path: Path) -> None:
    path = a_library(tmp_path / "library.db")
    kept = killed(path)
    away = path.rename(tmp_path / "away.db")
    before = hashes(tmp_path)
    for _ in range(2):
        assert command("stats", "--library", path) == (2, says("ORPHAN", path))
        assert hashes(tmp_path) == before
        path.touch()
        before = hashes(tmp_path)
    away.rename(path)
    check_kept(path, *kept)


def test_a_newer_version_that_brings_a_library_up_to_date_is_noticed_in_the_same_transaction(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    path = a_library(tmp_path / "library.db")
    server = serve(path)
    server.works()
    with apsw.Connection(str(path)) as newer:
        newer.execute("CREATE TABLE colours (name TEXT)")
        newer.pragma("user_version", 99)
    server.refuses("NEWER", searches=False)
    with open_library(tmp_path / "yardstick.db") as library:  # so much it had before
        assert library.statistics().trajectories == 0
    assert newer.execute("SELECT count(*) FROM trajectories").get == 1
    newer.pragma("user_version", len(MIGRATIONS))
    newer.close()
    server.works()
