"""Whatever happens to a library: tables and indexes agree, and all of it can be taken back."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.fakes import Clock, FakeEmbedder, a_lesson, a_trajectory, fake_library

from flex_mcp.errors import InputError
from flex_mcp.library.library import Library
from flex_mcp.library.placing import snapshot_of
from flex_mcp.models import (
    Action,
    Curation,
    DecisionKind,
    Experience,
    ExperienceFilter,
    Fields,
    Filter,
    Lesson,
    Level,
    Outcome,
    Status,
    Trajectory,
    Zone,
)
from flex_mcp.models.forgetting import Choice
from flex_mcp.storage.sqlite import file as sqlite_file
from flex_mcp.storage.sqlite.search_index import LEVELS, ZONES

WORDS = ["pin", "compiler", "token", "invoice", "cursor", "diagram", "garden", "zebra", "moon"]
PHRASES = [*WORDS, *(f"{one} {other}" for one in WORDS for other in WORDS)]
SILENT = "zebra moon"  # its vector is zero
EMBEDDER = FakeEmbedder(window=2)  # short texts have several chunks

Operation = Callable[[Library], object]
Aimed = tuple[Lesson, int]  # a lesson, and the number of the experience that it may name
Numbers = Sequence[int]
Values = st.SearchStrategy[Any]
Look = Callable[[str], list[tuple[Any, ...]]]


class TickingClock(Clock):
    """Every look is a second later, so that retrievals have an order."""

    def __call__(self) -> datetime:
        self.advance(seconds=1)
        return self.time


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A library with experiences of every status, with evidence and a search."""
    folder = tmp_path_factory.mktemp("history")
    texts = ["pin the compiler", "token or invoice", SILENT, "diagram of a cursor", "moon"]
    lessons = [(a_lesson(text, when="moon", examples=("garden",)), -1) for text in texts]
    instead = a_lesson("cursor", when="moon", action=Action.SUPERSEDE, reason="it broke")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "flex_mcp.search.background.generic_queries", lambda: WORDS
        )  # all of them take long
        with fake_library(folder, EMBEDDER) as library:
            record(library, a_trajectory("one"), lessons[:3], [], [])
            record(library, a_trajectory("two"), [], [], [])
            place(library, lessons[3:], [0, 1])
            place(library, [(instead, 1)], [])
            curate(library, 4, Curation.QUARANTINE, {})
            search(library, "pin the moon")
        yield (folder / "library.db").rename(folder / "beginning.db")


@contextlib.contextmanager
def again(beginning: Path) -> Generator[Library]:
    """The library as it began."""
    shutil.copy(beginning, beginning.with_name("library.db"))
    with fake_library(beginning.parent, EMBEDDER, clock=TickingClock()) as library:
        yield library


def nth(ids: Sequence[str], number: int) -> str:
    """One of the ids, or nobody's."""
    return ids[number % len(ids)] if ids and number >= 0 else "nobody"


def known(library: Library) -> tuple[list[str], list[str], list[str]]:
    """The ids of experiences, newest first, and of trajectories and retrievals, oldest first."""
    with library.reading() as reading:
        return (
            reading.experiences.ids(ExperienceFilter()),
            reading.trajectories.ids(),
            reading.retrievals.ids(),
        )


def aimed(library: Library, lessons: Sequence[Aimed]) -> list[Lesson]:
    return [replace(lesson, into=nth(known(library)[0], number)) for lesson, number in lessons]


def place(library: Library, lessons: Sequence[Aimed], evidence: Numbers) -> None:
    sources = [nth(known(library)[1], number) for number in evidence]
    decisions = library.apply(aimed(library, lessons), evidence=sources)
    if all(decision.decision is DecisionKind.REFUSED for decision in decisions):
        raise InputError("nothing was accepted")


