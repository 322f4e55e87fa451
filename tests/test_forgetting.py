"""Forgetting: what goes, what stays, and that not a byte of it is left."""

import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.fakes import (
    Clock,
    FakeEmbedder,
    a_brief,
    a_lesson,
    a_trajectory,
    add,
    fake_library,
    one,
    record,
)
from support.processes import Worker
from support.terminal import run

from flex_mcp import open_library
from flex_mcp.errors import FullDiskError, InputError, LibraryError, NotFoundError
from flex_mcp.exchange.files import Format, export_library, import_file
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Action,
    Agent,
    Curation,
    Fields,
    Filter,
    Level,
    Outcome,
    Placement,
    RevisionKind,
    Status,
    Step,
    StepKind,
    Trajectory,
)
from flex_mcp.models.forgetting import Choice
from flex_mcp.search.candidates import Search
from flex_mcp.search.hits import answer
from flex_mcp.search.token_match import tokens
from flex_mcp.storage.sqlite import file as sqlite_file
from flex_mcp.storage.sqlite import purge
from flex_mcp.storage.sqlite.history import History
from flex_mcp.storage.sqlite.store import SqliteStore

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Markers:
    """Words that occur nowhere else, one for every place a text can go."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.made: list[str] = []

    def __call__(self) -> str:
        self.made.append("q" + "".join(self._chance.choices(LETTERS, k=15)))
        return self.made[-1]


def remember(library: Library, mark: Markers, shape: str = "steps") -> tuple[str, str]:
    """A trajectory and its experience, with a marker wherever something can be said."""
    query = f"What is known of {mark()}?"
    found = library.search(query, abstain=False, client=mark())
    flush(library)
    body: dict[str, Any] = {}
    if shape == "steps":
        step = Step(kind=StepKind.ACTION, content=f'say "{mark()}"\n', name=mark())
        body = {"steps": (step, replace(step, content=f"ö {mark()}"))}
    elif shape == "long":
        body = {"transcript": f"{mark()} is compressed. " * 300 + mark()}
    trajectory = a_trajectory(
        f"The task {mark()}",
        answer=f"The answer {mark()}",
        feedback=f"The feedback {mark()}",
        domain=f"{mark()}/{mark()}",
        agent=Agent(name=mark(), model=mark()),
        **body,
    )
    lesson = a_lesson(
        f"The lesson {mark()}",
        title=f"The title {mark()}",
        when=f"When {mark()}",
        examples=(f"For example {mark()}", f'"{mark()}"\n{mark()}'),
        tags=(mark(),),
        reason=f"Because of {mark()}",
        action=Action.ADD,
    )
    retrievals = [found.retrieval_id] if found.retrieval_id else []
    recorded = library.record(
        trajectory, lessons=[lesson], retrieval_ids=retrievals, key=mark(), client=mark()
    )
    experience_id = recorded.decisions[0].experience_id or ""
    library.curate(
        experience_id,
        Curation.EDIT,
        fields=Fields(title=f"The new title {mark()}"),
        reason=f"The reason {mark()}",
        client=mark(),
    )
    return recorded.trajectory_id, experience_id


def flush(library: Library) -> None:
    """Write the searches that wait."""
    library._log.flush()  # pyright: ignore[reportPrivateUsage]


def set_setting(library: Library, name: str, value: str) -> None:
    with library._writing("test", "test") as writing:  # pyright: ignore[reportPrivateUsage]
        writing.settings.set(name, value)


def held_in(path: Path) -> bytes:
    """All bytes of a library, free pages and -wal included."""
    beside = sorted(path.parent.glob(f"{path.name}*"))
    return b"".join(one.read_bytes() for one in beside)


def left_of(path: Path, words: Sequence[str]) -> list[str]:
    content = held_in(path)
    return [word for word in words if word.encode() in content]


def check_sound(path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        assert not connection.execute("SELECT 1 FROM meta WHERE name = 'forgetting'").fetchall()


UNCOUNTED = dict.fromkeys(("served", "successes", "failures", "helpful", "harmful"), 0)


def everything(library: Library, ids: Sequence[str]) -> list[object]:
    """All that the library says of these trajectories and experiences, counters aside.

    Those go with the searches that they were counted in.
    """
    with library.reading() as reading:
        experiences = reading.experiences.get(ids)
        return [
            reading.trajectories.get(ids),
            [replace(found, **UNCOUNTED) for found in experiences],
            [reading.history.of(found.id) for found in experiences],
            [reading.vectors.of([found.id]) for found in experiences],
            [reading.words.tokens([found.id], tokens().layout) for found in experiences],
            [
                [row.id for row in reading.words.matching(found.tags, depth=9, wanted=Filter())]
                for found in experiences
            ],
        ]


def done(path: Path, *arguments: str) -> dict[str, Any]:
    result = run("forget", *arguments, "--yes", "--json", "--library", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


# Not a byte


@given(
    st.lists(st.sampled_from(["steps", "long", "bare"]), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
@settings(
    max_examples=examples(12), phases=[Phase.generate]
)  # each makes a file or two: no shrinking
def test_no_byte_of_a_forgotten_trajectory_is_left_and_all_else_is_as_it_was(
    shapes: list[str], chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        marks = [Markers(chance.randrange(10**9)) for _ in shapes]
        with fake_library(path.parent, FakeEmbedder()) as library:
            kept = [
                remember(library, mark, shape) for mark, shape in zip(marks, shapes, strict=True)
            ]
            gone = kept.pop(at := chance.randrange(len(kept)))
            rest = [id_ for pair in kept for id_ in pair]
            before = everything(library, rest)
            forgotten = library.forget(Choice(ids=gone[:1]))
            assert forgotten.done
            assert forgotten.cleaned.checked
            assert forgotten.cleaned.checked.found == ()
            assert everything(library, rest) == before
            assert library.trajectories(gone) == library.get(gone) == []
        assert left_of(path, [*marks[at].made, *gone]) == []
        assert [
            word for mark in marks if mark is not marks[at] for word in mark.made[:1]
        ] == left_of(path, [mark.made[0] for mark in marks])
        check_sound(path)


def test_an_experience_is_forgotten_alone_by_its_own_id(quick: Library) -> None:
    trajectory_id, experience_id = remember(quick, Markers(1))
    assert quick.forget(Choice(ids=(experience_id,))).done
    assert quick.get([experience_id]) == []
    assert [found.id for found in quick.trajectories([trajectory_id])] == [trajectory_id]


def test_what_was_forgotten_may_be_recorded_again_as_new(quick: Library) -> None:
    work, lesson = a_trajectory("Sail to the island"), a_lesson(action=Action.ADD)
    first = quick.record(work, lessons=[lesson])
    quick.forget(Choice(ids=(first.trajectory_id,)))
    again = quick.record(work, lessons=[lesson])
    assert again.new
    assert again.trajectory_id != first.trajectory_id
    assert [str(decision.decision) for decision in again.decisions] == ["add"]


def test_a_brief_that_holds_or_names_what_is_forgotten_goes_and_frees_the_others(
    quick: Library, tmp_path: Path
) -> None:
    mark = Markers(2)
    gone, experience_id = remember(quick, mark)
    other = quick.record(a_trajectory("Another task")).trajectory_id
    asked = replace(a_brief("b_aaaaaaaaaaaa", other), rendered=f"near: {experience_id} {mark()}")
    assert quick.briefs.open(asked)
    assert quick.briefs.remaining() == 0
    quick.forget(Choice(ids=(gone,)))
    assert quick.briefs.remaining() == 1
    with pytest.raises(NotFoundError, match="there is no brief"):
        quick.briefs.answer("b_aaaaaaaaaaaa", [])
    assert left_of(tmp_path / "library.db", [*mark.made, "b_aaaaaaaaaaaa"]) == []


# What stems from what


def shared_experience(library: Library) -> tuple[str, str, str]:
    """One that began with a first trajectory, and was merged with the lesson of a second."""
    first = library.record(a_trajectory("The first"), lessons=[a_lesson(action=Action.ADD)])
    experience_id = first.decisions[0].experience_id or ""
    merged = a_lesson("Both together qmergedtextq.", action=Action.MERGE, into=experience_id)
    second = library.record(
        a_trajectory("The second qsecondtaskq"),
        lessons=[replace(merged, reason="qmergedreasonq")],
    )
    return first.trajectory_id, second.trajectory_id, experience_id


def test_an_experience_with_other_evidence_goes_unless_it_is_kept(quick: Library) -> None:
    _, second, experience_id = shared_experience(quick)
    plan = quick.forgettable(Choice(ids=(second,)))
    assert plan.affected.shared == plan.affected.experiences == {experience_id}
    quick.forget(Choice(ids=(second,)))
    assert quick.get([experience_id]) == []


def test_an_experience_that_is_kept_has_its_text_and_no_history(
    quick: Library, tmp_path: Path
) -> None:
    first, second, experience_id = shared_experience(quick)
    before = one(quick, experience_id)
    done = quick.forget(Choice(ids=(second,)), keep_shared=True, client="somebody")
    assert done.done
    assert done.plan.affected.experiences == frozenset()
    after = one(quick, experience_id)
    assert after.text == before.text
    assert after.evidence == (first,)
    (revision,) = quick.history(experience_id)
    assert (revision.revision, revision.before) == (after.revision, None)
    assert (revision.actor, revision.reason) == ("somebody", "its earlier history was forgotten")
    assert left_of(tmp_path / "library.db", [second, "qmergedreasonq", "qsecondtaskq"]) == []


def test_what_a_person_approved_stays_approved_without_its_history(quick: Library) -> None:
    _, second, experience_id = shared_experience(quick)
    quick.curate(experience_id, Curation.APPROVE, reason="good")
    quick.forget(Choice(ids=(second,)), keep_shared=True)
    assert [found.id for found in quick.catalogue.approved()] == [experience_id]
    assert [found.kind for found in quick.history(experience_id)] == [RevisionKind.APPROVE]


def test_one_that_was_superseded_by_what_is_forgotten_stays_and_no_longer_names_it(
    quick: Library, tmp_path: Path
) -> None:
    (old,) = add(quick, a_lesson("The old way."))
    newer = a_lesson("The new way.", action=Action.SUPERSEDE, into=old, reason="qbecauseq")
    made = quick.record(a_trajectory("Try"), lessons=[newer])
    new = made.decisions[0].experience_id or ""
    quick.forget(Choice(ids=(made.trajectory_id,)))
    assert quick.get([new]) == []
    found = one(quick, old)
    assert (found.status, found.superseded_by) == (Status.RETIRED, None)
    assert len(quick.history(old)) == 1
    gone = [new, made.trajectory_id, "qbecauseq"]
    assert left_of(tmp_path / "library.db", gone) == []


def test_one_that_was_narrowed_beside_a_forgotten_lesson_is_shared(quick: Library) -> None:
    (old,) = add(quick, a_lesson("Soak the beans."))
    trajectory_id = quick.record(a_trajectory("Cook")).trajectory_id
    opened = quick.briefs.open(replace(a_brief("b_bbbbbbbbbbbb", trajectory_id)))
    assert opened
    origin = one(quick, old).origin
    placement = Placement(
        lessons=(a_lesson("Cook them.", action=Action.ADD),), narrowed={old: "dry"}
    )
    quick.briefs.settle("b_bbbbbbbbbbbb", placement, origin=origin)
    plan = quick.forgettable(Choice(ids=(trajectory_id,)))
    assert plan.affected.shared == {old}


def test_a_lesson_that_was_counted_again_began_elsewhere_and_is_shared(quick: Library) -> None:
    (old,) = add(quick, a_lesson("Soak the beans."))
    again = quick.record(a_trajectory("Cook"), lessons=[a_lesson("Soak the beans.")])
    assert one(quick, old).evidence == (again.trajectory_id,)
    plan = quick.forgettable(Choice(ids=(again.trajectory_id,)))
    assert plan.affected.shared == {old}


# Choosing


def test_a_text_chooses_whatever_holds_it_in_either_case(quick: Library, tmp_path: Path) -> None:
    said = "Qsecretq wordq"
    long = quick.record(a_trajectory("x", transcript="filler " * 2_000 + said)).trajectory_id
    (lesson,) = add(quick, a_lesson("Never say it.", examples=(f'"{said.upper()}"',)))
    (edited,) = add(quick, a_lesson(f"Say {said} always."))
    fields = Fields(title="Another", lesson="Say something else.")
    quick.curate(edited, Curation.EDIT, fields=fields, reason="better")
    quick.search(f"about {said}")
    flush(quick)
    other = quick.record(a_trajectory("y")).trajectory_id
    plan = quick.forgettable(Choice(text=said.casefold()), keep_shared=True)
    assert plan.affected.trajectories == {long}
    assert plan.affected.experiences == {lesson}
    assert plan.affected.cleaned == {edited}
    assert len(plan.affected.retrievals) == 1
    assert quick.forget(Choice(text=said), keep_shared=True).done
    assert one(quick, edited).lesson == "Say something else."
    assert quick.trajectories([other])
    assert said.casefold().encode() not in held_in(tmp_path / "library.db").lower()


def test_a_domain_chooses_what_lies_below_it_by_whole_segments(quick: Library) -> None:
    below = quick.record(a_trajectory("a", domain="math/geometry")).trajectory_id
    beside = quick.record(a_trajectory("b", domain="mathematics")).trajectory_id
    (lesson,) = add(quick, a_lesson("Draw it.", domain="math"))
    plan = quick.forgettable(Choice(domain=" Math/ "))
    assert plan.affected.trajectories == {below}
    assert plan.affected.experiences == {lesson}
    assert quick.forget(Choice(domain="math")).done
    assert quick.trajectories([beside])
    assert quick.catalogue.complete("domains", "", 9) == []


def test_an_age_chooses_trajectories_and_searches_recorded_before(
    quick: Library, clock: Clock
) -> None:
    (lesson,) = add(quick, a_lesson())
    old = quick.record(a_trajectory("old")).trajectory_id
    quick.search("old query")
    flush(quick)
    clock.advance(days=100)
    new = quick.record(a_trajectory("new")).trajectory_id
    quick.search("new query")
    flush(quick)
    assert quick.forget(Choice(before=datetime(2026, 2, 1, tzinfo=UTC))).done
    assert [found.id for found in quick.trajectories([old, new])] == [new]
    assert quick.get([lesson])
    assert quick.statistics().retrievals == 1


def test_options_together_must_all_fit(quick: Library, clock: Clock) -> None:
    old = quick.record(a_trajectory("find me", domain="a")).trajectory_id
    quick.record(a_trajectory("find me too", domain="b"))
    quick.record(a_trajectory("not this", domain="a"))
    clock.advance(days=1)
    quick.record(a_trajectory("find me later", domain="a"))
    choice = Choice(domain="a", text="find me", before=datetime(2026, 1, 2, tzinfo=UTC))
    assert quick.forgettable(choice).affected.trajectories == {old}


def test_an_unknown_id_is_refused_and_nothing_is_forgotten(quick: Library) -> None:
    known = quick.record(a_trajectory()).trajectory_id
    with pytest.raises(NotFoundError, match=r"no experience e_aaaaaaaaaaaa: .* nothing was"):
        quick.forget(Choice(ids=(known, "e_aaaaaaaaaaaa")))
    assert quick.trajectories([known])
    with pytest.raises(InputError, match="an empty text stands everywhere"):
        quick.forget(Choice(text=" "))


# Imports


ENTRY: dict[str, Any] = {
    "method": "Draw a picture first.\nThen qmethodtextq follows.",
    "rules": [{"rule": "Count twice.", "examples": []}],
    "revised_trajectory": "",
    "problem_category": "counting",
}


def test_a_forgotten_part_of_an_entry_takes_its_json_and_comes_back_by_importing_again(
    quick: Library, tmp_path: Path
) -> None:
    flex = tmp_path / "flex.json"
    content = {"version": "2.0", "library": {"golden": [ENTRY], "warning": [], "mixed": []}}
    flex.write_text(json.dumps(content))
    import_file(quick, flex, client="test")
    method, rule = (
        next(found.id for found in quick.experiences(levels=[level]))
        for level in (Level.PATTERN, Level.PRINCIPLE)
    )
    quick.forget(Choice(ids=(method,)))
    assert left_of(tmp_path / "library.db", ["qmethodtextq", method]) == []
    exported = json.loads("".join(export_library(quick, Format.FLEX)))
    (entry,) = exported["library"]["golden"]
    assert (entry["method"], entry["rules"][0]["rule"]) == ("", "Count twice.")
    imported = import_file(quick, flex, client="test")
    assert (imported.total, imported.already) == (1, 1)
    exported = json.loads("".join(export_library(quick, Format.FLEX)))
    (entry,) = exported["library"]["golden"]
    assert entry["method"] == ENTRY["method"]
    assert quick.get([rule])
    again = import_file(quick, flex, client="test")
    assert (again.total, again.already) == (0, 2)


def test_a_text_beside_the_entries_of_a_flex_file_goes(quick: Library, tmp_path: Path) -> None:
    flex = tmp_path / "flex.json"
    zones = {"golden": [ENTRY], "warning": [], "mixed": []}
    flex.write_text(json.dumps({"version": "2.0", "library": zones, "by": "qauthornameq"}))
    import_file(quick, flex, client="test")
    assert b"qauthornameq" in held_in(tmp_path / "library.db")
    assert quick.forget(Choice(text="QAUTHORNAMEQ")).plan.affected.document
    assert left_of(tmp_path / "library.db", ["qauthornameq"]) == []
    assert len(quick.experiences()) == 2


# The checks


def nothing(_: object) -> None:
    """A step that is left out."""


def test_free_pages_that_a_cleaning_leaves_are_found(
    quick: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory_id = quick.record(a_trajectory("x", transcript=long_text())).trajectory_id
    with monkeypatch.context() as patch:
        patch.setattr(purge.Cleaning, "_rewrite", nothing)
        forgotten = quick.forget(Choice(ids=(trajectory_id,)))
    assert not forgotten.done
    assert re.search(r"still found, \d+ free pages: run ", forgotten.cleaned.unfinished or "")
    finished = quick.finish_forgetting()
    assert finished.checked
    assert finished.checked.found == ()
    assert quick.finish_forgetting().checked is None


def long_text() -> str:
    """What takes pages of its own, compressed as well."""
    return random.Random(6).randbytes(30_000).hex()


def test_a_wal_that_cannot_be_emptied_leaves_the_job_unfinished(
    quick: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory_id, _ = remember(quick, Markers(3))
    with monkeypatch.context() as patch:
        patch.setattr(apsw, "SQLITE_CHECKPOINT_TRUNCATE", apsw.SQLITE_CHECKPOINT_PASSIVE)
        forgotten = quick.forget(Choice(ids=(trajectory_id,)), patience=0)
    assert not forgotten.done
    assert "its -wal file: close the other programs and" in (forgotten.cleaned.unfinished or "")
    assert quick.finish_forgetting().unfinished is None


def test_no_word_of_it_is_left_in_full_text_however_often_one_forgets(
    quick: Library, tmp_path: Path
) -> None:
    marks = [Markers(seed) for seed in (7, 8, 9)]
    _, *others = [remember(quick, mark) for mark in marks]
    for trajectory_id, _ in others:
        assert quick.forget(Choice(ids=(trajectory_id,))).done
    with contextlib.closing(sqlite_file.connect(tmp_path / "library.db")) as connection:
        terms = {str(term)[:12] for (term,) in connection.execute("SELECT term FROM vocabulary")}
    kept, *gone = ({word[:12] for word in mark.made} for mark in marks)
    assert kept & terms
    assert not set().union(*gone) & terms


def test_an_id_that_a_table_still_names_is_found(quick: Library) -> None:
    trajectory_id, _ = remember(quick, Markers(4))
    set_setting(quick, "note", f"see {trajectory_id}")
    forgotten = quick.forget(Choice(ids=(trajectory_id,)))
    assert not forgotten.done
    assert "an id in the table meta" in (forgotten.cleaned.unfinished or "")
    set_setting(quick, "note", "nothing")
    assert quick.finish_forgetting().unfinished is None


@pytest.mark.parametrize("length", [1, 2_000])
def test_what_stays_and_quotes_what_went_is_named(
    quick: Library, tmp_path: Path, length: int
) -> None:
    (gone, other) = add(quick, a_lesson("Soak the beans."), a_lesson("Cook the beans."))
    quoting = a_trajectory("x", transcript=f"search gave {gone}: Soak the beans. " * length)
    trajectory_id = quick.record(quoting).trajectory_id
    quick.curate(other, Curation.EDIT, fields=Fields(lesson=f"First {gone}."), reason="better")
    forgotten = quick.forget(Choice(ids=(gone,)))
    assert forgotten.done
    assert forgotten.cleaned.checked
    assert forgotten.cleaned.checked.named == (trajectory_id, other)
    quick.forget(Choice(ids=(trajectory_id, other)))
    assert left_of(tmp_path / "library.db", [gone, "beans"]) == []


def test_words_that_an_older_version_kept_do_not_stand_in_the_way(
    quick: Library, tmp_path: Path
) -> None:
    gone, stays = record(quick, "This"), record(quick, "That")
    quick.apply([a_lesson("of this", action=Action.ADD)], evidence=(gone,))
    quick.apply([a_lesson("of that", action=Action.ADD)], evidence=(stays,))
    with contextlib.closing(sqlite_file.connect(tmp_path / "library.db")) as connection:
        words = "INSERT INTO words (rowid, lesson) VALUES (2, 'splitquiteotherwise')"
        connection.execute("DELETE FROM words WHERE rowid = 2")
        connection.execute(words)
    assert quick.forget(Choice(ids=(gone,))).done
    assert [hit.experience.title for hit in quick.search("of that", abstain=False).hits] == [
        "of that"
    ]


def test_forgetting_a_text_takes_it_out_of_the_names_in_the_log_too(
    quick: Library, tmp_path: Path
) -> None:
    quick.record(a_trajectory(), client="qsecretagentq")
    forgotten = quick.forget(Choice(text="QsecretAgentq"), client="me")
    assert forgotten.done
    assert {one.client for one in quick.last_writes(9)} == {"(forgotten)", "me"}
    quick.close()
    assert left_of(tmp_path / "library.db", ["qsecretagentq"]) == []


def test_a_forgetting_that_is_taken_back_leaves_what_this_process_holds_as_it_was(
    quick: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"lesson number {one}" for one in range(60)]
    for start in range(0, len(texts), 50):
        quick.apply([a_lesson(text, action=Action.ADD) for text in texts[start : start + 50]])
    gone, stays = record(quick, "This"), record(quick, "That")
    quick.apply([a_lesson("of both", action=Action.ADD)], evidence=(gone, stays))
    quick.search("lesson number 7")

    def full(*_: object) -> None:
        raise FullDiskError("no room is left")

    with monkeypatch.context() as patched:
        patched.setattr(History, "drop", full)
        with pytest.raises(FullDiskError):
            quick.forget(Choice(ids=(gone,)), keep_shared=True)
    quick.apply([a_lesson("a garden of zebras", action=Action.ADD)])
    found = quick.search("a garden of zebras", abstain=False)
    assert found.hits[0].experience.title == "a garden of zebras"


def test_the_log_tells_who_forgot_and_no_longer_names_what_went(quick: Library) -> None:
    gone, stays = record(quick, "This"), record(quick, "That")
    quick.apply([a_lesson("of both")], evidence=(gone, stays), client="both")
    forgotten = quick.forget(Choice(ids=(gone,)), client="me")
    assert forgotten.done
    lines = [(one.verb, one.client) for one in quick.last_writes(9)]
    assert ("forget", "me") in lines
    with pytest.raises(NotFoundError):
        quick.last_writes(9, gone)
    assert [one.verb for one in quick.last_writes(9, stays)] == ["apply", "record"]


# Other processes


def stocked(path: Path, *seeds: int) -> list[tuple[Markers, tuple[str, str]]]:
    marks = [Markers(seed) for seed in seeds]
    with open_library(path) as library:
        return [(mark, remember(library, mark)) for mark in marks]


@pytest.mark.process
def test_a_reader_elsewhere_leaves_the_job_unfinished_until_it_lets_go(
    tmp_path: Path, begin: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    (mark, gone), (other, _) = stocked(path, 10, 11)
    reader = begin("read-on", path)
    assert reader.line() == {"held": 2}
    result = run("forget", gone[0], "--yes", "--json", "--wait", "2", "--library", str(path))
    assert result.exit_code == 1
    assert "waiting for another program to let go" in result.stderr
    assert "close the other programs and run `flex-mcp forget --finish --library " in result.stderr
    answer = json.loads(result.stdout)
    assert (answer["done"], answer["checked"]) == (False, None)
    assert left_of(path, mark.made)
    with open_library(path) as library:
        assert library.trajectories(gone[:1]) == library.get(gone[1:]) == []
    reader.go()
    reader.end()
    result = run("forget", "--finish", "--library", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Checked: none of ")
    assert left_of(path, [*mark.made, *gone]) == []
    assert left_of(path, other.made)
    check_sound(path)


@pytest.mark.process
def test_the_next_forgetting_finishes_what_was_left(
    tmp_path: Path, begin: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    (one_mark, first), (other_mark, second), _ = stocked(path, 12, 13, 14)
    reader = begin("read-on", path)
    reader.line()
    arguments = ["--yes", "--wait", "0", "--library", str(path)]
    assert run("forget", first[0], *arguments).exit_code == 1
    reader.go()
    reader.end()
    assert done(path, second[0])["done"]
    assert left_of(path, [*one_mark.made, *other_mark.made, *first, *second]) == []
    check_sound(path)


@pytest.mark.process
@pytest.mark.parametrize("point", ["forget", "mark_in"])
def test_one_who_is_killed_before_the_rows_are_committed_has_forgotten_nothing(
    tmp_path: Path, begin: Callable[..., Worker], point: str
) -> None:
    path = tmp_path / "library.db"
    ((mark, gone),) = stocked(path, 15)
    victim = begin("forget-and-die", path, point, gone[0])
    victim.rest()
    assert victim.process.returncode == -signal.SIGKILL
    with open_library(path) as library:
        assert library.trajectories(gone[:1])
        assert library.get(gone[1:])
        assert len(library.history(gone[1])) == 2
    assert done(path, gone[0])["done"]
    assert left_of(path, [*mark.made, *gone]) == []
    check_sound(path)


@pytest.mark.process
@pytest.mark.parametrize("point", ["_rewrite", "_fold", "check", "_unmark"])
def test_one_who_is_killed_while_cleaning_leaves_the_rest_to_the_next(
    tmp_path: Path, begin: Callable[..., Worker], point: str
) -> None:
    path = tmp_path / "library.db"
    (mark, gone), (other, stay) = stocked(path, 16, 17)
    victim = begin("forget-and-die", path, point, gone[0])
    victim.rest()
    assert victim.process.returncode == -signal.SIGKILL
    result = run("forget", "--finish", "--json", "--library", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer["checked"]["found"] == []
    assert answer["checked"]["rows"] > 10
    assert left_of(path, [*mark.made, *gone]) == []
    assert left_of(path, other.made)
    with open_library(path) as library:
        assert library.trajectories(stay[:1])
    check_sound(path)


@pytest.mark.process
def test_a_process_that_goes_on_searching_no_longer_finds_it(
    tmp_path: Path, begin: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    (mark, gone), (_, stay) = stocked(path, 18, 19)
    text = f"{mark.made[-4]} lesson title example"
    searching = begin("search-again", path, text)
    assert gone[1] in searching.line()["hits"]
    assert done(path, gone[0])["done"]
    searching.go()
    found = searching.line()
    assert gone[1] not in found["hits"]
    assert stay[1] in found["hits"]
    assert found["retrieval_id"]
    assert found["notices"] == []
    searching.end()


def test_a_search_in_an_older_snapshot_leaves_out_what_went_meanwhile(tmp_path: Path) -> None:
    embedder, path = FakeEmbedder(), tmp_path / "library.db"
    text = "Soak the beans overnight."
    store = SqliteStore(path)
    with fake_library(tmp_path, embedder) as other:
        (gone,) = add(other, a_lesson(text))
        with store.reading() as older:
            assert [
                row.id for row in older.words.matching(["beans"], depth=9, wanted=Filter())
            ] == [gone]
            other.forget(Choice(ids=(gone,)), patience=0)
            (new,) = add(other, a_lesson("Pin the beans.", action=Action.ADD))  # with its number
            with store.reading() as newer:
                assert [
                    row.id for row in newer.words.matching(["pin"], depth=9, wanted=Filter())
                ] == [new]
            search = Search(text=text, vector=embedder.query(text), wanted=Filter(), limit=3)
            hits, _ = answer(older, replace(search, abstain=False), None)
            assert [hit.experience.id for hit in hits] in ([], [gone])
        assert other.finish_forgetting().unfinished is None
    store.close()


def test_a_retrieval_that_waits_elsewhere_and_names_it_is_written_without_it(
    tmp_path: Path,
) -> None:
    with fake_library(tmp_path, FakeEmbedder()) as library, fake_library(tmp_path) as other:
        gone, stays = add(library, a_lesson("Soak the beans."), a_lesson("Cook the beans."))
        found = library.search("beans", abstain=False)
        assert len(found.hits) == 2
        assert other.forget(Choice(ids=(gone,))).done
        flush(library)
        with library.reading() as reading:
            retrieval = reading.retrievals.get(found.retrieval_id or "")
        assert retrieval
        assert retrieval.served == (stays,)


@pytest.mark.process
def test_others_go_on_writing_and_searching_while_a_library_forgets(
    tmp_path: Path, begin: Callable[..., Worker]
) -> None:
    path = tmp_path / "library.db"
    forgetful = stocked(path, 30, 31, 32)
    busy = begin("churn", path, "busy", "60")
    written = [busy.line()]
    for _, (trajectory_id, _) in forgetful:
        assert run("forget", trajectory_id, "--yes", "--library", str(path)).exit_code == 0
    written += busy.end()
    assert len(written) == 120
    assert not [line for line in written if "search_error" in line or line.get("notices")]
    words = [word for mark, gone in forgetful for word in (*mark.made, *gone)]
    assert left_of(path, words) == []
    with open_library(path) as library:
        assert library.statistics().trajectories == 60
        assert library.statistics().experiences == 60
    check_sound(path)


def test_a_disk_that_is_full_while_cleaning_leaves_the_job_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    ((mark, gone),) = stocked(path, 33)

    def full(_: object) -> None:
        raise apsw.FullError

    with monkeypatch.context() as patch:
        patch.setattr(purge.Cleaning, "_rewrite", full)
        result = run("forget", gone[0], "--yes", "--library", str(path))
    assert result.exit_code == 1
    assert "The file is not clean yet." in result.stdout
    assert "no room is left on the disk" in result.stderr
    assert "so run `flex-mcp forget --finish` then" in result.stderr
    assert run("forget", "--finish", "--library", str(path)).exit_code == 0
    assert left_of(path, [*mark.made, *gone]) == []


# The command line


def test_without_a_terminal_it_wants_yes(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    (_, gone), _ = stocked(path, 20, 21)
    before = held_in(path)
    result = run("forget", gone[0], "--library", str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "look with --dry-run, and say --yes; nothing was forgotten" in result.stderr
    shown = run("forget", gone[0], "--dry-run", "--library", str(path))
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == ("To be forgotten: 1 trajectory, 1 experience with its history, 1 search.")
    assert [line.split()[1] for line in lines[1:]] == list(gone)
    assert held_in(path) == before


@pytest.mark.process
@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("n\n", 2)])
def test_on_a_terminal_it_shows_and_asks(tmp_path: Path, said: str, code: int) -> None:
    path = tmp_path / "library.db"
    (_, gone), _ = stocked(path, 22, 23)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "flex_mcp", "forget", gone[0], "--library", str(path)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.write(ours, said.encode())
        out, err = process.communicate()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert f"- {gone[0]}  The task" in err
    assert "Forget all this for good? [y/N]" in err
    assert ("names what went" in out) == (code == 0)
    with open_library(path) as library:
        assert bool(library.trajectories(gone[:1])) == (code != 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say what to forget"),
        (["t_aaaaaaaaaaaa", "--domain", "x"], "give ids, or --domain, --text and an age, not both"),
        (["t_aaaaaaaaaaaa"], "there is no trajectory and no experience t_aaaaaaaaaaaa"),
        (["--finish", "--text", "x"], "--finish stands alone"),
        (["--older-than", "soon"], "--older-than cannot be 'soon': say 90d, 12w or 36h"),
        (["--before", "soon"], "--before cannot be 'soon': say 2026-01-31"),
        (["--before", "2026-01-31", "--older-than", "1d"], "not both"),
        (["--domain", "/"], "--domain needs a path"),
        (["--text", " "], "--text needs words"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    open_library(tmp_path / "library.db").close()
    result = run("forget", *arguments, "--yes", "--library", str(tmp_path / "library.db"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_ages_and_dates_choose(tmp_path: Path) -> None:
    path = str(tmp_path / "library.db")
    with open_library(path) as library:
        trajectory_id = library.record(a_trajectory()).trajectory_id
    shown = run("forget", "--older-than", "1h", "--dry-run", "--library", path)
    assert shown.stdout == "Nothing here fits: there is nothing to forget.\n"
    shown = run("forget", "--before", "2999-01-01", "--dry-run", "--json", "--library", path)
    assert [one["id"] for one in json.loads(shown.stdout)["trajectories"]] == [trajectory_id]


@pytest.mark.process
def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path) -> None:
    path, folder = tmp_path / "library.db", tmp_path / "temporary"
    folder.mkdir()
    ((_, gone),) = stocked(path, 24)
    command = [
        sys.executable,
        "-P",
        "-m",
        "flex_mcp",
        "forget",
        gone[0],
        "--yes",
        "--library",
        str(path),
    ]
    temporary = {"TMPDIR": str(folder), "SQLITE_TMPDIR": str(folder)}
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ) | temporary)  # noqa: TID251  a test's own
    assert list(folder.iterdir()) == []


# Copies

THEIR_OWN = ("bak", "before-holiday.bak", "schema-notes.bak", "damaged-notes.txt")


def test_automatic_copies_are_deleted_and_backups_named(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        trajectory_id = library.record(a_trajectory("qcopiedtaskq")).trajectory_id
        set_setting(library, "backups", json.dumps(["elsewhere.db"]))
    copy = tmp_path / "library.db.schema-4-20260101T000000Z.bak"
    copy.write_bytes(path.read_bytes())
    strangers = [tmp_path / f"library.db.{name}" for name in THEIR_OWN]
    for stranger in strangers:
        stranger.write_text("mine")
    answer = done(path, trajectory_id)
    assert answer["copies_deleted"] == [str(copy)]
    assert answer["backups"] == ["elsewhere.db"]
    assert not copy.exists()
    assert all(stranger.exists() for stranger in strangers)
    assert left_of(path, ["qcopiedtaskq"]) == []


def test_a_damaged_trajectory_is_a_sentence_while_forgetting(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with fake_library(tmp_path, FakeEmbedder()) as library:
        library.record(Trajectory(task="t", outcome=Outcome.SUCCESS, transcript="words " * 2_000))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE trajectories SET body = x'00ff00ff'")
    connection.close()
    with (
        fake_library(tmp_path, FakeEmbedder()) as library,
        pytest.raises(LibraryError, match="damaged"),
    ):
        library.forget(Choice(text="words"))
