"""What goes wrong with a library's file, done for real, to real processes: what they say, and that
nothing that was acknowledged is lost.

| fault | what you see | what holds |
|---|---|---|
| killed at any moment, half-way too | nothing | all that was acknowledged, nothing of a half |
| its disk is full: while it is written, in a checkpoint | FULL | searches go on; with room, writes |
| its disk is full: when it is made, opened, imported into | FULL | it is searched; nothing of a half |
| a write fails in the middle of a commit: limit, quota, EIO | DISK | as above |
| the disk cannot be read | NONE | the server lives; work goes on when it can |
| the file, its folder or both are read-only, from the start | READ_ONLY | searches go on |
| the right to look there is taken away, and given back | UNREACHABLE | work goes on then |
| deleted or moved; put back | GONE | nothing is acknowledged; work goes on then |
| replaced by another library | nothing | work goes on there; the old one is whole |
| replaced by what is none, or damaged | NONE, FOREIGN | it is left as it is |
| its vectors alone are damaged | VECTORS | words find; a reindex mends |
| truncated or emptied under us | NONE | the server lives; it serves what is put there |
| -wal or -shm taken away under us, or missing after a kill | nothing | nothing is lost |
| a -wal without its library | ORPHAN | it is left as it is |
| not there, or empty, for a command that makes none | MISSING | none is made |
| a folder, text, another program's, cut off | FOLDER, NONE, FOREIGN | left as it is |
| a newer flex-mcp brings it up to date while an older one works | NEWER | nothing is written |
| another process holds the lock | LOCKED | searches do not wait |
| too many files are open | FILES | work goes on when there are fewer |
| the clock jumps back or ahead | nothing | order, claims |
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.fakes import Clock, FakeEmbedder, a_brief, a_lesson, a_trajectory, add, models, record
from support.faults import (
    CHANCE,
    QUERY,
    SAYS,
    WORK,
    Server,
    a_library,
    check_kept,
    command,
    hashes,
    noise,
    says,
)
from support.processes import Worker, check_whole

from flex_mcp import __version__, open_library
from flex_mcp.errors import BusyLibraryError, FullDiskError
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Curation, Status, Wanted
from flex_mcp.storage.sqlite.file import MIGRATIONS
from flex_mcp.storage.sqlite.store import SqliteStore
from flex_mcp.storage.sqlite.transaction import SqliteTransaction

if sys.platform == "win32":
    pytest.skip("rights, signals and limits of POSIX", allow_module_level=True)

import resource

pytestmark = pytest.mark.process

DOCS = Path(__file__).parents[1] / "docs" / "faults.md"


def test_the_page_on_faults_has_every_sentence() -> None:
    text = " ".join(DOCS.read_text(encoding="utf-8").split())
    newer = SAYS["NEWER"].replace(__version__, "VERSION").replace(f" {len(MIGRATIONS)}:", " N:")
    said = (SAYS | {"NEWER": newer}).values()
    assert [sentence for sentence in said if sentence not in text] == []


# Killed


def test_a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path, acknowledged = tmp_path / "library.db", list[dict[str, Any]]()
    for number in range(8):
        worker = start("write-forever", path, f"life{number}")
        worker.go()
        acknowledged += [worker.line() for _ in range(CHANCE.randint(1, 8))]
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(CHANCE.uniform(0, 0.03))  # any moment of a transaction
        worker.process.send_signal(signal.SIGKILL)
        acknowledged += worker.rest()
        assert worker.process.returncode == -signal.SIGKILL
    assert len(acknowledged) >= 8
    with open_library(path) as library:  # one transaction may have been committed and not yet said
        unsaid = {one.id for one in library.experiences()} - {
            line["experience"] for line in acknowledged
        }
    assert len(unsaid) <= 8
    check_whole(path, acknowledged)


def test_a_transaction_that_was_killed_half_way_was_never_there(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    first = start("churn", path, "before", "3")
    first.go()
    written = [line for line in first.end() if "marker" in line]
    victim = start("die-inside", path)
    victim.go()
    assert victim.rest() == []
    assert victim.process.returncode == -signal.SIGKILL
    check_whole(path, written)
    with open_library(path) as library, library.reading() as reading:
        assert reading.settings.get("half") is None


# Without the right to write


def a_closed_library(folder: Path) -> tuple[Path, str]:
    path = folder / "library.db"
    with open_library(path) as library:
        (decision,) = library.apply([a_lesson()])
    path.chmod(0o644)
    return path, decision.experience_id or ""


def check_served_but_not_written(answers: list[dict[str, Any]], experience_id: str) -> None:
    searched, refused, again, counted = answers
    for found in (searched, again):
        assert found["hits"] == [experience_id]
        assert found["retrieval_id"] is None
        assert found["notices"] == [
            "the library cannot be written, so this search was not recorded"
        ]
    assert refused["error"] == "ReadOnlyLibraryError"
    assert "cannot be written: make the file and its folder writable" in refused["sentence"]
    assert counted == {"experiences": 1}


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"),
    [(0o444, 0o777), (0o444, 0o555)],
    ids=["the file", "the file and its folder"],
)
def test_a_library_that_may_not_be_written_is_served_all_the_same(
    open_folder: Path, start: Callable[..., Worker], file_mode: int, folder_mode: int
) -> None:
    path, experience_id = a_closed_library(open_folder)
    before = path.read_bytes()
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    worker = start("look-and-try", path, a_lesson().lesson)
    worker.go()
    check_served_but_not_written(worker.end(), experience_id)
    assert path.read_bytes() == before


def test_a_writable_file_in_a_folder_that_may_not_be_written_is_served_all_the_same(
    open_folder: Path, start: Callable[..., Worker]
) -> None:
    path, experience_id = a_closed_library(open_folder)
    path.chmod(0o666)
    open_folder.chmod(0o555)
    worker = start("look-and-try", path, a_lesson().lesson)
    worker.go()
    check_served_but_not_written(worker.end(), experience_id)


def test_a_library_in_use_is_served_to_one_who_may_not_write_it(
    open_folder: Path, start: Callable[..., Worker]
) -> None:
    if os.getuid() != 0:
        pytest.skip("it takes a second user, and only root can become one")
    path, experience_id = a_closed_library(open_folder)
    with open_library(path) as library:
        library.record(a_trajectory())  # in the -wal file only
        open_folder.chmod(0o555)
        worker = start("look-and-try", path, a_lesson().lesson)
        worker.go()
        check_served_but_not_written(worker.end(), experience_id)


def test_a_library_that_may_not_be_read_is_refused_with_what_to_do(
    open_folder: Path, start: Callable[..., Worker]
) -> None:
    path, _ = a_closed_library(open_folder)
    path.chmod(0o600 if os.getuid() == 0 else 0o000)
    worker = start("look-and-try", path, "x")
    worker.go()
    (answer,) = worker.end()
    assert answer["open_error"] == "LibraryError"
    assert "cannot be opened: check that it and its folder can be read" in answer["sentence"]


def test_no_library_can_be_made_where_nothing_may_be_written(
    open_folder: Path, start: Callable[..., Worker]
) -> None:
    open_folder.chmod(0o555)
    worker = start("look-and-try", open_folder / "new" / "library.db", "x")
    worker.go()
    (answer,) = worker.end()
    assert answer["open_error"] == "LibraryError"
    assert "cannot be made (Permission denied)" in answer["sentence"]


def check_obeyed(worker: Worker, path: Path, fault: str | None, *, searches: bool = True) -> None:
    """Another user's process searches and records; or it says why not."""
    sentence = fault and says(fault, path)
    worker.tell("search")
    found = worker.line()
    assert found.get("search_error") == (None if searches else sentence)
    assert not searches or found["hits"]
    worker.tell("record")
    assert worker.line().get("error") == sentence


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"),
    [(0o444, 0o777), (0o666, 0o555), (0o444, 0o555)],
    ids=["the file", "its folder", "both"],
)
def test_a_library_that_may_be_written_again_is_written_by_who_had_it_open(
    open_folder: Path, start: Callable[..., Worker], file_mode: int, folder_mode: int
) -> None:
    path, _ = a_closed_library(open_folder)
    path.chmod(file_mode)
    open_folder.chmod(folder_mode)
    worker = start("obey", path, a_lesson().lesson)
    worker.go()
    check_obeyed(worker, path, "READ_ONLY")
    path.chmod(0o666)
    open_folder.chmod(0o777)
    check_obeyed(worker, path, None)