def record(
    library: Library, work: Trajectory, lessons: Sequence[Aimed], used: Numbers, named: Numbers
) -> None:
    searches = [nth(known(library)[2], number) for number in used]
    helpful = [nth(known(library)[0], number) for number in named]
    harmful = [nth(known(library)[0], number + 1) for number in named[:1]]
    library.record(
        work,
        lessons=aimed(library, lessons),
        retrieval_ids=searches,
        helpful=helpful,
        harmful=harmful,
        session="one",
    )


def tell_later(library: Library, number: int, outcome: Outcome, feedback: str) -> None:
    library.report_trajectory(nth(known(library)[1], number), outcome, feedback=feedback)


def forget(library: Library, number: int) -> None:
    library.forget(Choice(ids=(nth(known(library)[1], number),)))


def merge(library: Library, number: int, into: int, fields: dict[str, Any]) -> None:
    ids = known(library)[0]
    library.merge(nth(ids, number), nth(ids, into), reason="because", fields=Fields(**fields))


def search(library: Library, query: str) -> None:
    found = library.search(query, abstain=False, session="one")
    library.report(found.retrieval_id or "", Outcome.UNKNOWN)  # has it written at once


def report(library: Library, number: int, outcome: Outcome, good: int, bad: int) -> None:
    id_ = nth(known(library)[2], number)
    with library.reading() as reading:
        served = retrieval.served if (retrieval := reading.retrievals.get(id_)) else ()
    library.report(id_, outcome, helpful=served[:good], harmful=served[len(served) - bad :])


def curate(library: Library, number: int, action: Curation, fields: dict[str, Any]) -> None:
    id_ = nth(known(library)[0], number)
    library.curate(id_, action, reason="because", fields=Fields(**fields))


NUMBER = st.integers(-1, 6)
NUMBERS = st.lists(NUMBER, max_size=2)
TEXT = st.sampled_from(PHRASES) | st.just(SILENT)
TEXTS = st.lists(TEXT, max_size=5).map(tuple)
OUTCOME = st.sampled_from(Outcome)
NAMED = st.integers(0, 2)
SHARED: dict[str, Values] = {
    "zone": st.sampled_from(Zone),
    "level": st.sampled_from(Level),
    "when": st.just("") | TEXT,
    "examples": TEXTS,
    "tags": TEXTS,
    "domain": st.sampled_from(["", "garden", "garden/moon"]),
}
EDITS = SHARED | {"title": TEXT, "lesson": TEXT, "priority": st.integers(1, 5)}
FIELDS: dict[Curation, Values] = dict.fromkeys(Curation, st.just(dict[str, Any]())) | {
    Curation.EDIT: st.fixed_dictionaries({}, optional=EDITS),
    Curation.REVERT: st.fixed_dictionaries({"revision": st.none() | st.integers(1, 6)}),
}


def lessons(*actions: Action | None) -> st.SearchStrategy[list[Aimed]]:
    action, reason = st.sampled_from(actions), st.none() | TEXT
    lesson = st.builds(a_lesson, TEXT, **SHARED, action=action, reason=reason)
    return st.lists(st.tuples(lesson, NUMBER), min_size=1, max_size=2)


def doing(verb: Callable[..., None], **given: Values) -> st.SearchStrategy[Operation]:
    return st.builds(partial, st.just(verb), **given)


WORK = st.builds(a_trajectory, TEXT, outcome=OUTCOME)
OPERATION = st.one_of(
    *(doing(place, lessons=lessons(it), evidence=NUMBERS) for it in (None, *Action)),
    *(doing(curate, number=NUMBER, action=st.just(it), fields=FIELDS[it]) for it in Curation),
    doing(record, work=WORK, lessons=lessons(None, *Action), used=NUMBERS, named=NUMBERS),
    doing(record, work=WORK, lessons=st.just([]), used=NUMBERS, named=NUMBERS),
    doing(tell_later, number=NUMBER, outcome=OUTCOME, feedback=TEXT),
    doing(merge, number=NUMBER, into=NUMBER, fields=FIELDS[Curation.EDIT]),
    doing(search, query=TEXT),
    doing(report, number=NUMBER, outcome=OUTCOME, good=NAMED, bad=NAMED),
)


