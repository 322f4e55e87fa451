"""Who wrote what, and when: every write leaves one line, and a search too."""

import os
from pathlib import Path

import pytest
from mcp import Client
from support.client import answer, connected
from support.fakes import FakeEmbedder, a_lesson, a_trajectory, models
from support.terminal import done, done_json, refused

from flex_mcp.errors import InputError
from flex_mcp.library.library import Library
from flex_mcp.models import Curation, Outcome, Write
from flex_mcp.storage.sqlite import log as kept
from flex_mcp.storage.sqlite.log import NAMED
from flex_mcp.storage.sqlite.store import SqliteStore

WORK = {"task": "Release the compiler", "outcome": "success"}
LESSON = {"zone": "golden", "level": "pattern", "title": "Pin it", "when": "", "lesson": "Pin it."}


def opened(path: Path) -> Library:
    return Library(SqliteStore(path), models(FakeEmbedder()), wanted="fake")


def log(library: Library, about: str | None = None) -> list[Write]:
    return library.last_writes(100, about)


async def told(client: Client) -> str:
    """Do all that a client can do; returns the experience's id."""
    recorded = await answer(client, "record_trajectory", **WORK, key="mine")
    brief = await answer(client, "distill")
    lessons = [LESSON]
    saved = await answer(client, "save_lessons", brief_id=brief["brief_id"], lessons=lessons)
    id_ = saved["decisions"][0]["experience_id"]
    found = await answer(client, "search_experience", query="Pin it.")
    await answer(client, "report_outcome", retrieval_id=found["retrieval_id"], outcome="success")
    await answer(client, "curate_experience", id=id_, action="retire", reason="done")
    assert recorded["new"]
    return id_


@pytest.mark.anyio
async def test_every_write_over_mcp_names_the_client_its_process_and_what_it_did(
    tmp_path: Path,
) -> None:
    path = tmp_path / "library.db"
    async with connected(path) as client:
        id_ = await told(client)
    writes = done_json("log", "--searches", "--library", str(path))["writes"]
    verbs = [one["verb"] for one in writes if one["verb"] != "measure"]  # alone where it is slow
    assert verbs == ["curate retire", "report", "search", "save lessons", "brief", "record"]
    assert {one["client"] for one in writes} == {"mcp 0.1.0"}
    assert {one["process"] for one in writes} == {os.getpid()}
    assert all(one["ids"] for one in writes)
    assert id_ in writes[0]["ids"]


def test_the_log_of_one_id_holds_what_touched_it_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "library.db") as library:
        (one,) = library.apply([a_lesson("walk the dog")], client="me")
        library.apply([a_lesson("pin the compiler")], client="me")
        library.curate(one.experience_id or "", Curation.RETIRE, reason="old", client="you")
        found = log(library, one.experience_id)
    assert [(write.verb, write.client) for write in found] == [
        ("curate retire", "you"),
        ("apply", "me"),
    ]


def test_searches_that_a_transaction_takes_along_are_their_own_clients_lines(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "library.db") as library:
        first = library.search("anything", client="one").retrieval_id
        second = library.search("anything", client="two").retrieval_id
        library.record(a_trajectory(), client="three")
        lines = [(write.client, write.verb, write.ids) for write in log(library)]
    assert lines[0][:2] == ("three", "record")
    assert lines[1:] == [("two", "search", (second,)), ("one", "search", (first,))]


def test_what_is_refused_or_changes_nothing_leaves_no_line(tmp_path: Path) -> None:
    with opened(tmp_path / "library.db") as library:
        with pytest.raises(InputError, match="there is no retrieval"):
            library.report("r_aaaaaaaaaaaa", Outcome.SUCCESS)
        library.switching.check_writable()
        assert log(library) == []


def test_a_long_line_names_the_first_ids_and_counts_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with opened(path) as library:
        library.apply([a_lesson(f"lesson number {number}") for number in range(25)])
        (line,) = log(library)
    assert (len(line.ids), line.touched) == (NAMED, 25)
    said = done("log", "--library", str(path))
    assert f"{line.ids[0]} lesson number 0; {line.ids[1]} lesson number 1; " in said
    assert said.endswith("and 22 more\n")


def test_searches_are_left_out_of_the_log_unless_asked_for(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    with opened(Path(at[1])) as library:
        library.apply([a_lesson("walk the dog")])
        retrieval = library.search("walk the dog").retrieval_id or ""
    assert retrieval not in done("log", *at)
    assert f"{retrieval} walk the dog" in done("log", "--searches", *at)
    assert retrieval in done("log", "--about", retrieval, *at)


def test_the_log_of_one_id_shows_the_long_writes_that_may_have_touched_it(tmp_path: Path) -> None:
    path = str(tmp_path / "library.db")
    with opened(Path(path)) as library:
        library.apply([a_lesson(f"older lesson {number}") for number in range(25)], client="before")
        made = library.apply([a_lesson(f"lesson {number}") for number in range(25)], client="me")
        library.apply([a_lesson("another")], client="you")
        first, last = made[0].experience_id or "", made[-1].experience_id or ""
    says = done("log", "--about", last, "--library", path)
    assert says.startswith(f"No write that is kept names {last}.\nThese touched more")
    found = done_json("log", "--about", last, "--library", path)
    assert (found["writes"], [one["client"] for one in found["perhaps"]]) == ([], ["me"])
    found = done_json("log", "--about", first, "--library", path)
    assert ([one["client"] for one in found["writes"]], found["perhaps"]) == (["me"], [])


def test_an_id_that_is_not_here_has_no_log(tmp_path: Path) -> None:
    path = str(tmp_path / "library.db")
    opened(tmp_path / "library.db").close()
    assert "nothing here with the id 'e_aaaaaaaaaaaa'" in refused(
        "log", "--about", "e_aaaaaaaaaaaa", "--library", path
    )


def test_the_log_keeps_the_last_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT", 3)
    with opened(tmp_path / "library.db") as library:
        for number in range(5):
            library.record(a_trajectory(f"task {number}"))
        assert [write.number for write in log(library)] == [5, 4, 3]


def test_the_log_of_a_new_library_says_that_nothing_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "library.db")
    opened(tmp_path / "library.db").close()
    assert done("log", "--library", path) == "Nothing was written.\n"
    assert "limit" in refused("log", "--library", path, "--limit", "0")