def test_where_the_right_to_look_is_taken_away_work_goes_on_when_it_is_given_back(
    open_folder: Path, start: Callable[..., Worker]
) -> None:
    path, _ = a_closed_library(open_folder)
    path.chmod(0o666)
    worker = start("obey", path, a_lesson().lesson)
    worker.go()
    check_obeyed(worker, path, None)
    path.chmod(0o000)  # it is open: nothing changes for who has it
    check_obeyed(worker, path, None)
    open_folder.chmod(0o700 if os.getuid() == 0 else 0o000)
    check_obeyed(worker, path, "UNREACHABLE", searches=False)
    open_folder.chmod(0o777)
    check_obeyed(worker, path, None)


# A full disk


def fill(library: Library, lessons: int = 2_000) -> None:
    """Write until the disk is full."""
    for number in range(lessons):
        library.record(a_trajectory(f"task {number}", transcript=noise(10_000)))
    pytest.fail("the disk is larger than it should be")


def check_full(library: Library, path: Path) -> None:
    """Nothing more is taken, nothing is half-written, all that is there is served."""
    with pytest.raises(FullDiskError, match=r"no room is left on the disk .* nothing was stored"):
        fill(library)
    before = library.statistics()
    big = a_trajectory("one too many", transcript=noise(200_000))
    lessons = [a_lesson("never to be seen", examples=("x" * 4_000,) * 8, action=Action.ADD)]
    with pytest.raises(FullDiskError, match="nothing was stored"):
        library.record(big, lessons=lessons)
    after = library.statistics()
    assert (after.trajectories, after.experiences) == (before.trajectories, before.experiences)
    assert after.revisions == before.revisions
    found = library.search(a_lesson().lesson, abstain=False)
    assert [hit.experience.lesson for hit in found.hits] == [a_lesson().lesson]
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many KB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(size: int) -> Path:
        options = ["-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        mount = shutil.which("mount") or "no mount"
        try:
            subprocess.run([mount, *options], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a small disk cannot be mounted here")
        return folder

    yield mounted
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607  the system's own


def ballast(folder: Path, left: int = 0) -> Path:
    """A file that takes all room but so many pages of 4 KB."""
    file, page = folder / "ballast", bytes(4_096)
    with contextlib.suppress(OSError), file.open("ab", 0) as open_file:
        while open_file.write(page):
            pass
    os.truncate(file, file.stat().st_size - left * len(page))
    return file


@pytest.mark.parametrize("size", [5_000, 14_000])  # the larger: checkpoints fail first
def test_a_full_disk_refuses_records_goes_on_searching_and_works_again_with_room(
    disk: Callable[[int], Path], serve: Callable[[Path], Server], size: int
) -> None:
    path = a_library(disk(size) / "library.db")
    reserve = path.with_name("reserve")
    reserve.write_bytes(bytes(1_000_000))
    server = serve(path)
    assert server.record_until_refused(20_000) == says("FULL", path)
    assert len(server.acknowledged) > 10
    server.refuses("FULL", size=50_000)
    reserve.unlink()
    server.works()
    os.kill(server.pid, signal.SIGKILL)
    shutil.copytree(path.parent, path.parent.parent / "rescued")  # with room to be opened
    check_kept(path.parent.parent / "rescued" / path.name, *server.acknowledged)


@pytest.mark.parametrize("pages_left", [0, 20, 60])
def test_a_new_library_on_a_full_disk_is_refused_and_made_when_there_is_room(
    disk: Callable[[int], Path], pages_left: int
) -> None:
    folder = disk(1_500)
    path, reserve = folder / "library.db", ballast(folder, pages_left)
    assert command("record", "--library", path, stdin=WORK) == (2, says("FULL", path))
    reserve.unlink()
    assert command("record", "--library", path, stdin=WORK) == (0, "")


@pytest.mark.parametrize("pages_left", [0, 5])
def test_a_library_on_a_disk_that_was_full_before_is_searched_and_written_when_there_is_room(
    disk: Callable[[int], Path], serve: Callable[[Path], Server], pages_left: int
) -> None:
    path = a_library(disk(5_000) / "library.db")
    reserve = ballast(path.parent, pages_left)
    before = hashes(path.parent)["library.db"]
    server = serve(path)
    server.search()
    server.refuses("FULL")
    assert hashes(path.parent)["library.db"] == before
    reserve.unlink()
    server.works()


def test_an_import_that_finds_no_room_leaves_the_library_as_it_was(
    disk: Callable[[int], Path], tmp_path: Path
) -> None:
    with open_library(tmp_path / "big.db") as library:
        for _ in range(60):
            library.record(a_trajectory(noise(9), transcript=noise(50_000)))
    exported = tmp_path / "big.jsonl"
    assert command("export", exported, "--library", tmp_path / "big.db")[0] == 0
    path = a_library(disk(2_500) / "library.db")
    assert command("import", exported, "--library", path) == (2, says("FULL", path))
    with open_library(path) as library:
        assert library.statistics().trajectories == 0
    check_kept(path)


@pytest.mark.parametrize("further", [0, 100, 9_000, 40_000])
def test_a_commit_that_is_cut_off_stores_nothing_and_the_next_one_goes_through(
    tmp_path: Path, serve: Callable[[Path], Server], further: int
) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("the limits of another process can be set on Linux only")
    path = a_library(tmp_path / "library.db")
    server = serve(path)
    server.record()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    end = path.with_name("library.db-wal").stat().st_size + further
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (end, hard))
    server.refuses("DISK", size=100_000)
    server.refuses("DISK", size=100_000)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))
    server.works()
    os.kill(server.pid, signal.SIGKILL)
    check_kept(path, *server.acknowledged)


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int fails(const char *call, int fd) {
    char path[64], name[4096] = "", fault[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, name, sizeof name - 1) < 0 || !strstr(name, "library.db")) return 0;
    snprintf(fault, sizeof fault, "%s/%s", getenv("FAULTS"), call);
    return access(fault, F_OK) == 0 ? (errno = EIO) : 0;
}
#define FAULTY(type, call, given, used) \
    type call given { \
        type (*real) given = dlsym(RTLD_NEXT, #call); \
        return fails(#call, fd) ? -1 : real used; \
    }
FAULTY(ssize_t, pread64, (int fd, void *to, size_t n, long at), (fd, to, n, at))
FAULTY(ssize_t, pwrite64, (int fd, const void *from, size_t n, long at), (fd, from, n, at))
FAULTY(int, fdatasync, (int fd), (fd))
"""


@pytest.mark.parametrize("call", ["pread64", "pwrite64", "fdatasync"])
def test_a_disk_that_fails_is_said_and_work_goes_on_when_it_does_not_any_more(
    tmp_path: Path,
    serve: Callable[[Path], Server],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    compiler, shim = shutil.which("cc"), tmp_path / "shim.so"
    if sys.platform != "linux" or compiler is None:
        pytest.skip("it takes a C compiler on Linux to make system calls fail")
    line = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(shim), "-ldl"]
    subprocess.run(line, input=SHIM, text=True, check=True)
    path = a_library(tmp_path / "library.db")
    (faults := tmp_path / "faults").mkdir()
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("FAULTS", str(faults))
    server = serve(path)
    monkeypatch.delenv("LD_PRELOAD")
    server.record(100_000)
    (faults / call).touch()
    if call == "pread64":
        with open_library(path) as other:
            other.record(a_trajectory(transcript=noise(100_000)))  # not in the server's memory
    if call == "pread64":  # SQLite takes what cannot be read for damaged
        server.refuses("NONE", searches=False)
    else:
        server.refuses("DISK", size=100_000)
    (faults / call).unlink()
    server.works()
    os.kill(server.pid, signal.SIGKILL)
    check_kept(path, *server.acknowledged)


def test_a_file_at_its_limit_refuses_a_record_and_goes_on_searching(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    store = SqliteStore(path)
    with Library(store, models(FakeEmbedder()), wanted="fake") as library:
        library.apply([a_lesson()])
        assert store._opened  # pyright: ignore[reportPrivateUsage]
        writer = store._opened._writer  # pyright: ignore[reportPrivateUsage]
        writer.pragma("max_page_count", writer.pragma("page_count") + 40)
        check_full(library, path)
        writer.pragma("max_page_count", 1_000_000)
        assert library.record(a_trajectory("room again")).new
        assert library.statistics().by_status == {Status.ACTIVE: 1}


# Locks, files, time


def test_a_locked_library_is_searched_and_not_written(
    tmp_path: Path, start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_library(tmp_path / "library.db")
    holder = start("hold-lock", path)
    holder.go()
    assert holder.line() == {"held": True}
    monkeypatch.setattr("flex_mcp.storage.sqlite.file.BUSY_SECONDS", 0.1)
    with open_library(path) as library:
        assert library.search(QUERY).hits
        with pytest.raises(BusyLibraryError) as refused:
            library.record(a_trajectory())
        expected = says("LOCKED", path).replace("10 s", "0.1 s")
        assert str(refused.value) == expected
        holder.go()
        holder.end()
        assert library.record(a_trajectory()).new


def test_with_too_many_files_open_it_says_so_and_goes_on_when_there_are_fewer(
    tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("the limits of another process can be set on Linux only")
    path, other = a_library(tmp_path / "library.db"), a_library(tmp_path / "other.db")
    server = serve(path)
    server.works()
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, hard))
    server.works()  # what it needs is open
    other.replace(path)  # and now it is another one
    server.acknowledged.clear()
    server.refuses("FILES", searches=False)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
    server.works()
    check_kept(path, *server.acknowledged)


class BusyAtTheEnd(SqliteStore):
    """Its commits fail, while `busy`."""

    busy = False

    @contextlib.contextmanager
    def writing(self, verb: str, client: str) -> Generator[SqliteTransaction]:
        with super().writing(verb, client) as writing:
            yield writing
            if self.busy:
                raise BusyLibraryError("busy")


def test_a_search_that_a_failed_commit_took_along_is_kept_by_the_next_one(tmp_path: Path) -> None:
    store = BusyAtTheEnd(tmp_path / "library.db")
    with Library(store, models(FakeEmbedder()), wanted="fake") as library:
        store.busy = True
        found = library.search("anything", abstain=False)
        with pytest.raises(BusyLibraryError):
            library.record(a_trajectory())
        store.busy = False
        library.record(a_trajectory(), retrieval_ids=[found.retrieval_id or ""])


def test_a_clock_that_jumps_loses_no_order_and_frees_what_was_claimed(tmp_path: Path) -> None:
    clock = Clock()
    store = SqliteStore(tmp_path / "library.db")
    with Library(store, models(FakeEmbedder()), wanted="fake", now=clock) as library:
        tasks = [record(library, "one")]
        library.briefs.open(a_brief("b_1", *tasks))
        made = add(library, a_lesson("One."))
        clock.advance(days=-365)
        assert [
            one.id for one in library.briefs.claimable(Wanted())
        ] == tasks  # not for another year
        library.briefs.open(a_brief("b_2", *tasks))
        made += add(library, a_lesson("Two."))
        library.curate(made[0], Curation.RETIRE, reason="x")
        found = library.search("Two.", abstain=False)
        assert found.retrieval_id
        clock.advance(days=3 * 365)
        assert [one.id for one in library.briefs.claimable(Wanted())] == tasks
        library.curate(made[0], Curation.RESTORE, reason="x")
        assert [one.revision for one in library.history(made[0])] == [1, 2, 3]
        assert [one.kind for one in library.last_revisions(9)] == [
            "restore",
            "retire",
            "add",
            "add",
        ]
        library.briefs.answer("b_2", [a_lesson("Three.")])
        assert library.briefs.remaining() == 0
