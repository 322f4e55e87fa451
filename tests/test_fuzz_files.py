"""Hostile files: libraries with flipped bytes, FLEX files and bundles with anything in them."""

import contextlib
import itertools
import json
import queue
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import (
    LESSONS,
    Clock,
    FakeEmbedder,
    a_lesson,
    a_trajectory,
    add,
    fake_library,
    models,
)
from support.fuzzing import (
    anything,
    check_sentence,
    chosen,
    damaged,
    damages,
    flipped,
    fuzzed,
    spoiled,
    tables,
)
from support.patience import PATIENCE

from flex_mcp.errors import InputError
from flex_mcp.exchange.files import export_library, import_text
from flex_mcp.library.library import Library
from flex_mcp.models import Outcome
from flex_mcp.search.embedder import OurEmbedder
from flex_mcp.storage.sqlite.store import SqliteStore

ENTRY: dict[str, Any] = {
    "method": "Count residues. Then add them up.\nMind the carry.",
    "rules": [
        {"rule": "Work modulo the divisor. It is faster.", "examples": ["7 mod 3 = 1", "2"]},
        "Check the smallest case first.",
    ],
    "revised_trajectory": "Round 1\n<comments>good</comments>",
    "problem_category": "math/number theory",
    "priority": 4,
}
FLEX = {"version": "2.0", "library": {"golden": [ENTRY], "warning": [ENTRY], "mixed": []}}

PAGE, PIECE = 8_192, 200  # bytes


# Libraries with flipped bytes


class Handling:
    """A process that opens what it is told; a new one where it has died."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = itertools.count()
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.Queue[str] = queue.Queue()

    def handled(self, content: bytes) -> dict[str, str]:
        """What opening a file of these bytes says, step by step, and its bytes after it."""
        path = self.folder / f"{next(self._number)}.db"
        path.write_bytes(content)
        try:
            said = self._ask(path)
            if said["open"]:
                assert path.read_bytes() == content, "a refused file was changed"
            return said
        finally:
            for left in self.folder.glob(f"{path.name}*"):
                left.unlink()

    def _ask(self, path: Path) -> dict[str, str]:
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        try:
            line = self._said.get(timeout=PATIENCE)
        except queue.Empty:
            line = ""
        if not line:
            self.end()
            raise AssertionError("opening it crashed or hung the process")
        return json.loads(line)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            script = Path(__file__).parent / "support" / "handling.py"
            self._process = subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            threading.Thread(target=self._read, args=[self._process], daemon=True).start()
        return self._process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._said.put(line)
        self._said.put("")

    def end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # pyright: ignore[reportOptionalMemberAccess]
        self._process, self._said = None, queue.Queue()


@pytest.fixture(scope="module")
def handling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handling]:
    made = Handling(tmp_path_factory.mktemp("handling"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that holds something of everything."""
    folder = tmp_path_factory.mktemp("sound")
    path = folder / "library.db"
    with (
        pytest.MonkeyPatch.context() as patched,  # the same ids and times in every run
        Library(SqliteStore(path), models(OurEmbedder()), now=Clock()) as library,
    ):
        patched.setattr("secrets.token_bytes", random.Random(7).randbytes)
        add(library, *(a_lesson(text) for text in LESSONS))
        for number in range(3):
            text = f"Step {number}: the build failed, then passed. " * 200
            library.record(a_trajectory(f"Build {number}", transcript=text))
        import_text(library, json.dumps(FLEX), source="a.json")
        library.search(LESSONS[0])
        library.close()
    return path


@pytest.mark.process
def test_a_sound_library_is_handled_without_a_word(handling: Handling, sound: Path) -> None:
    assert not any(handling.handled(sound.read_bytes()).values())


