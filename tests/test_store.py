"""The Store's contract, on SqliteStore: the file, transactions, both indexes, migrations."""

import contextlib
import re
import stat
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.fakes import FakeEmbedder

from flex_mcp.errors import InputError, LibraryError
from flex_mcp.models import (
    Agent,
    Experience,
    ExperienceFilter,
    Filter,
    Level,
    Origin,
    Outcome,
    RecordedTrajectory,
    Retrieval,
    Revision,
    RevisionKind,
    Snapshot,
    Status,
    Step,
    StepKind,
    TrajectoryState,
    Vectors,
    VerifiedBy,
    Zone,
    new_id,
)
from flex_mcp.search.text import expand_for_index, indexed_text
from flex_mcp.storage.protocol import Store, Transaction
from flex_mcp.storage.sql_files import named_queries
from flex_mcp.storage.sqlite import file as sqlite_file
from flex_mcp.storage.sqlite import search_index
from flex_mcp.storage.sqlite.matrix import Matrix
from flex_mcp.storage.sqlite.queries import QUERIES
from flex_mcp.storage.sqlite.search_index import SearchIndex
from flex_mcp.storage.sqlite.store import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMBEDDER = FakeEmbedder()
EVERYTHING = ExperienceFilter()
SQLITE = Path(search_index.__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "library.db")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def kept_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """One store for all examples of a property."""
    opened = SqliteStore(tmp_path_factory.mktemp("store") / "library.db")
    yield opened
    opened.close()


