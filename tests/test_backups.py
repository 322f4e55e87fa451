"""Copies of a library, by `backup` and of itself before it changes, and the way back: `restore`."""

import json
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw
import pytest
from support.fakes import FakeEmbedder, a_lesson, add, ask, fake_library, ids, one, record
from support.processes import Worker
from support.stdio_server import initialized, served
from support.terminal import done_json, refused, run

from flex_mcp import open_library
from flex_mcp.errors import (
    BusyLibraryError,
    FullDiskError,
    InputError,
    LibraryError,
    NewerLibraryError,
    NotALibraryError,
)
from flex_mcp.library import library as core
from flex_mcp.models import Moment, Outcome
from flex_mcp.storage.sqlite import backups, restore
from flex_mcp.storage.sqlite import file as sqlite_file
from flex_mcp.storage.sqlite.health import Health, health
from flex_mcp.storage.sqlite.store import SqliteStore

CHANCE = random.Random()
HAMMER = "Hold the hammer at the end of its handle"
ANCHOR = "Let the anchor go when the boat stands still"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A library with one lesson."""
    folder = tmp_path / "here"
    folder.mkdir()
    with fake_library(folder, FakeEmbedder()) as library:
        add(library, a_lesson(HAMMER))
        record(library)
        return Path(library.name)


@pytest.fixture
def backup(path: Path, tmp_path: Path) -> Path:
    """A backup of it, after which it got a second lesson."""
    made = tmp_path / "backup.db"
    done_json("backup", made, "--library", path)
    with fake_library(path.parent, FakeEmbedder()) as library:
        add(library, a_lesson(ANCHOR))
    return made


def lessons(path: Path) -> list[str]:
    """The lessons of a library, looked at without touching it."""
    connection = sqlite_file.connect_unchanged(path)
    found = ask(connection, "SELECT lesson FROM experiences ORDER BY number")
    connection.close()
    return [lesson for (lesson,) in found]


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


# Backups


@pytest.mark.process
def test_a_backup_holds_all_that_was_acknowledged_before_it_began_while_others_write(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    worker = start("write-forever", path, "writer")
    worker.go()
    acknowledged = [worker.line() for _ in range(5)]
    for number in range(4):
        made = Path(done_json("backup", tmp_path / f"{number}.db", "--library", path)["file"])
        connection = sqlite_file.connect_unchanged(made)
        for line in acknowledged:
            for table, id_ in (("trajectories", "trajectory"), ("experiences", "experience")):
                asked = f"SELECT count(*) FROM {table} WHERE id = ?"  # noqa: S608
                assert connection.execute(asked, (line[id_],)).get == 1
        connection.close()
        assert health(made) == Health()
        acknowledged += [worker.line() for _ in range(5)]  # the writer is not held up
    assert {one.suffix for one in tmp_path.iterdir()} == {".db", ".db-wal", ".db-shm"}


def test_a_backup_is_one_file_that_opens_by_itself_and_is_its_owners_alone(
    path: Path, tmp_path: Path
) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        made = library.backup(tmp_path / "copy.db")
        assert names(tmp_path) == {"here", "copy.db"}
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    connection = apsw.Connection(str(made), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.pragma("journal_mode") == "delete"
    connection.close()
    assert lessons(made) == [HAMMER]


def test_a_backup_goes_beside_the_library_under_a_name_of_its_own(path: Path) -> None:
    made = {Path(done_json("backup", "--library", path)["file"]) for _ in range(2)}
    assert len(made) == 2
    assert all(one.parent == path.parent for one in made)
    assert all(one.name.startswith("library.backup-2") and one.suffix == ".db" for one in made)


def test_a_library_knows_where_its_backups_went(path: Path, tmp_path: Path) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        made = [library.backup(tmp_path / f"{number}.db") for number in range(3)]
        with library.reading() as reading:
            assert json.loads(reading.settings.get("backups") or "") == [*map(str, made)]


def test_a_library_remembers_only_its_last_backups(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "REMEMBERED", 2)
    with fake_library(path.parent, FakeEmbedder()) as library:
        made = [library.backup(tmp_path / f"{number}.db") for number in range(4)]
        with library.reading() as reading:
            assert json.loads(reading.settings.get("backups") or "") == [*map(str, made[-2:])]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("library.db", "is the library itself"),
        ("library.db-wal", "is the library itself"),
        ("link.db", "is the library itself"),
        ("notes.txt", "is there already"),
        ("../backup.db", "is there already"),
        ("nowhere/backup.db", "is not there: make it"),
    ],
)
def test_a_backup_takes_the_place_of_nothing(
    path: Path, backup: Path, name: str, says: str
) -> None:
    (path.parent / "notes.txt").write_text("mine")
    (path.parent / "link.db").symlink_to(path)
    before, content = names(path.parent), backup.read_bytes()
    assert says in refused("backup", path.parent / name, "--library", path)
    assert names(path.parent) == before
    assert (path.parent / "notes.txt").read_text() == "mine"
    assert backup.read_bytes() == content


def test_no_library_is_made_to_be_copied(tmp_path: Path) -> None:
    assert "there is no library" in refused("backup", "--library", tmp_path / "library.db")
    assert names(tmp_path) == set()


def test_a_backup_that_fails_leaves_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise apsw.FullError

    with fake_library(path.parent, FakeEmbedder()) as library:
        monkeypatch.setattr(backups, "settle", full)
        with pytest.raises(FullDiskError, match="no room"):
            library.backup(tmp_path / "copy.db")
    assert names(tmp_path) == {"here"}


def test_a_damaged_library_is_not_taken_for_a_backup_and_no_backup_is_made_of_it(
    path: Path, tmp_path: Path
) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        spoil(path, "trajectories")
        with pytest.raises(NotALibraryError, match=f"{path} is damaged"):
            library.backup(tmp_path / "copy.db")
    assert names(tmp_path) == {"here"}


def spoil(path: Path, table: str) -> None:
    connection = sqlite_file.connect_unchanged(path)
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    connection.close()
    assert isinstance(root, int)
    with path.open("r+b") as held:
        held.seek((root - 1) * sqlite_file.PAGE_SIZE)
        held.write(b"\xee" * 4_000)


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_a_library_that_may_not_be_written_can_be_backed_up(
    open_folder: Path, start: Callable[..., Worker]
) -> None:
    kept = open_folder / "kept"
    kept.mkdir()
    with open_library(kept / "library.db") as library:
        add(library, a_lesson(HAMMER))
    (kept / "library.db").chmod(0o444)
    kept.chmod(0o555)
    worker = start("back-up", kept / "library.db", open_folder / "copy.db")
    worker.go()
    worker.end()
    kept.chmod(0o755)
    assert lessons(open_folder / "copy.db") == [HAMMER]


# Restoring


def test_restoring_brings_back_what_was_and_keeps_what_is(path: Path, backup: Path) -> None:
    answer = done_json("restore", backup, "--yes", "--library", path)
    assert lessons(path) == [HAMMER]
    assert lessons(Path(answer["copy"])) == [HAMMER, ANCHOR]
    assert (answer["experiences"], answer["damaged"]) == (1, None)
    assert backups.copies_of(path) == [Path(answer["copy"])]
    done_json("restore", answer["copy"], "--yes", "--library", path)
    assert lessons(path) == [HAMMER, ANCHOR]
    assert health(path) == Health()


def test_restoring_often_keeps_the_last_three_copies(path: Path, backup: Path) -> None:
    made = [done_json("restore", backup, "--yes", "--library", path)["copy"] for _ in range(5)]
    assert sorted(map(str, backups.copies_of(path))) == sorted(made[-3:])


def test_a_copy_of_the_users_own_is_never_among_those_that_go(path: Path, backup: Path) -> None:
    own = [path.with_name(f"library.db.{name}.bak") for name in ("before-holiday", "schema-3")]
    for each in own:
        shutil.copy(path, each)
        os.utime(each, (0, 0))
    for _ in range(4):
        done_json("restore", backup, "--yes", "--library", path)
    assert all(each.exists() for each in own)


def test_a_library_that_was_restored_still_knows_all_its_backups(path: Path, backup: Path) -> None:
    later = done_json("backup", "--library", path)["file"]
    done_json("restore", backup, "--yes", "--library", path)
    with fake_library(path.parent, FakeEmbedder()) as library, library.reading() as reading:
        assert json.loads(reading.settings.get("backups") or "") == [str(backup), later]


def test_restoring_asks_first_and_does_nothing_where_nobody_can_answer(
    path: Path, backup: Path
) -> None:
    assert "add --yes" in refused("restore", backup, "--library", path)
    assert lessons(path) == [HAMMER, ANCHOR]


def test_a_process_that_has_the_library_open_goes_on_with_what_was_restored(
    path: Path, backup: Path
) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        assert len(library.search(ANCHOR, abstain=False).hits) == 2
        moment = library.catalogue.last_change()
        for number in range(3):
            done_json("restore", backup, "--yes", "--library", path)
            changes = library.catalogue.changes(moment)
            assert (changes.whole, list(changes.revisions)) == (False, [])
            moment = changes.last
            assert library.catalogue.changes(moment).whole
            (hit,) = library.search(ANCHOR, abstain=False).hits
            assert hit.experience.lesson == HAMMER
            (added,) = add(library, a_lesson(f"Another lesson, number {number}"))
            found = ids(library.search(f"Another lesson, number {number}", abstain=False))
            assert found[0] == added
            assert one(library, added).title
            retrieval_id = library.search(HAMMER, abstain=False).retrieval_id
            assert library.report(retrieval_id or "", Outcome.SUCCESS)


@pytest.mark.process
def test_what_was_restored_from_another_library_outlives_a_kill_of_who_has_it_open(
    path: Path, tmp_path: Path, start: Callable[..., Worker]
) -> None:
    with fake_library(tmp_path / "other", FakeEmbedder()) as library:
        add(library, a_lesson(ANCHOR))
        other = library.backup()
    worker = start("idle", path)
    worker.go()
    assert worker.line() == {"opened": True}
    done_json("restore", str(other), "--yes", "--library", path)
    worker.process.kill()
    worker.process.wait()
    assert path.with_name("library.db-wal").stat().st_size
    checks = json.loads(run("doctor", "--json", "--library", path).stdout)["checks"]
    assert {one["state"] for one in checks if one["name"] in {"library", "contents"}} == {"ok"}
    with fake_library(path.parent, FakeEmbedder()):
        assert lessons(path) == [ANCHOR]


def test_a_change_of_the_same_number_after_a_restore_is_another_one(
    path: Path, backup: Path
) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        before = library.catalogue.last_change()
        done_json("restore", backup, "--yes", "--library", path)
        add(library, a_lesson("Something else entirely"))
        after = library.catalogue.last_change()
        assert before.number == after.number
        assert not library.catalogue.changes(before).whole
        assert not library.catalogue.changes(Moment()).whole


@pytest.mark.process
def test_a_running_server_answers_from_what_was_restored_and_tells_its_client(
    tmp_path: Path,
) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        add(library, a_lesson(HAMMER))
        made = library.backup()
        add(library, a_lesson(ANCHOR))

    with served(path) as pipes:
        initialized(pipes)

        def found() -> set[str]:
            hits: set[str] = set()
            for query in ("how to hold the hammer", "when to let the anchor go"):
                answer = pipes.ask(
                    "tools/call", name="search_experience", arguments={"query": query}
                )
                found = answer["result"]["structuredContent"]["hits"]
                hits |= {hit["lesson"] for hit in found}
            return hits

        assert len(pipes.ask("resources/list")["result"]["resources"]) == 3
        assert ANCHOR in found()
        done_json("restore", made, "--yes", "--library", path)
        assert pipes.process.stdout is not None
        while "list_changed" not in pipes.process.stdout.readline():
            pass
        assert found() == {HAMMER}
        assert len(pipes.ask("resources/list")["result"]["resources"]) == 2
        work = {"task": "Build a shed", "outcome": "success"}
        recorded = pipes.ask("tools/call", name="record_trajectory", arguments=work)["result"]
        assert recorded["structuredContent"]["new"]
    assert lessons(path) == [HAMMER]


def always_written(path: Path, start: Callable[..., Worker]) -> tuple[Path, Worker]:
    """The backup of an empty library, and a process that has begun to write into it without end."""
    with open_library(path) as library:
        made = library.backup()
    worker = start("write-forever", path, "writer")
    worker.go()
    return made, worker


@pytest.mark.process
def test_processes_that_write_all_the_time_do_not_stop_a_restore_and_lose_nothing_after_it(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    made, worker = always_written(path, start)
    earlier = [worker.line() for _ in range(5)]
    done_json("restore", made, "--yes", "--library", path)
    with open_library(path) as library:
        assert not library.get([line["experience"] for line in earlier])
        while not library.get([worker.line()["experience"]]):
            pass  # written before the restore, and said after
        for _ in range(10):
            assert library.get([worker.line()["experience"]])
    worker.process.kill()
    worker.process.communicate()
    assert health(path) == Health()


def test_nobody_writes_between_the_copy_of_what_is_there_and_the_restore(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = backups.before

    def then_write(path: Path, why: str) -> Path:
        kept = keep(path, why)
        other = apsw.Connection(str(path))
        with suppress(apsw.BusyError):
            other.execute("UPDATE experiences SET lesson = 'written meanwhile'")
        assert other.execute("SELECT count(*) FROM experiences").get == 2
        other.close()
        tried.append(lessons(path))
        return kept

    tried: list[list[str]] = []
    monkeypatch.setattr(backups, "before", then_write)
    kept = restore.restore(path, backup).copy
    assert kept
    assert tried == [lessons(kept)]
    assert lessons(path) == [HAMMER]


@pytest.mark.process
def test_all_that_was_acknowledged_is_in_the_kept_copy_or_in_what_was_restored(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    made, worker = always_written(path, start)
    acknowledged = [worker.line()]
    kept = done_json("restore", made, "--yes", "--library", path)["copy"]
    worker.process.kill()
    acknowledged += worker.rest()
    held: set[str] = set()
    for place in (path, Path(kept)):
        with open_library(place) as library:
            held |= {experience.id for experience in library.experiences()}
    assert {line["experience"] for line in acknowledged} <= held


def test_a_library_that_is_being_written_for_long_is_not_restored(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyLibraryError, match="nothing was changed; close it and try again"):
        restore.restore(path, backup)
    writer.execute("ROLLBACK")
    writer.close()
    assert lessons(path) == [HAMMER, ANCHOR]


def damaged(path: Path) -> None:
    spoil(path, "trajectories")


def cut(path: Path) -> None:
    os.truncate(path, 20_000)


def without_a_head(path: Path) -> None:
    path.write_bytes(b"\0" * 1_000 + path.read_bytes()[1_000:])


@pytest.mark.parametrize("spoil_it", [damaged, cut, without_a_head])
def test_a_damaged_library_is_moved_aside_whole_when_a_backup_takes_its_place(
    path: Path, backup: Path, spoil_it: Callable[[Path], None]
) -> None:
    spoil_it(path)
    path.with_name("library.db-wal").write_bytes(b"what was left")
    before = path.read_bytes()
    answer = done_json("restore", backup, "--yes", "--library", path)
    assert lessons(path) == [HAMMER]
    kept = Path(answer["damaged"])
    assert kept.read_bytes() == before
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"what was left"
    assert set(backups.copies_of(path)) >= {kept}
    assert answer["copy"] is None


@pytest.mark.process
def test_a_damaged_library_that_is_open_elsewhere_is_not_replaced(
    path: Path, backup: Path, start: Callable[..., Worker]
) -> None:
    pytest.importorskip("fcntl")
    worker = start("hold", path)
    worker.go()
    worker.line()
    damaged(path)
    before = path.read_bytes()
    assert "end the programs that use it" in refused("restore", backup, "--yes", "--library", path)
    assert path.read_bytes() == before


def test_a_library_that_is_gone_is_restored_with_its_folder(tmp_path: Path, backup: Path) -> None:
    path = tmp_path / "a" / "new" / "folder" / "library.db"
    assert done_json("restore", backup, "--yes", "--library", path)["damaged"] is None
    assert lessons(path) == [HAMMER]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_deleted_library_left_in_its_wal_is_kept(path: Path, backup: Path) -> None:
    path.unlink()
    path.with_name("library.db-wal").write_bytes(b"what was left")
    kept = done_json("restore", backup, "--yes", "--library", path)["damaged"]
    assert Path(kept).read_bytes() == b"what was left"
    assert lessons(path) == [HAMMER]


def test_a_place_where_nothing_can_be_made_is_no_place_for_a_backup(
    tmp_path: Path, backup: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    place = tmp_path / "file" / "library.db"
    assert "cannot be made" in refused("restore", backup, "--yes", "--library", place)


def a_text_file(path: Path) -> None:
    path.write_text("To do: water the begonias.")


def an_empty_file(path: Path) -> None:
    path.write_bytes(b"")


def nothing(path: Path) -> None:
    path.unlink()


def a_library_of_tomorrow(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 999)
    connection.close()


@pytest.mark.parametrize(
    ("spoil_it", "error"),
    [
        (damaged, NotALibraryError),
        (cut, NotALibraryError),
        (without_a_head, NotALibraryError),
        (a_text_file, NotALibraryError),
        (a_library_of_tomorrow, NewerLibraryError),
        (an_empty_file, NotALibraryError),
        (nothing, InputError),
    ],
)
def test_a_backup_that_cannot_be_used_changes_nothing(
    path: Path, backup: Path, spoil_it: Callable[[Path], None], error: type[Exception]
) -> None:
    spoil_it(backup)
    before, there = path.read_bytes(), names(path.parent)
    with pytest.raises(error, match=str(backup)):
        restore.restore(path, backup)
    assert (path.read_bytes(), names(path.parent)) == (before, there)


@pytest.mark.parametrize("spoil_it", [damaged, cut, a_text_file, an_empty_file])
def test_a_backup_that_cannot_be_used_is_not_taken_for_a_library_that_can_be_mended(
    path: Path, backup: Path, spoil_it: Callable[[Path], None]
) -> None:
    spoil_it(backup)
    says = refused("restore", backup, "--yes", "--library", path)
    assert f"the backup {backup} is damaged, or no backup" in says
    assert "nothing was changed: name another" in says
    assert "--repair" not in says


def test_a_library_is_no_backup_of_itself(path: Path) -> None:
    assert "is the library itself" in refused("restore", path, "--yes", "--library", path)


def test_another_programs_file_is_not_replaced_by_a_backup(tmp_path: Path, backup: Path) -> None:
    other = tmp_path / "notes.db"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = other.read_bytes()
    assert "of another program" in refused("restore", backup, "--yes", "--library", other)
    assert other.read_bytes() == before


@pytest.mark.parametrize("text", ["A", "To do: water the begonias.", "To do: prune. " * 1_000])
def test_a_file_that_is_no_library_is_not_replaced_by_a_backup(
    tmp_path: Path, backup: Path, text: str
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(text)
    before = names(tmp_path)
    assert "is no library" in refused("restore", backup, "--yes", "--library", notes)
    assert notes.read_text() == text
    assert names(tmp_path) == before


def test_a_newer_library_is_not_replaced_by_a_backup(path: Path, backup: Path) -> None:
    a_library_of_tomorrow(path)
    before = path.read_bytes()
    assert "upgrade flex-mcp" in refused("restore", backup, "--yes", "--library", path)
    assert path.read_bytes() == before


def test_a_backup_with_another_page_size_is_restored(path: Path, backup: Path) -> None:
    connection = sqlite_file.connect(backup)
    connection.pragma("journal_mode", "delete")
    connection.pragma("page_size", 4096)
    connection.execute("VACUUM")
    assert connection.pragma("page_size") == 4096
    connection.close()
    done_json("restore", backup, "--yes", "--library", path)
    assert lessons(path) == [HAMMER]
    assert health(path) == Health()
    with fake_library(path.parent, FakeEmbedder()) as library:
        assert library.search(HAMMER, abstain=False).hits


def test_a_restore_that_is_stopped_changes_nothing_and_leaves_no_half(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = backups.before

    def stop(path: Path, why: str) -> None:
        keep(path, why)
        raise KeyboardInterrupt

    before = names(path.parent)
    monkeypatch.setattr(backups, "before", stop)
    with pytest.raises(KeyboardInterrupt):
        restore.restore(path, backup)
    assert lessons(path) == [HAMMER, ANCHOR]
    (kept,) = names(path.parent) - before
    assert kept.startswith("library.db.before-restore-")


@pytest.mark.process
def test_a_kill_at_any_moment_of_a_restore_leaves_the_one_or_the_other(
    path: Path, backup: Path
) -> None:
    command = [sys.executable, "-P", "-m", "flex_mcp", "restore", str(backup), "--yes"]
    for number in range(6):
        with fake_library(path.parent, FakeEmbedder()) as library:
            library.apply([a_lesson(ANCHOR)])
        with subprocess.Popen(
            [*command, "--library", str(path)], stdout=subprocess.PIPE
        ) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2 + number * CHANCE.uniform(0.05, 0.2))
            process.kill()
        assert lessons(path) in ([HAMMER], [HAMMER, ANCHOR])
        assert health(path) == Health()
        for copy in path.parent.glob("*.bak"):
            assert health(copy) == Health()


def test_the_half_of_a_copy_that_a_kill_left_is_among_the_copies_to_forget(path: Path) -> None:
    names = (".library.backup-20260101T000000Z.db.0a1b2c3d.part", ".library.db.0a1b2c3d.part")
    halves = [path.with_name(name) for name in names]
    for half in halves:
        shutil.copy(path, half)
    assert backups.copies_of(path) == halves


def test_the_half_of_a_copy_that_is_a_day_old_is_swept_away(path: Path) -> None:
    half = path.with_name(".library.db.0a1b2c3d.part")
    shutil.copy(path, half)
    yesterday = path.stat().st_mtime - 2 * 86_400
    os.utime(half, (yesterday, yesterday))
    done_json("backup", "--library", path)
    assert not half.exists()


def test_a_closed_library_makes_no_backup(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    with pytest.raises(LibraryError, match="closed"):
        store.back_up(None)