def many(operation: st.SearchStrategy[Operation]) -> st.SearchStrategy[list[Operation]]:
    """Of two lists: one alone is rarely long."""
    some = st.lists(operation)
    return st.tuples(some, some).map(lambda two: two[0] + two[1])


OPERATIONS = many(OPERATION)
# Explaining a failure, or looking for a second one, takes minutes.
BRIEFLY = settings(phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False)


@contextlib.contextmanager
def looking(library: Library) -> Generator[Look]:
    """The rows of the file, past the library."""
    with contextlib.closing(sqlite_file.connect(Path(library.name))) as connection:
        yield lambda query: cast("list[tuple[Any, ...]]", list(connection.execute(query)))


def dump(library: Library) -> dict[str, list[tuple[Any, ...]]]:
    with looking(library) as look:
        names = look("SELECT name FROM sqlite_schema WHERE rootpage > 0 AND type = 'table'")
        return {name: look(f"SELECT * FROM {name}") for (name,) in names}  # noqa: S608


def check(library: Library, *, forgot: bool = False) -> None:
    experiences = library.experiences()
    for experience in experiences:
        check_history(library, experience)
    with looking(library) as look:
        check_tables(look, experiences)
        if not forgot:  # what was named may be gone
            assert look(UNCOUNTED) == []
        check_words(look, library, experiences)
        check_vectors(look, experiences)
        look("INSERT INTO words (words) VALUES ('integrity-check')")
        assert look("PRAGMA integrity_check") == [("ok",)]


def check_history(library: Library, now: Experience) -> None:
    """Its revisions have no gap, each begins where the last one ended, and so does it.

    Of what named something forgotten they begin anew.
    """
    history = library.history(now.id)
    first = history[0].revision
    assert [made.revision for made in history] == list(range(first, now.revision + 1))
    before, after = [made.before for made in history], [made.after for made in history]
    assert [*before, snapshot_of(now)] == [None, *after]


# The last outcome that was told of each trajectory, and hits of one whose credit is another's.
LAST = (
    "SELECT t.id, coalesce((SELECT outcome FROM outcomes o WHERE o.trajectory_id = t.id "
    "ORDER BY number DESC LIMIT 1), t.outcome) FROM trajectories t ORDER BY t.id"
)
UNCOUNTED = (
    "SELECT r.id FROM retrievals r JOIN retrieval_hits h ON h.retrieval_id = r.id "
    "WHERE h.credit <> CASE WHEN r.outcome NOT IN ('success', 'failure') OR r.outcome IS NULL "
    "THEN 0 WHEN EXISTS (SELECT 1 FROM retrieval_hits n WHERE n.retrieval_id = r.id AND n.named) "
    "THEN h.named WHEN r.outcome = 'success' THEN 1 ELSE -1 END"
)


def check_tables(look: Look, here: Sequence[Experience]) -> None:
    """Counters are what the credits say, evidence is known, fingerprints are those of the texts."""
    counted = look(
        "SELECT e.id, e.fingerprint, count(h.place), total(h.credit > 0), total(h.credit < 0), "
        "total(h.named > 0), total(h.named < 0) "
        "FROM experiences e LEFT JOIN retrieval_hits h ON h.experience_id = e.id GROUP BY e.id"
    )
    assert set(counted) == {
        (e.id, e.fingerprint, e.served, e.successes, e.failures, e.helpful, e.harmful) for e in here
    }
    assert look(LAST) == look("SELECT id, outcome FROM trajectories ORDER BY id")
    assert look("SELECT trajectory_id FROM evidence EXCEPT SELECT id FROM trajectories") == []
    assert look("PRAGMA foreign_key_check") == []


