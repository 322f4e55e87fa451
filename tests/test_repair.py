"""A library whose indexes or whose file are damaged: found by the doctor, mended by `--repair`."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fakes import LESSONS, FakeEmbedder, a_lesson, add, ask, brief, fake_library, record
from support.processes import Worker
from support.terminal import run

from flex_mcp import open_library
from flex_mcp.errors import NotALibraryError
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Curation, Filter
from flex_mcp.storage.sqlite import backups
from flex_mcp.storage.sqlite import file as sqlite_file
from flex_mcp.storage.sqlite.health import Health, health

MAIN = {
    "meta": "name <> 'relevance'",
    "experiences": "1",
    "trajectories": "1",
    "revisions": "1",
    "retrievals": "1",
    "briefs": "1",
    "entries": "1",
}  # tables whose rows need no other, and which of their rows are no derived ones
PAGE = sqlite_file.PAGE_SIZE


def repaired(path: Path) -> dict[str, Any]:
    result = run("doctor", "--repair", "--json", "--library", path)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def contents(path: Path) -> tuple[str, str]:
    """What the doctor says of the library's contents."""
    checks = json.loads(run("doctor", "--json", "--library", path).stdout)["checks"]
    (one,) = [check for check in checks if check["name"] == "contents"]
    return one["state"], one["says"]


def fill(library: Library) -> None:
    """Something in every table."""
    retired, quarantined, *_ = add(library, *(a_lesson(text) for text in LESSONS))
    library.curate(retired, Curation.RETIRE, reason="old")
    library.curate(quarantined, Curation.QUARANTINE, reason="odd")
    found = library.search("pin the compiler", abstain=False)
    for number in range(20):
        record(library, f"Task {number}: " + "what had to be done. " * 40)
    brief(library, record(library, "A task with a brief"))
    (known,) = library.trajectories([record(library)])
    lesson = a_lesson("Only with evidence", action=Action.ADD)
    library.apply([lesson], evidence=[known.id])
    assert found.hits


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small library with rows in many tables; tests copy it."""
    folder = tmp_path_factory.mktemp("sound")
    with fake_library(folder, FakeEmbedder()) as library:
        fill(library)
        return Path(library.name)


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "library.db"))


def read(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """The rows of the main tables that SQLite can read, from the front and from the back."""
    found: dict[str, set[tuple[Any, ...]]] = {name: set() for name in MAIN}
    with (
        contextlib.suppress(apsw.Error),
        contextlib.closing(
            apsw.Connection(
                f"file:{path}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            )
        ) as connection,
    ):
        for name, where in MAIN.items():
            for order in ("ASC", "DESC"):
                with contextlib.suppress(apsw.Error, UnicodeDecodeError):
                    for row in connection.execute(
                        f"SELECT * FROM {name} WHERE {where} ORDER BY 1 {order}"  # noqa: S608
                    ):
                        found[name].add(row)
    return found


def change(path: Path, statement: str) -> None:
    connection = sqlite_file.connect(path)
    connection.execute(statement)
    connection.close()


# Indexes that do not agree with the tables


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM words WHERE rowid = 3", "full text and the tables differ in 1 experiences"),
        ("DELETE FROM words WHERE rowid > 2", "full text and the tables differ in 7 experiences"),
        (
            "INSERT INTO words (rowid, title) VALUES (1, 'retired')",
            "full text and the tables differ in 1 experiences",
        ),
        ("DELETE FROM vectors WHERE chunk = 3", "the vectors and the tables differ in 1 places"),
        ("DROP TABLE vectors", "the vectors and the tables differ in 9 places"),
        ("DELETE FROM vectors_vector_chunks00", "the vectors and the tables differ in 9 places"),
        ("DELETE FROM chunks WHERE chunk = 3", "the vectors and the tables differ in 1 places"),
        ("UPDATE vectors SET active = 1", "the vectors and the tables differ in 2 places"),
        ("UPDATE experiences SET zone = 'warning' WHERE number = 3", "differ in 1 places"),
        ("UPDATE words_data SET block = zeroblob(9) WHERE id > 10", "full text is damaged"),
    ],
)
def test_an_index_that_differs_from_the_tables_is_found_and_made_anew(
    path: Path, statement: str, says: str
) -> None:
    assert contents(path)[0] == "ok"
    before = read(path)
    change(path, statement)
    state, said = contents(path)
    assert (state, says in said) == ("fault", True), said
    answer = repaired(path)
    assert (answer["rebuilt"], answer.get("damaged"), answer["lost"]) == (True, None, {})
    assert contents(path)[0] == "ok"
    if "UPDATE experiences" not in statement:
        after = read(path)
        assert all(before[name] == after[name] for name in MAIN if name != "meta")
    with fake_library(path.parent, FakeEmbedder()) as library:
        if answer["unembedded"]:  # there is no second copy of vectors
            library.reindex()
        for words in ("compiler", "index"):
            assert library.search(words, abstain=False).hits


def test_a_process_that_has_the_library_open_takes_the_rebuilt_index(path: Path) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        before = library.statistics().by_status["active"]
        for change_made, active in (
            (lambda: change(path, "DELETE FROM words; DELETE FROM vectors WHERE chunk > 5"), 0),
            (lambda: repaired(path), before),
        ):
            change_made()
            with library.reading() as reading:
                assert reading.words.count() == active
        with library.reading() as reading:
            near = reading.vectors.nearest(FakeEmbedder().query("a"), depth=100, wanted=Filter())
        assert len(near) == 3  # of five, two are not active


def test_a_sound_library_is_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    assert "nothing to mend" in run("doctor", "--repair", "--library", path).output
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


# Files that are damaged


@dataclass(frozen=True)
class Blow:
    """Bytes that are overwritten, at a share of the file's length; or where it ends."""

    place: float
    bytes: bytes | None

    def fall(self, data: bytearray) -> None:
        start = int(self.place * len(data))
        if self.bytes is None:
            del data[start:]
        else:
            data[start : start + len(self.bytes)] = self.bytes[: len(data) - start]