def an_experience(lesson: str = "a lesson", **values: Any) -> Experience:
    experience = Experience(
        id=new_id("e"),
        zone=Zone.GOLDEN,
        level=Level.PATTERN,
        title="title",
        when="",
        lesson=lesson,
        origin=Origin(kind="distilled", by="test"),
        revision=1,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(experience, **values)


def a_trajectory(**values: Any) -> RecordedTrajectory:
    id_ = new_id("t")
    trajectory = RecordedTrajectory(
        id=id_,
        key=id_,
        task="a task",
        outcome=Outcome.SUCCESS,
        state=TrajectoryState.PENDING,
        recorded_at=NOW,
    )
    return replace(trajectory, **values)


def put(writing: Transaction, *experiences: Experience) -> None:
    if writing.vectors.made_by() is None:
        writing.vectors.use(EMBEDDER.vectors)
    for experience in experiences:
        writing.experiences.put(
            experience, EMBEDDER.passages([experience.lesson])[0], indexed_text(experience)
        )


def keep(store: Store, *experiences: Experience) -> None:
    with store.writing("test", "test") as writing:
        put(writing, *experiences)


def nearest(store: Store, text: str, wanted: Filter = EVERYTHING, depth: int = 100) -> list[str]:
    with store.reading() as reading:
        found = reading.vectors.nearest(EMBEDDER.query(text), depth=depth, wanted=wanted)
    return [row.id for row in found]


def by_vec0(store: Store, text: str, wanted: Filter = EVERYTHING, depth: int = 100) -> list[str]:
    """The nearest as vec0 finds them, as long as the matrix is not read."""
    with vec0_alone():
        return nearest(store, text, wanted, depth)


@contextlib.contextmanager
def vec0_alone() -> Generator[None]:
    """No matrix is read."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SearchIndex, "_current", no_matrix)
        patched.setattr(SearchIndex, "known", no_matrix)
        yield


def no_matrix(*_: object) -> None:
    return None


def matching(store: Store, text: str, wanted: Filter = EVERYTHING, depth: int = 100) -> list[str]:
    with store.reading() as reading:
        words = [term.word for term in reading.words.terms(expand_for_index(text))]
        return [row.id for row in reading.words.matching(words, depth=depth, wanted=wanted)]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Opening


def test_a_new_library_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "library.db"
    store = SqliteStore(path)
    keep(store, an_experience())
    assert {found.name: mode(found) for found in path.parent.iterdir()} == {
        "library.db": 0o600,
        "library.db-wal": 0o600,
        "library.db-shm": 0o600,
    }
    assert mode(path.parent) == mode(path.parent.parent) == 0o700
    store.close()
    assert [found.name for found in path.parent.iterdir()] == ["library.db"]


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(0o755)
    SqliteStore(folder / "library.db").close()
    assert mode(folder) == 0o755


def test_a_file_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    path.touch()
    path.chmod(0o640)
    SqliteStore(path).close()
    assert mode(path) == 0o640


def test_an_empty_file_becomes_a_library(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    path.touch()
    store = SqliteStore(path)
    with store.reading() as reading:
        assert reading.statistics().library_id.startswith("l_")
    store.close()


def test_opening_a_library_again_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    store = SqliteStore(path)
    keep(store, an_experience())
    store.close()
    before, changed = path.read_bytes(), path.stat().st_mtime_ns
    again = SqliteStore(path)
    with again.reading() as reading:
        assert reading.words.count() == 1
    wal = path.with_name("library.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    again.close()
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == changed


def test_a_library_cannot_lie_inside_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(LibraryError, match=r"cannot be made .*--library or FLEX_MCP_LIBRARY"):
        SqliteStore(tmp_path / "notes" / "library.db")
    assert (tmp_path / "notes").read_text() == "mine"


# Transactions


def test_a_transaction_that_raises_leaves_nothing_of_itself(store: SqliteStore) -> None:
    old = an_experience("the wheel needs a compiler")
    keep(store, old)
    new = an_experience("another lesson about parsers")
    edited = replace(old, lesson="something about gardens", revision=2)

    def half_of_it() -> None:
        with store.writing("test", "test") as writing:
            put(writing, edited, new)
            writing.trajectories.add(a_trajectory(id="t_1"), "hash")
            writing.history.add(
                Revision(
                    experience_id=new.id,
                    revision=1,
                    kind=RevisionKind.ADD,
                    before=None,
                    after=new,
                    actor="test",
                    at=NOW,
                )
            )
            writing.settings.set("colour", "red")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_of_it()
    with store.reading() as reading:
        assert reading.experiences.get([old.id, new.id]) == [old]
        assert reading.trajectories.get(["t_1"]) == []
        assert reading.history.of(new.id) == []
        assert reading.settings.get("colour") is None
    assert matching(store, "parsers gardens") == []
    assert matching(store, "compiler") == [old.id]
    assert nearest(store, "parsers") == [old.id]
    with store.reading() as reading:
        (only,) = reading.vectors.nearest(EMBEDDER.query(old.lesson), depth=5, wanted=EVERYTHING)
    assert only.score == pytest.approx(1, abs=1e-3)


def test_after_a_transaction_that_raised_the_next_one_goes_through(store: SqliteStore) -> None:
    def the_same_twice() -> None:
        with store.writing("test", "test") as writing:
            put(writing, an_experience())
            for _ in range(2):
                writing.trajectories.add(a_trajectory(id="t_1"), "hash")

    with pytest.raises(apsw.ConstraintError):
        the_same_twice()
    kept = an_experience()
    keep(store, kept)
    assert matching(store, "lesson") == [kept.id]


def test_a_transaction_that_read_first_may_write_though_another_writer_comes_meanwhile(
    store: SqliteStore, tmp_path: Path
) -> None:
    other = SqliteStore(tmp_path / "library.db")
    mine, theirs = an_experience(), an_experience()
    with store.writing("test", "test") as writing:
        assert writing.words.count() == 0
        thread = threading.Thread(target=keep, args=[other, theirs])
        thread.start()
        thread.join(0.2)  # one that does not wait has written by now, and this one cannot any more
        put(writing, mine)
    thread.join()
    other.close()
    assert set(matching(store, "lesson")) == {mine.id, theirs.id}


def test_a_snapshot_does_not_see_what_is_written_meanwhile(store: SqliteStore) -> None:
    with store.reading() as reading:
        assert reading.words.count() == 0
        keep(store, an_experience())
        assert reading.words.count() == 0
    with store.reading() as reading:
        assert reading.words.count() == 1


def test_more_snapshots_may_be_open_than_connections_are_kept(store: SqliteStore) -> None:
    def count(depth: int) -> int:
        with store.reading() as reading:
            return reading.words.count() if depth == 0 else count(depth - 1)

    keep(store, an_experience())
    assert count(10) == 1
    assert count(10) == 1


# The candidate lists

LISTS = pytest.mark.parametrize("listed", [nearest, by_vec0, matching])


@LISTS
def test_a_list_is_filtered_by_level_and_zone(store: SqliteStore, listed: Any) -> None:
    by = {(level, zone): an_experience(level=level, zone=zone) for level in Level for zone in Zone}
    keep(store, *by.values())
    assert set(listed(store, "lesson")) == {experience.id for experience in by.values()}
    levels, zones = frozenset({Level.PATTERN}), frozenset({Zone.WARNING, Zone.MIXED})
    for wanted in (Filter(levels=levels, zones=zones), Filter(levels=levels), Filter(zones=zones)):
        expected = {
            experience.id
            for (level, zone), experience in by.items()
            if (wanted.levels is None or level in wanted.levels)
            and (wanted.zones is None or zone in wanted.zones)
        }
        assert set(listed(store, "lesson", wanted)) == expected


@LISTS
@pytest.mark.parametrize(
    "domain", ["math", "mathematics/geometry", "a-long-name/of-a-domain/below"]
)
def test_a_domain_keeps_its_whole_path_and_what_lies_below(
    store: SqliteStore,
    listed: Any,
    domain: str,
) -> None:
    inside = [domain, f"{domain}/x", f"{domain}/x/y", f"{domain}/é"]
    outside = [None, f"{domain}s", f"{domain}-x", f"{domain}0", f"{domain}.x", "x", f"x/{domain}"]
    outside += [domain[:-1], domain.rsplit("/", 1)[0] + "!"]
    wanted = [an_experience(domain=name) for name in inside]
    keep(store, *(an_experience(domain=name) for name in outside), *wanted)
    expected = {experience.id for experience in wanted}
    assert set(listed(store, "lesson", Filter(domain=domain))) == expected
    with store.reading() as reading:
        assert set(reading.experiences.ids(ExperienceFilter(domain=domain))) == expected


@LISTS
@pytest.mark.parametrize("best", Level)
def test_a_list_is_as_deep_as_asked_over_all_levels_and_zones(
    store: SqliteStore, listed: Any, best: Level
) -> None:
    texts = dict.fromkeys(Level, "walk the parser") | {best: "parser"}
    by = {
        (level, zone): an_experience(texts[level], title="t", level=level, zone=zone)
        for level in Level
        for zone in Zone
    }
    keep(store, *by.values())
    of_best = {one.id for (level, _), one in by.items() if level is best}
    assert set(listed(store, "parser", depth=len(of_best))) == of_best
    deeper = listed(store, "parser", depth=len(of_best) + 1)
    assert len(deeper) == len(of_best) + 1
    assert set(deeper[:-1]) == of_best
    for level in Level:
        found = listed(store, "parser", Filter(levels=frozenset({level})), depth=2)
        assert len(found) == 2
        assert set(found) <= {one.id for (own, _), one in by.items() if own is level}


@LISTS
def test_what_a_filter_leaves_out_takes_no_place_in_a_list(store: SqliteStore, listed: Any) -> None:
    wanted = [an_experience("walk the parser", domain="d", zone=Zone.MIXED) for _ in range(2)]
    keep(store, *(an_experience("parser") for _ in range(20)), *wanted)
    ids = {one.id for one in wanted}
    assert set(listed(store, "parser", Filter(domain="d"), depth=2)) == ids
    assert set(listed(store, "parser", Filter(zones=frozenset({Zone.MIXED})), depth=2)) == ids


@LISTS
def test_a_list_gives_the_best_first(store: SqliteStore, listed: Any) -> None:
    far = an_experience(
        "walk the dog and the cat, then rest for a long while", level=Level.INSTANCE
    )
    near = an_experience("walk the parser", level=Level.INSTANCE)
    best = an_experience("walk the parser", level=Level.PRINCIPLE, title="walk the parser")
    keep(store, far, near, best)
    assert listed(store, "walk the parser")[-1] == far.id
    assert set(listed(store, "walk the parser")[:2]) == {near.id, best.id}


@LISTS
@pytest.mark.parametrize("status", [Status.QUARANTINED, Status.RETIRED])
def test_only_active_experiences_are_listed_and_restored_ones_come_back(
    store: SqliteStore,
    listed: Any,
    status: Status,
) -> None:
    gone, stays = an_experience(), an_experience()
    keep(store, gone, stays)
    with store.writing("test", "test") as writing:
        writing.experiences.put(replace(gone, status=status, revision=2), None, None)
    assert listed(store, "lesson") == [stays.id]
    with store.reading() as reading:
        assert reading.words.count() == 1
        assert [term.documents for term in reading.words.terms("lesson")] == [1]
    with store.writing("test", "test") as writing:
        writing.experiences.put(replace(gone, revision=3), None, indexed_text(gone))
    assert set(listed(store, "lesson")) == {gone.id, stays.id}


@LISTS
def test_an_experience_that_was_never_active_is_not_listed(store: SqliteStore, listed: Any) -> None:
    keep(store, an_experience(status=Status.QUARANTINED))
    assert listed(store, "lesson") == []


@LISTS
def test_an_edit_takes_the_old_text_out_of_the_list(store: SqliteStore, listed: Any) -> None:
    old = an_experience("gardens", level=Level.PATTERN)
    other = an_experience("rivers")
    keep(store, old, other)
    keep(store, replace(old, lesson="parsers", level=Level.INSTANCE, revision=2))
    patterns = Filter(levels=frozenset({Level.PATTERN}))
    assert old.id not in listed(store, "gardens", patterns)
    assert listed(store, "parsers", Filter(levels=frozenset({Level.INSTANCE}))) == [old.id]


def test_vectors_that_are_kept_move_to_a_new_level_and_zone(store: SqliteStore) -> None:
    experience = an_experience()
    keep(store, experience)
    moved = replace(experience, level=Level.PRINCIPLE, zone=Zone.WARNING, revision=2)
    with store.writing("test", "test") as writing:
        writing.experiences.put(moved, None, indexed_text(moved))
    there = Filter(levels=frozenset({Level.PRINCIPLE}), zones=frozenset({Zone.WARNING}))
    assert nearest(store, "lesson", there) == [experience.id]
    assert nearest(store, "lesson", Filter(zones=frozenset({Zone.GOLDEN}))) == []


@pytest.mark.parametrize("kind", [contextlib.nullcontext, vec0_alone])
def test_an_experience_counts_with_its_best_chunk(store: SqliteStore, kind: Any) -> None:
    chunked = FakeEmbedder(window=4)
    long = an_experience("walk feed brush the-dog parse the date carefully water all old plants")
    short = an_experience("parse the time")
    with store.writing("test", "test") as writing:
        writing.vectors.use(chunked.vectors)
        for experience in (long, short):
            writing.experiences.put(
                experience, chunked.passages([experience.lesson])[0], indexed_text(experience)
            )
    with store.reading() as reading, kind():
        found = reading.vectors.nearest(
            chunked.query("parse the date carefully"), depth=10, wanted=EVERYTHING
        )
        assert len(reading.vectors.of([long.id])[long.id]) == 3
        deep = [
            [row.id for row in reading.vectors.nearest(query, depth=depth, wanted=EVERYTHING)]
            for query in map(chunked.query, (long.lesson, "parse the date carefully"))
            for depth in (1, 2)
        ]
    assert [row.id for row in found] == [long.id, short.id]
    assert found[0].score == pytest.approx(1, abs=1e-3)
    assert deep == 2 * [[long.id], [long.id, short.id]], "its other chunks take no place"


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["add", "edit", "retire", "restore", "move", "switch"]), st.integers(0)
    ),
    max_size=12,
)
WORDS = ("parse", "walk", "sort", "draw", "date", "list", "tree", "time", "file", "graph")


@given(CHANGES)
@settings(max_examples=examples(25))
def test_the_matrix_finds_what_vec0_finds_whoever_wrote_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("both") / "library.db"
    stores = SqliteStore(path), SqliteStore(path)
    keep(stores[0], an_experience("parse a date"))
    held: list[Experience] = []
    for place, (step, number) in enumerate(steps):
        with stores[place % 2].writing("test", "test") as writing:
            apply_step(writing, step, number, held)
            query = EMBEDDER.query(f"parse {WORDS[number % len(WORDS)]}")
            assert_same(writing, query)
        for store in stores:
            with store.reading() as reading:
                assert_same(reading, query)
    for store in stores:
        store.close()


@pytest.mark.parametrize("kind", [contextlib.nullcontext, vec0_alone])
def test_a_transaction_finds_its_own_writes_among_the_others_as_deep_as_asked(
    store: SqliteStore, kind: Any
) -> None:
    texts = "walk the parser", "walk the dog and the parser", "sort the list", "sort a graph"
    near, third, edited, far = map(an_experience, texts)
    keep(store, near, third, edited, far)
    assert nearest(store, "parser", depth=1) == [near.id]  # the matrix is read
    own = [an_experience("parser", level=level) for level in Level]
    query = EMBEDDER.query("parser")
    with store.writing("test", "test") as writing, kind():
        put(writing, *own, replace(edited, lesson="walk the parser", revision=2))
        best = [*(one.id for one in own), near.id, edited.id, third.id]
        for depth in (3, 5, 6):  # between them are equal ones
            found = writing.vectors.nearest(query, depth=depth, wanted=EVERYTHING)
            assert [row.id for row in found] == best[:depth]
        assert writing.vectors.nearest(query, depth=1, wanted=EVERYTHING)[0].id in best[:3]


def test_a_switch_that_was_taken_back_hides_nothing_that_comes_later(store: SqliteStore) -> None:
    first, later = an_experience("parse a date"), an_experience("walk the dog")
    keep(store, first)
    with (
        contextlib.suppress(ZeroDivisionError),
        store.writing("test", "test") as writing,
        vec0_alone(),
    ):
        for _ in range(5):
            apply_step(writing, "switch", 0, [first])
        assert writing.vectors.nearest(EMBEDDER.query("date"), depth=5, wanted=EVERYTHING)
        raise ZeroDivisionError
    keep(store, later)
    assert set(by_vec0(store, "walk the dog")) == {first.id, later.id}


def apply_step(writing: Transaction, step: str, number: int, held: list[Experience]) -> None:
    text = f"{WORDS[number % len(WORDS)]} the {WORDS[number // 10 % len(WORDS)]} {number}"
    if step == "switch":
        writing.reindexing.begin(EMBEDDER.vectors)
        for known in writing.experiences.get(writing.experiences.ids(EVERYTHING)):
            writing.reindexing.put(
                EMBEDDER.vectors,
                [(known, EMBEDDER.passages([known.lesson])[0], indexed_text(known))],
            )
        writing.reindexing.switch(EMBEDDER.vectors)
    elif step == "add" or not held:
        new = an_experience(text, level=list(Level)[number % 3], domain=f"d{number % 4}")
        put(writing, new)
        held.append(new)
    else:
        place = number % len(held)
        changes: dict[str, dict[str, Any]] = {
            "edit": {"lesson": text},
            "retire": {"status": Status.RETIRED},
            "restore": {"status": Status.ACTIVE},
            "move": {"level": list(Level)[number % 3], "domain": f"d{number % 5}"},
        }
        held[place] = replace(held[place], **changes[step])
        vectors = EMBEDDER.passages([text])[0] if step == "edit" else None
        writing.experiences.put(held[place], vectors, indexed_text(held[place]))


def assert_same(reading: Transaction, query: bytes) -> None:
    for wanted in (EVERYTHING, ExperienceFilter(levels=frozenset({Level.PATTERN}), domain="d1")):
        expected = reading.vectors.nearest(query, depth=50, wanted=wanted)
        with vec0_alone():
            found = reading.vectors.nearest(query, depth=50, wanted=wanted)
        assert {row.id for row in found} == {row.id for row in expected}
        active = reading.experiences.ids(replace(wanted, statuses=frozenset({Status.ACTIVE})))
        assert {row.id for row in found} == set(active)
        scores = {row.id: row.score for row in expected}
        assert all(row.score == pytest.approx(scores[row.id], abs=1e-3) for row in found)
        assert found == sorted(found, key=lambda row: -row.score)


def test_words_are_found_by_their_stems_in_every_column(store: SqliteStore) -> None:
    experience = an_experience(
        "alpha parsing",
        title="beta",
        when="gamma",
        examples=("delta", "epsilon"),
        tags=("zeta",),
        domain="eta/theta",
    )
    keep(store, experience)
    for word in ("ALPHA", "parses", "beta", "gamma", "delta", "epsilon", "zeta", "theta"):
        assert matching(store, word) == [experience.id]


@pytest.mark.parametrize(
    "text", ['"', 'a"b', "NEAR(a b)", "a AND NOT b", "title:a", "a*", "^a", "-"]
)
def test_no_text_is_query_syntax(store: SqliteStore, text: str) -> None:
    keep(store, an_experience("something unrelated", title="x"))
    assert matching(store, text) == []
    with store.reading() as reading:
        assert reading.words.matching([text], depth=5, wanted=EVERYTHING) == []


def test_terms_know_how_many_experiences_hold_them(store: SqliteStore) -> None:
    keep(store, an_experience("parse parsers"), an_experience("a parser"))
    with store.reading() as reading:
        terms = reading.words.terms("Parsing the parser, parsing unknowns")
    assert [(term.word, term.documents) for term in terms] == [
        ("Parsing", 1),
        ("the", 0),
        ("parser", 2),
        ("unknowns", 0),
    ]


def test_a_library_without_vectors_gives_no_nearest(store: SqliteStore) -> None:
    assert nearest(store, "anything") == []
    with store.writing("test", "test") as writing:
        writing.experiences.put(an_experience(), (), indexed_text(an_experience()))
    assert nearest(store, "anything") == []
    assert len(matching(store, "lesson")) == 1


def test_a_text_without_a_known_token_is_found_by_its_words_alone(store: SqliteStore) -> None:
    silent = an_experience("lesson")
    with store.writing("test", "test") as writing:
        writing.vectors.use(EMBEDDER.vectors)
        writing.experiences.put(
            silent, [bytes(4 * EMBEDDER.vectors.dimension)], indexed_text(silent)
        )
    assert nearest(store, "lesson") == []
    assert matching(store, "lesson") == [silent.id]


# Round trips

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ODD = st.sampled_from(
    ["\x00", "a\x00b", "🦜", "e\u0301", "\u202eright", "\ufeff", "ﬁ", "\r\n", "'\"`;--"]
)
TEXTS = TEXT | ODD
MAYBE = st.none() | TEXTS
TIMES = st.datetimes(timezones=st.just(UTC))
STEPS = st.builds(Step, kind=st.sampled_from(StepKind), content=TEXTS, name=MAYBE)
LONG = st.tuples(TEXTS, st.integers(0, 500)).map(lambda pair: pair[0] * pair[1])
BODIES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just(dict[str, Any]()),
    st.fixed_dictionaries({"steps": st.lists(STEPS, max_size=5).map(tuple)}),
    st.fixed_dictionaries({"transcript": LONG}),
)
AGENTS = st.builds(Agent, name=MAYBE, model=MAYBE).filter(lambda agent: agent != Agent())


@given(
    st.builds(
        a_trajectory,
        task=TEXTS,
        outcome=st.sampled_from(Outcome),
        answer=MAYBE,
        feedback=MAYBE,
        score=st.none() | st.floats(0, 1),
        verified_by=st.sampled_from(VerifiedBy),
        domain=MAYBE,
        agent=st.none() | AGENTS,
        state=st.sampled_from(TrajectoryState),
        recorded_at=TIMES,
        retrieval_ids=st.lists(TEXTS, unique=True, max_size=3).map(lambda ids: tuple(sorted(ids))),
    ),
    BODIES,
)
def test_a_trajectory_is_read_as_it_was_written(
    kept_store: SqliteStore, trajectory: RecordedTrajectory, body: dict[str, Any]
) -> None:
    trajectory = replace(trajectory, **body)
    with kept_store.writing("test", "test") as writing:
        writing.trajectories.add(trajectory, "hash")
    with kept_store.reading() as reading:
        assert reading.trajectories.get([trajectory.id]) == [trajectory]
        assert reading.trajectories.by_key(trajectory.key) == (trajectory.id, "hash")


SNAPSHOTS: dict[str, st.SearchStrategy[Any]] = {
    "zone": st.sampled_from(Zone),
    "level": st.sampled_from(Level),
    "title": TEXTS,
    "when": TEXTS,
    "lesson": LONG,
    "examples": st.lists(TEXTS, max_size=3).map(tuple),
    "domain": MAYBE,
    "tags": st.lists(TEXTS, max_size=3).map(tuple),
    "priority": st.integers(1, 5),
    "status": st.sampled_from(Status),
    "superseded_by": MAYBE,
    "evidence": st.lists(TEXTS, unique=True, max_size=3).map(tuple),
}


@given(
    st.builds(
        an_experience,
        **SNAPSHOTS,
        origin=st.builds(Origin, kind=st.sampled_from(["distilled", "imported"]), by=TEXTS),
        created_at=TIMES,
        updated_at=TIMES,
    )
)
def test_an_experience_is_read_as_it_was_written(
    kept_store: SqliteStore, experience: Experience
) -> None:
    keep(kept_store, experience)
    with kept_store.reading() as reading:
        assert reading.experiences.get([experience.id]) == [experience]
        assert reading.experiences.identical(experience.fingerprint) is not None


@given(st.none() | st.builds(Snapshot, **SNAPSHOTS), st.builds(Snapshot, **SNAPSHOTS), MAYBE, MAYBE)
def test_a_revision_is_read_as_it_was_written(
    kept_store: SqliteStore,
    before: Snapshot | None,
    after: Snapshot,
    reason: str | None,
    trajectory_id: str | None,
) -> None:
    experience = an_experience()
    revision = Revision(
        experience_id=experience.id,
        revision=1,
        kind=RevisionKind.EDIT,
        before=before,
        after=after,
        actor="test",
        at=NOW,
        reason=reason,
        trajectory_id=trajectory_id,
    )
    with kept_store.writing("test", "test") as writing:
        put(writing, experience)
        writing.history.add(revision)
    with kept_store.reading() as reading:
        assert reading.history.of(experience.id) == [revision]


def test_a_long_transcript_takes_little_room(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    store = SqliteStore(path)
    trajectory = a_trajectory(transcript="the same line of a log, again and again\n" * 100_000)
    with store.writing("test", "test") as writing:
        writing.trajectories.add(trajectory, "hash")
    with store.reading() as reading:
        assert reading.trajectories.get([trajectory.id]) == [trajectory]
    store.close()
    assert path.stat().st_size < 600_000 < len(trajectory.transcript or "")


def test_a_retrieval_keeps_its_hits_by_rank_and_counts_them_as_served(store: SqliteStore) -> None:
    one, other = an_experience(), an_experience()
    keep(store, one, other)
    retrieval = Retrieval(
        id="r_1",
        query="q\x00🦜",
        at=NOW,
        client="c",
        served=(other.id, one.id),
        scores=(0.75, 0.5),
        credits=(0, 0),
        named=(0, 0),
        block="k_1",
        relevance=0.5,
        stratum="python",
        origin="own",
        size=2,
    )
    with store.writing("test", "test") as writing:
        writing.retrievals.add(retrieval)
    with store.reading() as reading:
        assert reading.retrievals.get("r_1") == retrieval
        assert [found.served for found in reading.experiences.get([one.id, other.id])] == [1, 1]
        assert reading.retrievals.get("r_2") is None


def test_ids_that_are_not_here_are_left_out_and_the_others_keep_their_order(
    store: SqliteStore,
) -> None:
    one, other = an_experience(), an_experience()
    keep(store, one, other)
    with store.reading() as reading:
        found = reading.experiences.get([other.id, "e_nobody", one.id])
        assert [experience.id for experience in found] == [other.id, one.id]
        assert reading.experiences.ids(EVERYTHING, limit=1) == [other.id]
        assert reading.experiences.ids(ExperienceFilter(statuses=frozenset({Status.RETIRED}))) == []


# Copies, switches, closing


def test_a_copy_by_vacuum_into_is_brought_back_to_wal(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "library.db").close()
    copy = tmp_path / "copy.db"
    source = apsw.Connection(str(tmp_path / "library.db"))
    source.execute("VACUUM INTO ?", (str(copy),))
    source.close()
    SqliteStore(copy).close()
    assert apsw.Connection(str(copy)).pragma("journal_mode") == "wal"


def test_a_switch_takes_no_vectors_that_were_staged_for_another_embedder(tmp_path: Path) -> None:
    one, other = (Vectors(embedder=name, version="1", dimension=3) for name in ("one", "other"))
    store = SqliteStore(tmp_path / "library.db")
    with store.writing("test", "test") as writing:
        writing.reindexing.begin(one)
    with store.writing("test", "test") as writing:
        writing.reindexing.begin(other)
    with (
        pytest.raises(InputError, match="another reindex"),
        store.writing("test", "test") as writing,
    ):
        writing.reindexing.switch(one)
    store.close()


def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "library.db")
    store.close()
    with (
        pytest.raises(LibraryError, match="is closed: open it again"),
        store.writing("test", "test"),
    ):
        pass
    with pytest.raises(LibraryError, match="is closed: open it again"), store.reading():
        pass


# The matrix that a process holds


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The chunks of each matrix that was read whole."""
    counted: list[int] = []
    whole = search_index.read

    def counting(*given: Any) -> Any:
        counted.append(next(given[0]("count_chunks"))[0])
        return whole(*given)

    monkeypatch.setattr(search_index, "read", counting)
    return counted


def test_what_another_process_writes_is_followed_without_reading_all_anew(
    store: SqliteStore, tmp_path: Path, readings: list[int]
) -> None:
    first, other = an_experience("parse a date"), SqliteStore(tmp_path / "library.db")
    later = first
    keep(store, first)
    assert nearest(store, "parse") == [first.id]
    for number in range(3):
        later = an_experience(f"walk the dog {number}")
        keep(other, later)
        assert nearest(store, f"walk the dog {number}", depth=1) == [later.id]
        keep(other, replace(later, lesson=f"sort the list {number}", revision=2))
        assert nearest(store, f"sort the list {number}", depth=1) == [later.id]
    assert readings == [1]
    with other.writing("test", "test") as writing:
        apply_step(writing, "switch", 0, [])
    assert nearest(store, "sort the list 2", depth=1) == [later.id]
    assert readings == [1, 4]
    other.close()


def test_a_large_library_is_searched_by_vec0_until_the_matrix_is_read_aside(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, readings: list[int]
) -> None:
    monkeypatch.setattr(search_index, "AT_ONCE", 2)
    monkeypatch.setattr(search_index, "LATER", 0)
    known = [an_experience(f"walk the dog {number}") for number in range(5)]
    keep(store, *known)
    assert nearest(store, "walk the dog 3", depth=1) == [known[3].id]
    for aside in threading.enumerate():
        if isinstance(aside, threading.Timer):
            aside.join()
    assert readings == [5]
    with monkeypatch.context() as patched:
        patched.setattr(search_index, "compared", None)  # it is not asked any more
        assert nearest(store, "walk the dog 4", depth=1) == [known[4].id]


def test_a_store_that_is_closed_reads_no_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readings: list[int]
) -> None:
    monkeypatch.setattr(search_index, "AT_ONCE", 2)
    store = SqliteStore(tmp_path / "library.db")
    keep(store, *(an_experience() for _ in range(5)))
    assert len(nearest(store, "lesson")) == 5
    store.close()
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert readings == []