@pytest.mark.process
@fuzzed(60)
@given(drawn=damages, page=st.one_of(st.none(), st.tuples(st.integers(0, 999), chosen([0, 1, 20]))))
def test_a_library_with_flipped_bytes_is_read_or_refused_in_a_sentence(
    handling: Handling, sound: Path, drawn: Any, page: tuple[int, int] | None
) -> None:
    whole = sound.read_bytes()
    if page is None:
        content = damaged(whole, drawn)
    else:  # within a piece of one page, where it hurts more
        start = page[0] % (len(whole) // PAGE) * PAGE + page[1] * PIECE
        piece = damaged(whole[start : start + PIECE], drawn)[:PIECE].ljust(PIECE, b"\0")
        content = whole[:start] + piece + whole[start + PIECE :]
    for said in handling.handled(content).values():
        if said:
            check_sentence(said)


# FLEX files and bundles


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with fake_library(tmp_path_factory.mktemp("filled"), FakeEmbedder()) as made:
        add(made, *(a_lesson(text) for text in LESSONS[:3]))
        yield made


def taken_or_refused(library: Library, text: str) -> None:
    """What comes in comes in whole and leaves a sound library, or nothing of it does."""
    path = Path(library.name)
    before = tables(path)
    try:
        import_text(library, text, source="a.json")
    except InputError as error:
        check_sentence(str(error))
        assert tables(path) == before
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.pragma("integrity_check") == "ok"
        assert not list(connection.execute("PRAGMA foreign_key_check"))
    finally:
        connection.close()
    library.search(LESSONS[0])
    for one in library.experiences(limit=5):
        library.history(one.id)


@fuzzed(80)
@given(drawn=st.data())
def test_a_flex_file_with_anything_in_it_comes_in_whole_or_not_at_all(
    filled: Library, drawn: st.DataObject
) -> None:
    content = drawn.draw(st.one_of(spoiled(FLEX), spoiled(FLEX), anything))
    text = json.dumps(content, ensure_ascii=drawn.draw(st.booleans()))
    if drawn.draw(st.integers(0, 3)) == 0:
        text = drawn.draw(flipped(text.encode(errors="replace"))).decode(errors="replace")
    taken_or_refused(filled, text)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of an export that holds something of everything."""
    with fake_library(tmp_path_factory.mktemp("bundle"), FakeEmbedder()) as made:
        import_text(made, json.dumps(FLEX), source="a.json")
        add(made, *(a_lesson(text) for text in LESSONS[3:5]))
        made.record(a_trajectory(transcript="x" * 5_000))
        made.report(made.search(LESSONS[3]).retrieval_id or "", Outcome.SUCCESS)
        return "".join(export_library(made)).splitlines(keepends=True)


@fuzzed(80)
@given(drawn=st.data())
def test_a_bundle_with_anything_in_it_comes_in_whole_or_not_at_all(
    filled: Library, bundle: list[str], drawn: st.DataObject
) -> None:
    lines = list(bundle)
    for _ in range(drawn.draw(st.integers(1, 3))):
        at = drawn.draw(st.integers(0, len(lines) - 1))
        match drawn.draw(chosen(["spoil", "spoil", "spoil", "drop", "twice", "flip"])):
            case "spoil":
                try:
                    whole = json.loads(lines[at])
                except ValueError:
                    continue
                ascii_ = drawn.draw(st.booleans())
                lines[at] = json.dumps(drawn.draw(spoiled(whole)), ensure_ascii=ascii_) + "\n"
            case "drop" if len(lines) > 1:
                del lines[at]
            case "twice":
                lines.insert(at, lines[at])
            case _:
                raw = lines[at].encode(errors="replace")
                lines[at] = drawn.draw(flipped(raw)).decode(errors="replace")
    taken_or_refused(filled, "".join(lines))


# What the above has found, each by itself


@pytest.mark.process
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE meta SET value = '[1' WHERE name = 'relevance'", ""),  # it is measured anew
        ("UPDATE meta SET value = '[\"x\", 1]' WHERE name = 'relevance'", ""),
        ("UPDATE experiences SET lesson = CAST(x'ff' AS TEXT)", "is damaged or no library"),
        ("UPDATE experiences SET examples = '[1'", "is damaged or no library"),
        ("UPDATE experiences SET created_at = 'yesterday'", "is damaged or no library"),
        ("UPDATE experiences SET updated_at = '2026-01-01T00:00:00'", ""),  # read as UTC
        ("UPDATE experiences SET zone = 'blue'", "is damaged or no library"),
        ("UPDATE experiences SET level = 'deep'", "is damaged or no library"),
        ("UPDATE trajectories SET recorded_at = '2026-01-01'", ""),
        ("UPDATE trajectories SET body = x'00' WHERE compressed", "is damaged or no library"),
    ],
)
def test_a_value_that_we_never_write_is_made_anew_or_named_as_damage(
    handling: Handling, sound: Path, tmp_path: Path, change: str, said: str
) -> None:
    path = tmp_path / "library.db"
    path.write_bytes(sound.read_bytes())
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.execute(change)
    connection.close()
    found = "".join(handling.handled(path.read_bytes()).values())
    assert "Traceback" not in found
    assert said in found if said else not found
