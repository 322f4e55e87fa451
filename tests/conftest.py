"""What all tests share: no test can reach the user's own library, settings or models."""

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from support.examples import load_profile
from support.fakes import LESSONS, Clock, FakeEmbedder, a_lesson, add, fake_library

from flex_mcp import open_library
from flex_mcp.library import Library

load_profile()
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


@pytest.fixture
def stocked(library: Library) -> Library:
    """A library of eight lessons from eight fields."""
    add(library, *(a_lesson(text) for text in LESSONS))
    return library


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