def test_what_is_held_in_memory_is_the_vectors_and_little_beside(store: SqliteStore) -> None:
    keep(store, *(an_experience(domain=f"d{number}") for number in range(5)))
    with store.reading() as reading:
        held = reading.statistics().held
        vectors = reading.vectors.of(reading.experiences.ids(EVERYTHING))
    matrix = Matrix(EMBEDDER.vectors.dimension, None)
    matrix.take(
        [
            (number, number, number, "active", "golden", "pattern", "d", None, vector)
            for number, (vector,) in enumerate(vectors.values(), start=1)
        ]
    )
    assert held == matrix.memory_bytes == 5 * (4 * EMBEDDER.vectors.dimension + 13)


def test_a_text_with_fewer_chunks_leaves_nothing_of_the_others_behind(
    store: SqliteStore, tmp_path: Path
) -> None:
    chunked = FakeEmbedder(window=4)
    known = an_experience("walk feed brush the-dog parse the date carefully water all old plants")
    with store.writing("test", "test") as writing:
        writing.vectors.use(chunked.vectors)
        writing.experiences.put(known, chunked.passages([known.lesson])[0], indexed_text(known))
    with store.reading() as reading:
        first, *gone = reading.vectors.of([known.id])[known.id]
    keep(store, replace(known, lesson="a", revision=2))
    with store.reading() as reading:
        (vector,) = reading.vectors.of([known.id])[known.id]
    assert vector != first
    store.back_up(tmp_path / "copy.db")
    content = (tmp_path / "copy.db").read_bytes()
    assert vector in content
    assert not any(one in content for one in (first, *gone))
    assert nearest(store, "water all old plants") == [known.id]
    assert by_vec0(store, "water all old plants") == [known.id]


