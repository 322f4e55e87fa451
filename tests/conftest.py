"""What all tests share: no test can reach the user's own library, settings or models."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.fakes import LESSONS, Clock, FakeEmbedder, a_lesson, add, fake_library

from flex_mcp import open_library
from flex_mcp.library import Library

settings.register_profile("house", deadline=None, database=None, max_examples=60)
settings.load_profile("house")  # nothing asserts on time, and a test run leaves no files


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