def check_words(look: Look, library: Library, experiences: Sequence[Experience]) -> None:
    """The active experiences are found by each of their words, and by no other."""
    held = {
        e.id: " ".join((e.text, *e.examples, *e.tags, (e.domain or "").replace("/", " "))).split()
        for e in experiences
        if e.status is Status.ACTIVE
    }
    rows = look("SELECT e.id FROM words_docsize d LEFT JOIN experiences e ON e.number = d.id")
    assert Counter(rows) == Counter((id_,) for id_ in held)
    with library.reading() as reading:
        for word in WORDS:
            found = reading.words.matching([word], depth=100, wanted=Filter())
            assert {row.id for row in found} == {id_ for id_ in held if word in held[id_]}
            assert reading.words.terms(word)[0].documents == len(found)


def check_vectors(look: Look, experiences: Sequence[Experience]) -> None:
    """Each experience has those of its present text, near only while it is active."""
    expected = [
        (e.id, LEVELS.index(e.level), ZONES.index(e.zone), e.status is Status.ACTIVE, vector)
        for e in experiences
        for vector in EMBEDDER.passages([e.text])[0]
    ]
    stored = look(
        "SELECT e.id, v.level, v.zone, v.active, v.embedding FROM vectors v "
        "LEFT JOIN chunks c ON c.chunk = v.chunk LEFT JOIN experiences e ON e.number = c.experience"
    )
    assert Counter(row for row in stored if row[0] or row[3]) == Counter(
        (*row, is_active and any(vector), vector) for *row, is_active, vector in expected
    )
    spare = [vector for id_, *_, active, vector in stored if id_ is None and not active]
    assert not any(map(any, spare))
    assert look("SELECT chunk FROM chunks EXCEPT SELECT chunk FROM vectors") == []


def found_by(library: Library, word: str) -> tuple[object, object]:
    """What both indexes give, with the scores."""
    with library.reading() as reading:
        near = reading.vectors.nearest(EMBEDDER.query(word), depth=100, wanted=Filter())
        return set(reading.words.matching([word], depth=100, wanted=Filter())), set(near)


@BRIEFLY
@given(many(OPERATION | doing(forget, number=NUMBER)))
def test_what_is_refused_changes_nothing_and_all_else_leaves_tables_and_indexes_that_agree(
    beginning: Path, operations: list[Operation]
) -> None:
    with again(beginning) as library:
        forgot = False
        for operation in operations:
            before = dump(library)
            forgot = forgot or getattr(operation, "func", None) is forget
            try:
                operation(library)
            except InputError:
                assert dump(library) == before
            else:
                check(library, forgot=forgot)


@BRIEFLY
@given(OPERATIONS)
def test_reverting_all_that_happened_newest_first_brings_the_first_state_back(
    beginning: Path, operations: list[Operation]
) -> None:
    with again(beginning) as library:
        first = {one.id: snapshot_of(one) for one in library.experiences()}
        found = [found_by(library, word) for word in WORDS]
        revisions = library.statistics().revisions
        for operation in operations:
            with contextlib.suppress(InputError):
                operation(library)
        undone: list[tuple[str, int]] = []
        for made in library.last_revisions(library.statistics().revisions - revisions):
            if (made.experience_id, made.revision) in undone:
                continue  # with the other one of its merge
            with library.reading() as reading:
                other = reading.history.merged_with(made)
            undone += [(other.experience_id, other.revision)] if other else []
            fields = Fields(revision=made.revision)
            library.curate(made.experience_id, Curation.REVERT, reason="all", fields=fields)
        check(library)
        now = {one.id: snapshot_of(one) for one in library.experiences()}
        assert {id_: now[id_] for id_ in first} == first
        assert all(now[id_].status is not Status.ACTIVE for id_ in now.keys() - first.keys())
        assert [found_by(library, word) for word in WORDS] == found
