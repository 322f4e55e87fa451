"""Real processes on one file: at once, killed, without the right to write, on a full disk."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import sqlite_vec  # pyright: ignore[reportMissingTypeStubs]
from fakes import FakeEmbedder, a_lesson, a_trajectory, models

from flex_mcp import open_library
from flex_mcp.errors import FullDiskError, LibraryError
from flex_mcp.library import Library
from flex_mcp.models import Action, Filter, Status
from flex_mcp.sqlite import SqliteStore

CHANCE = random.Random()  # noqa: S311  no secret: when to kill
WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A started worker.py; it has said that it is ready, and waits."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-W", "error", str(WORKER), *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.line() == {"ready": True}

    def line(self) -> dict[str, Any]:
        assert self.process.stdout
        text = self.process.stdout.readline()
        if not text:
            pytest.fail(f"the worker ended: {self.process.communicate()[1]}")
        return json.loads(text)

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def rest(self) -> list[dict[str, Any]]:
        """All that it still says; what a kill cut off is no line."""
        out, _ = self.process.communicate()
        return [json.loads(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]

    def end(self) -> list[dict[str, Any]]:
        """All that it still says until it ends by itself."""
        out, err = self.process.communicate()
        assert (self.process.returncode, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def started(*arguments: str | Path) -> Worker:
        workers.append(Worker(*arguments))
        return workers[-1]

    yield started
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def check_whole(path: Path, acknowledged: list[dict[str, Any]]) -> None:
    """The file is sound, and all that was acknowledged is there and can be found."""
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    connection.close()
    with open_library(path) as library:
        for line in acknowledged:
            assert library.trajectories([line["trajectory"]]), line
            (experience,) = library.get([line["experience"]])
            assert experience.evidence == (line["trajectory"],)
            assert [one.revision for one in library.history(experience.id)] == [1]
            with library.reading() as reading:
                found = reading.matching([line["marker"]], depth=9, wanted=Filter())
                assert [row.id for row in found] == [experience.id]
                (vector,) = reading.vectors([experience.id])[experience.id]
                found = reading.nearest(vector, depth=1_000, wanted=Filter())
                assert experience.id in [row.id for row in found if row.score > 0.999]
        counts = library.statistics()
        assert counts.trajectories == counts.experiences == counts.revisions


# At once


def test_eight_processes_open_a_new_file_at_once(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    workers = [start("open", tmp_path / "library.db") for _ in range(8)]
    for worker in workers:
        worker.go()
    answers = [line for worker in workers for line in worker.end()]
    assert len(answers) == 8
    assert len({line["library_id"] for line in answers}) == 1


def test_two_processes_on_a_new_file_lose_nothing_and_see_what_they_wrote(
    tmp_path: Path, start: Callable[..., Worker]
) -> None:
    path, rounds = tmp_path / "library.db", 25
    workers = [start("churn", path, name, str(rounds)) for name in ("one", "two")]
    for worker in workers:
        worker.go()
    answers = [worker.end() for worker in workers]
    written = [line for lines in answers for line in lines if "marker" in line]
    assert len(written) == 2 * rounds
    for lines in answers:
        for wrote, found in zip(lines[::2], lines[1::2], strict=True):
            assert wrote["experience"] in found["hits"]
            assert found["retrieval_id"]
            assert found["notices"] == []
    with open_library(path) as library, library.reading() as reading:
        for line in (line for lines in answers for line in lines[1::2]):
            retrieval = reading.retrieval(line["retrieval_id"])
            assert retrieval is not None
            assert set(retrieval.served) == set(line["hits"])
    check_whole(path, written)


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
        assert reading.setting("half") is None


# Without the right to write


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can reach: pytest's own are closed to all but their owner."""
    extension = Path(sqlite_vec.__file__)
    if os.getuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in extension.parents):
        pytest.skip(f"{extension.parent} is closed to the other user that the test becomes")
    folder = Path(tempfile.mkdtemp(prefix="flex-mcp-test-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


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


# A full disk


def noise(size: int) -> str:
    """Text that hardly compresses."""
    return CHANCE.randbytes(size).hex()


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
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)]
    if (
        mount is None
        or subprocess.run([mount, *options], check=False, capture_output=True).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607  the system's own


def test_a_full_disk_refuses_a_record_and_goes_on_searching(tiny_disk: Path) -> None:
    path = tiny_disk / "library.db"
    with Library(SqliteStore(path), models(FakeEmbedder()), wanted="fake") as library:
        library.apply([a_lesson()])
        check_full(library, path)


@pytest.mark.parametrize("pages_left", [0, 20, 60])
def test_a_new_library_on_a_full_disk_is_refused_with_a_sentence(
    tiny_disk: Path, pages_left: int
) -> None:
    ballast, page = tiny_disk / "ballast", bytes(4_096)
    with contextlib.suppress(OSError), ballast.open("wb", 0) as file:
        while file.write(page):
            pass
    os.truncate(ballast, ballast.stat().st_size - pages_left * len(page))
    with pytest.raises(LibraryError, match="no room is left on the disk"):
        SqliteStore(tiny_disk / "library.db")
    ballast.unlink()
    SqliteStore(tiny_disk / "library.db").close()


def test_a_file_at_its_limit_refuses_a_record_and_goes_on_searching(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    store = SqliteStore(path)
    with Library(store, models(FakeEmbedder()), wanted="fake") as library:
        library.apply([a_lesson()])
        writer = store._opened._writer  # pyright: ignore[reportOptionalMemberAccess, reportPrivateUsage]
        writer.pragma("max_page_count", writer.pragma("page_count") + 40)
        check_full(library, path)
        writer.pragma("max_page_count", 1_000_000)
        assert library.record(a_trajectory("room again")).new
        assert library.statistics().by_status == {Status.ACTIVE: 1}
