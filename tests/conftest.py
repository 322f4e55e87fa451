"""What all tests share: no test can reach the user's own library, settings or models."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import sqlite_vec  # pyright: ignore[reportMissingTypeStubs]
from support.examples import load_profile
from support.fakes import LESSONS, Clock, FakeEmbedder, a_lesson, add, fake_library
from support.faults import Server
from support.processes import Worker
from support.stdio_server import served

from flex_mcp import open_library
from flex_mcp.library.library import Library

load_profile()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs aside
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests start would inherit it
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"}  # events of sys.audit
_unmarked = ""  # the test that runs, where it may start no process


def _refuse_processes(event: str, _: object) -> None:
    if _unmarked and event in STARTS:
        pytest.fail(f"{_unmarked} starts a process: mark it with `pytest.mark.process`")


sys.addaudithook(_refuse_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The default list runs in this process alone, with all fixtures of its tests."""
    global _unmarked  # noqa: PLW0603  an audit hook takes no argument of ours
    _unmarked = "" if item.get_closest_marker("process") else item.nodeid
    try:
        return (yield)
    finally:
        _unmarked = ""


@pytest.fixture(autouse=True)
def nobodys_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A machine of its own for every test: no FLEX_MCP_* variable, no key, an empty home."""
    for name in list(os.environ):  # noqa: TID251  to empty it
        if name.startswith(("FLEX_MCP_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(home))  # of no project, whatever folder this is
    return home


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_library(tmp_path / "library.db") as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quick(tmp_path: Path, clock: Clock) -> Iterator[Library]:
    """A library with the fake embedder and a clock that stands still."""
    with fake_library(tmp_path, FakeEmbedder(), clock=clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def stocked_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that asks for `stocked` leaves one, for the others to copy."""
    return tmp_path_factory.mktemp("stocked") / "library.db"


@pytest.fixture
def stocked(tmp_path: Path, stocked_file: Path) -> Iterator[Library]:
    """A library of eight lessons from eight fields."""
    if not stocked_file.exists():
        with open_library(stocked_file) as made:
            add(made, *(a_lesson(text) for text in LESSONS))
    with open_library(shutil.copy(stocked_file, tmp_path / "library.db")) as opened:
        yield opened


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start a worker, which waits until it is told to go, and ends with the test."""
    workers: list[Worker] = []

    def started(*arguments: str | Path) -> Worker:
        workers.append(Worker(*arguments))
        return workers[-1]

    yield started
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def begin(start: Callable[..., Worker]) -> Callable[..., Worker]:
    """The same, and it begins at once."""

    def begun(*arguments: str | Path) -> Worker:
        worker = start(*arguments)
        worker.go()
        return worker

    return begun


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Server]]:
    with contextlib.ExitStack() as stack:
        yield lambda path: Server(stack.enter_context(served(path)), path)


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


@pytest.fixture(scope="session")
def shared() -> Path:
    """The files beside the checkout that the tests may use but not bring."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: it lies beside the checkout, not in it")
    return folder


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