blows = st.lists(
    st.builds(
        Blow,
        st.floats(0, 1, exclude_max=True) | st.floats(0, 0.05),
        st.none()
        | st.binary(min_size=1, max_size=40)
        | st.just(b"\0" * PAGE)
        | st.just(b"\xff" * 300),
    ),
    min_size=1,
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blows=blows)
def test_whatever_bytes_are_lost_repair_keeps_all_rows_that_sqlite_can_read(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, blows: list[Blow]
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "library.db"
    data = bytearray(sound.read_bytes())
    for blow in blows:
        blow.fall(data)
    path.write_bytes(data)
    whole, readable = read(sound), read(path)
    result = run("doctor", "--repair", "--json", "--library", path)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if result.exit_code:
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert path.read_bytes() == data
        assert [one.name for one in path.parent.iterdir()] == [path.name]
        return
    answer = json.loads(result.stdout)
    if answer["found"] and not answer["rebuilt"]:
        assert Path(answer["damaged"]).read_bytes() == data
        mended = read(path)
        for name in MAIN:
            assert not (whole[name] & readable[name]) - mended[name], name
    assert health(path) == Health()
    with fake_library(path.parent, FakeEmbedder()) as library:
        everything = library.experiences()
        library.trajectories([record(library, "One more")])
        for one in everything:
            library.history(one.id)
        library.search("compiler", abstain=False)


def test_an_experience_whose_row_is_lost_comes_back_from_its_history(path: Path) -> None:
    with open_library(path) as library:
        before = library.experiences()
    overwrite_rows(path, "experiences")
    answer = repaired(path)
    assert answer["saved"]["experiences"] == len(before)
    with open_library(path) as library:
        assert {(one.id, one.lesson, one.status) for one in library.experiences()} == {
            (one.id, one.lesson, one.status) for one in before
        }
        assert answer["unembedded"] == len([one for one in before if one.status == "active"])


def test_an_experience_that_cannot_be_read_comes_back_from_its_history(path: Path) -> None:
    with open_library(path) as library:
        before = {(one.id, one.lesson, one.status) for one in library.experiences()}
    change(path, "UPDATE experiences SET created_at = 'yesterday' WHERE number = 1")
    assert health(path) == Health(damage=("1 rows of experiences cannot be read",))
    repaired(path)
    with open_library(path) as library:
        assert {(one.id, one.lesson, one.status) for one in library.experiences()} == before
    assert health(path) == Health()


def overwrite_rows(path: Path, table: str) -> None:
    """Lose the page where a table of one page lies."""
    connection = apsw.Connection(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    connection.close()
    assert isinstance(root, int)
    data = bytearray(path.read_bytes())
    data[(root - 1) * PAGE : root * PAGE] = b"\xee" * PAGE
    path.write_bytes(data)


def test_what_was_in_the_wal_of_a_damaged_file_is_saved_too(path: Path, tmp_path: Path) -> None:
    left = tmp_path / "left" / "library.db"
    left.parent.mkdir()
    with open_library(path) as library:
        newest = record(library, "Written last")
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{left}{end}")
    data = bytearray(left.read_bytes())
    assert newest.encode() not in data
    data[:PAGE] = b"\xee" * PAGE
    left.write_bytes(data)
    answer = repaired(left)
    assert Path(answer["damaged"] + "-wal").exists()
    with open_library(left) as mended:
        assert mended.trajectories([newest])


def test_the_doctor_says_what_a_repair_would_mend_and_changes_nothing(path: Path) -> None:
    overwrite_rows(path, "trajectories")
    middle = path.read_bytes()
    path.with_name("headless.db").write_bytes(b"\0" * PAGE + middle[PAGE:])
    for name, says in (("library.db", "malformed"), ("headless.db", "its first page")):
        before = path.with_name(name).read_bytes()
        checks = json.loads(run("doctor", "--json", "--library", path.with_name(name)).stdout)
        (one,) = [check for check in checks["checks"] if check["name"] == "contents"]
        assert (one["state"], says in one["says"]) == ("fault", True), one
        assert "flex-mcp doctor --repair --library" in one["mend"]
        assert path.with_name(name).read_bytes() == before


@pytest.mark.parametrize("vacuumed", [False, True])
def test_without_its_first_page_nothing_but_the_page_is_lost(
    path: Path,
    vacuumed: bool,  # noqa: FBT001
) -> None:
    if vacuumed:
        change(path, "DROP TABLE vectors; VACUUM")
    before = read(path)
    path.write_bytes(b"\0" * PAGE + path.read_bytes()[PAGE:])
    assert repaired(path)["lost"] == {}
    after = read(path)
    assert all(before[name] == after[name] for name in MAIN if name != "meta")


def test_a_header_of_another_format_is_refused_in_a_sentence_and_mended(path: Path) -> None:
    before, data = read(path), bytearray(path.read_bytes())
    data[44:48] = (200).to_bytes(4)  # the schema's format, of which SQLite knows four
    path.write_bytes(data)
    with pytest.raises(NotALibraryError, match=r"damaged .*flex-mcp doctor --repair"):
        open_library(path)
    assert path.read_bytes() == data
    assert repaired(path)["lost"] == {}
    assert all(before[name] == read(path)[name] for name in MAIN if name != "meta")


@pytest.mark.parametrize(("table", "more"), [("trajectories", 0), ("retrievals", 9)])
def test_what_lies_between_two_lost_pages_is_saved(path: Path, table: str, more: int) -> None:
    with fake_library(path.parent, FakeEmbedder()) as library:
        for number in range(100):
            record(library, f"Task {number}: " + "what had to be done. " * 60)
            library.search(f"task {number}: " + "what had to be done " * 60, abstain=False)
    before = len(read(path)[table])
    connection = apsw.Connection(str(path))
    leaves = ask(
        connection,
        "SELECT pageno, ncell FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path",
        table,
    )
    connection.close()
    data = bytearray(path.read_bytes())
    for page, _ in (leaves[2], leaves[-3]):
        data[(page - 1) * PAGE : page * PAGE] = b"\xee" * PAGE
    path.write_bytes(data)
    answer = repaired(path)
    lost = before - len(read(path)[table])
    on_them = leaves[2][1] + leaves[-3][1]
    assert on_them <= lost <= on_them + more  # ids are random, and their beginnings are tried
    assert answer["gaps"] == 2


def a_text_file(path: Path) -> None:
    path.write_text("To do: water the begonias. " * 400)


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * 100_000)


def one_byte(path: Path) -> None:
    path.write_bytes(b"x")


def a_foreign_database(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE notes (n INTEGER PRIMARY KEY, text)")
    connection.execute("INSERT INTO notes (text) VALUES ('water the begonias')")
    connection.close()


@pytest.mark.parametrize(
    "make",
    [
        a_text_file,
        zeros,
        one_byte,
        a_foreign_database,
    ],
)
def test_a_file_that_never_was_a_library_is_refused_and_left(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "notes.txt"
    make(path)
    before = path.read_bytes()
    result = run("doctor", "--repair", "--library", path)
    assert result.exit_code == 2
    assert "is no library of flex-mcp; it was left as it is" in result.stderr
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.process
def test_a_damaged_file_that_is_open_elsewhere_is_not_replaced(path: Path) -> None:
    pytest.importorskip("fcntl")
    worker = Worker("hold", path)
    worker.go()
    assert worker.line()["open"]
    data = bytearray(path.read_bytes())
    data[5 * PAGE : 6 * PAGE] = b"\xee" * PAGE
    path.write_bytes(data)
    result = run("doctor", "--repair", "--library", path)
    worker.process.kill()
    worker.process.communicate()
    assert result.exit_code == 2
    assert "open: end the programs that use it" in result.stderr
    assert path.read_bytes() == data
    assert repaired(path)["saved"]["experiences"] == 9
    assert backups.copies_of(path)[0].read_bytes() == data


def test_nothing_to_repair_is_said_where_there_is_no_file(tmp_path: Path) -> None:
    result = run("doctor", "--repair", "--library", tmp_path / "none.db")
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "there is no library" in result.stderr