def test_every_statement_is_used_and_stands_in_the_file_of_one_noun(tmp_path: Path) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SQLITE.glob("*.py"))
    named = {name for name in QUERIES if f'"{name}"' in code}
    families = ("texts_of_", "naming_", "linked_", "complete_")  # chosen by kind
    assert {name for name in QUERIES if not name.startswith(families)} == {
        name for name in named if not name.startswith(families)
    }
    (tmp_path / "one.sql").write_text("-- name: same\nSELECT 1;\n", encoding="utf-8")
    (tmp_path / "two.sql").write_text("-- name: same\nSELECT 2;\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"two\.sql: same is there twice"):
        named_queries(tmp_path)


def test_every_statement_fits_the_tables(store: SqliteStore) -> None:
    with store.writing("test", "test") as writing:
        writing.vectors.use(EMBEDDER.vectors)
    older = {"carried_vectors", "drop_carried", "old_vectors"}  # tables of libraries before ours
    with contextlib.closing(sqlite_file.connect_unchanged(Path(store.name))) as connection:
        for name in (
            QUERIES.keys()
            - older
            - {"create_vectors", "rows_of", "list_experiences", "list_trajectories"}
        ):  # those have names put in
            for statement in QUERIES[name].split(";\n"):
                values = dict.fromkeys(re.findall(r":(\w+)", statement))
                connection.execute(f"EXPLAIN {statement}", values)


def test_a_transaction_that_reads_refuses_to_write(store: SqliteStore) -> None:
    keep(store, an_experience())
    with pytest.raises(LibraryError), store.reading() as reading:
        reading.settings.set("x", "1")
    with store.reading() as reading:
        assert reading.settings.get("x") is None
