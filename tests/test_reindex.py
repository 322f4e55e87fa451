"""The embedder that serves a library, reindexing, and the background."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from support.fakes import (
    LESSONS,
    FakeEmbedder,
    a_lesson,
    a_trajectory,
    add,
    brief,
    fake_library,
    ids,
    models,
    record,
)

from flex_mcp import open_library
from flex_mcp.errors import EmbedderError
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Action,
    Curation,
    DecisionKind,
    ExperienceFilter,
    Fields,
    Filter,
    TrajectoryState,
    new_id,
)
from flex_mcp.search.baseline import BACKGROUND
from flex_mcp.search.embedder import StaticEmbedder
from flex_mcp.search.text import learned_tokens
from flex_mcp.search.token_match import tokens
from flex_mcp.storage.sqlite.store import SqliteStore


def test_a_library_is_served_by_the_embedder_that_made_it(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with fake_library(tmp_path, FakeEmbedder()) as library:
        (added,) = add(library, a_lesson())
    with Library(SqliteStore(path), models(FakeEmbedder(), FakeEmbedder("other"))) as library:
        assert ids(library.search("compiler", abstain=False)) == [added]
        assert library.statistics().vectors == FakeEmbedder().vectors


def test_another_embedder_that_is_asked_for_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with fake_library(tmp_path, FakeEmbedder()) as library:
        (old,) = add(library, a_lesson())
        trajectory = record(library, "another task")
        claimed = brief(library, trajectory)
    embedders = FakeEmbedder(), FakeEmbedder("other")
    with fake_library(tmp_path, *embedders, wanted="other") as library:
        named = r"made by 'fake' .* asks for 'other': run `flex-mcp reindex`"
        with pytest.raises(EmbedderError, match=named):
            library.search("compiler")
        with pytest.raises(EmbedderError, match=named):
            library.neighbours(["compiler"], limit=3)
        with pytest.raises(EmbedderError, match=named):
            library.briefs.answer(claimed, [a_lesson("new")])
        (refused,) = library.apply([a_lesson("new")])
        assert refused.decision is DecisionKind.REFUSED
        assert "run `flex-mcp reindex`" in (refused.reason or "")
        recorded = library.record(a_trajectory(), lessons=[a_lesson("new")])
        assert recorded.new
        assert recorded.state is TrajectoryState.PENDING
        assert [one.decision for one in recorded.decisions] == [DecisionKind.REFUSED]
        assert [found.id for found in library.experiences()] == [old]
        assert library.get([old])[0].id == old
        assert library.statistics().trajectories == 2
        library.curate(old, Curation.RETIRE, reason="needs no vector")
        library.reindex()
        assert library.statistics().vectors == embedders[1].vectors
        assert library.briefs.answer(claimed, [a_lesson("new")])[0].decision is DecisionKind.ADD


def test_vectors_of_another_version_of_the_default_leave_the_words(tmp_path: Path) -> None:
    old, new = FakeEmbedder("ours", version="1"), FakeEmbedder("ours", version="2")
    with fake_library(tmp_path, old, wanted=None) as library:
        (kept,) = add(library, a_lesson())
    with fake_library(tmp_path, new, wanted=None) as library:
        found = library.search("how to pin the compiler version in the build image")
        assert ids(found) == [kept]
        assert any("words alone: run `flex-mcp reindex`" in notice for notice in found.notices)
        assert library.search("soak the beans overnight").nothing_relevant
        recorded = library.record(a_trajectory(), lessons=[a_lesson("Soak the beans overnight")])
        assert [one.decision for one in recorded.decisions] == [DecisionKind.ADD]
        assert library.search("soak the beans overnight").hits
        (copy,) = library.apply([a_lesson("soak the BEANS overnight")])
        assert copy.decision is DecisionKind.DISCARD
        assert library.reindex() == new.vectors
        found = library.search("soak the beans overnight")
        assert found.notices == ()
        assert "beans" in found.hits[0].experience.lesson
        with library.reading() as reading:
            both = reading.experiences.ids(ExperienceFilter())
            assert all(chunks for chunks in reading.vectors.of(both).values())
            assert len(reading.vectors.of(both)) == 2


def test_a_model_of_another_dimension_under_the_same_name_is_refused(tmp_path: Path) -> None:
    with fake_library(tmp_path, FakeEmbedder()) as library:
        add(library, a_lesson())
    with (
        fake_library(tmp_path, FakeEmbedder(dimension=32)) as library,
        pytest.raises(EmbedderError, match="not the one that made this library's vectors"),
    ):
        library.search("compiler")


class StoppedError(Exception):
    pass


def test_a_reindex_that_was_stopped_is_resumed(tmp_path: Path) -> None:
    first, second = FakeEmbedder(), FakeEmbedder("other", dimension=32)
    lessons = [a_lesson(f"number {number}", action=Action.ADD) for number in range(150)]

    def stop(done: int, _: int) -> None:
        if done >= 100:
            raise StoppedError

    with fake_library(tmp_path, first) as library:
        for start in range(0, 150, 50):
            add(library, *lessons[start : start + 50])
        (probe,) = ids(library.search("number 7", limit=1, abstain=False))
    with fake_library(tmp_path, first, second, wanted=None) as library:
        with pytest.raises(StoppedError):
            library.reindex("other", progress=stop)
        assert library.statistics().vectors == first.vectors, "the old ones serve"
        assert ids(library.search("number 7", limit=1, abstain=False)) == [probe]
    staged = len(second.embedded)
    assert 100 <= staged < 150
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))

    with fake_library(tmp_path, first, second, wanted=None) as library:
        assert library.reindex("other", progress=watch) == second.vectors
        assert len(second.embedded) == 150
        assert seen[0] == (staged, 150)
        assert seen[-1] == (150, 150)
        assert ids(library.search("number 7", limit=1, abstain=False)) == [probe]
        with library.reading() as reading:
            (vector,) = reading.vectors.of([probe])[probe]
    assert len(vector) == 4 * 32


def test_a_reindex_picks_up_what_changed_meanwhile(tmp_path: Path) -> None:
    first, second = FakeEmbedder(), FakeEmbedder("other")
    with (
        fake_library(tmp_path, first, second, wanted=None) as library,
        fake_library(tmp_path, first, second) as other,
    ):
        other_ids = add(other, *(a_lesson(f"number {number}") for number in range(3)))
        edit = Fields(title="gardens", lesson="gardens")
        todo: list[Callable[[], object]] = [
            lambda: other.curate(other_ids[0], Curation.EDIT, reason="r", fields=edit),
            lambda: other.apply([a_lesson("rivers and lakes")]),
            lambda: other.curate(other_ids[1], Curation.RETIRE, reason="r"),
        ]

        def meddle(done: int, total: int) -> None:
            if done == total and todo:
                todo.pop(0)()

        library.reindex("other", progress=meddle)
        assert not todo
        with library.reading() as reading:
            everything = [found.id for found in library.experiences()]
            vectors = reading.vectors.of(everything)
            nearest = reading.vectors.nearest(second.query("gardens"), depth=10, wanted=Filter())
        assert set(vectors) == set(everything)
        assert len(everything) == 4
        assert other_ids[1] not in {row.id for row in nearest}
        assert nearest[0].id == other_ids[0]


def test_a_reindex_keeps_what_is_retired_for_the_day_it_is_restored(tmp_path: Path) -> None:
    first, second = FakeEmbedder(), FakeEmbedder("other")
    with fake_library(tmp_path, first, second, wanted=None) as library:
        with fake_library(tmp_path, first) as maker:
            kept, retired = add(maker, a_lesson("walk the dog"), a_lesson("feed the cat"))
            maker.curate(retired, Curation.RETIRE, reason="stale")
        library.reindex("other")
        assert ids(library.search("feed the cat", abstain=False)) == [kept]
        library.curate(retired, Curation.RESTORE, reason="needed again")
        with library.reading() as reading:
            (best, *_) = reading.vectors.nearest(
                second.query("feed the cat"), depth=5, wanted=Filter()
            )
        assert best.id == retired


def test_tokens_that_an_earlier_version_kept_are_not_taken_and_a_reindex_makes_them_anew(
    tmp_path: Path,
) -> None:
    path, query = tmp_path / "library.db", "a release goes wrong after the compiler was upgraded"
    when = "A release goes wrong after an upgrade of the compiler."
    version, layout = tokens().version, tokens().layout

    def fits(library: Library) -> list[tuple[str, float]]:
        found = library.search(query, limit=20, abstain=False)
        return [(hit.experience.id, hit.fit) for hit in found.hits]

    with open_library(path) as library:
        known = add(library, *(a_lesson(text, when=when) for text in LESSONS))
        before = fits(library)
        with closing(apsw.Connection(str(path))) as other:
            other.execute(
                "UPDATE tokens SET version = ?, tokens = ?", (version, tokens().kept("cats", ""))
            )
        assert fits(library) == before
        with library.reading() as reading:
            assert len(reading.words.tokens(known, version)) == len(LESSONS)
            assert reading.words.tokens(known, layout) == {}
        library.reindex()
        with library.reading() as reading:
            assert reading.words.tokens(known, version) == {}
            assert reading.words.tokens(known, layout) == {
                experience.id: learned_tokens(experience) for experience in library.get(known)
            }
        assert fits(library) == before


def test_the_background_is_measured_anew_as_the_library_grows(tmp_path: Path) -> None:
    def measured_on() -> int:
        with fake_library(tmp_path, FakeEmbedder()) as library:
            library.search("anything")
        with fake_library(tmp_path, FakeEmbedder()) as library, library.reading() as reading:
            return json.loads(reading.settings.get(BACKGROUND) or "[]")[1]

    with fake_library(tmp_path, FakeEmbedder()) as library:
        add(library, *(a_lesson(f"number {number}", action=Action.ADD) for number in range(20)))
    assert measured_on() == 20
    for more, expected in [(1, 20), (1, 20), (1, 23)]:  # up to a tenth is no growth
        with fake_library(tmp_path, FakeEmbedder()) as library:
            library.apply([a_lesson(new_id("x"), action=Action.ADD) for _ in range(more)])
        assert measured_on() == expected


class CountingEmbedder(FakeEmbedder):
    """It counts the queries that it is asked for."""

    asked = 0

    def query(self, text: str) -> bytes:
        self.asked += 1
        return super().query(text)


def test_the_background_is_kept_for_the_next_process(tmp_path: Path) -> None:
    task, first, second = "compiler version in the build image", FakeEmbedder(), CountingEmbedder()
    with fake_library(tmp_path, first) as library:
        add(library, *(a_lesson(f"{text} {n}") for n, text in enumerate(LESSONS * 3)))
        before = library.search(task)
    with fake_library(tmp_path, second) as library:
        after = library.search(task)
        assert second.asked == 1
        assert after.relevance == pytest.approx(before.relevance, abs=0.02)  # one byte a number
        assert ids(after) == ids(before)


def test_a_background_of_another_version_is_measured_anew(tmp_path: Path) -> None:
    with fake_library(tmp_path, FakeEmbedder()) as library:
        add(library, *(a_lesson(text) for text in LESSONS))
        before = library.search("compiler version in the build image")
    with closing(apsw.Connection(str(tmp_path / "library.db"))) as connection:
        connection.execute(
            "UPDATE meta SET value = ? WHERE name = ?", ['["fake 1", 8, [0, 0]]', BACKGROUND]
        )
    with fake_library(tmp_path, FakeEmbedder()) as library:
        after = library.search("compiler version in the build image")
        assert after.relevance == before.relevance


def test_the_background_does_not_outlive_its_embedder(tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        add(library, *(a_lesson(text) for text in LESSONS))
        library.search("compiler version in the build image")
    loader = models(StaticEmbedder(), FakeEmbedder())  # type: ignore[arg-type]
    with Library(SqliteStore(tmp_path / "library.db"), loader) as library:
        library.reindex("fake")
        found = library.search("pin the compiler version in the build image")
        assert found.hits[0].experience.lesson == LESSONS[0]
