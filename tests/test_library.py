"""The Library's verbs: keeping trajectories, and counting what helped."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.fakes import (
    LESSONS,
    Clock,
    FakeEmbedder,
    a_lesson,
    a_trajectory,
    add,
    ids,
    models,
    one,
)
from support.patience import PATIENCE

from flex_mcp import open_library
from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.library import Library
from flex_mcp.models import Agent, DecisionKind, Outcome, Step, StepKind, TrajectoryState
from flex_mcp.storage.sqlite.store import SqliteStore
from flex_mcp.storage.sqlite.transaction import SqliteTransaction


def test_a_trajectory_is_kept_as_it_was_given(quick: Library, clock: Clock) -> None:
    trajectory = a_trajectory(
        "Build the wheel 🦜",
        steps=(Step(kind=StepKind.ACTION, content="make", name="bash"),),
        answer="done",
        feedback="all tests passed",
        score=0.5,
        domain=" Python//Packaging/",
        agent=Agent(name="a", model="m"),
    )
    recorded = quick.record(trajectory)
    assert (recorded.new, recorded.state) == (True, TrajectoryState.PENDING)
    (found,) = quick.trajectories([recorded.trajectory_id])
    assert found.steps == trajectory.steps
    assert (found.answer, found.feedback, found.score) == ("done", "all tests passed", 0.5)
    assert (found.domain, found.agent) == ("python/packaging", trajectory.agent)
    assert found.recorded_at == clock.time


def test_recording_twice_stores_once(quick: Library) -> None:
    first = quick.record(a_trajectory(answer="a", domain="x"))
    again = quick.record(a_trajectory(answer="a", domain="y"))
    assert (first.new, again.new) == (True, False)
    assert again.trajectory_id == first.trajectory_id
    assert quick.statistics().trajectories == 1


@pytest.mark.parametrize(
    "change",
    [
        {"task": "Build the other wheel"},
        {"outcome": Outcome.PARTIAL},
        {"answer": "b"},
        {"feedback": "b"},
        {"transcript": "b"},
        {"steps": (Step(kind=StepKind.ACTION, content="b"),)},
    ],
)
def test_what_differs_in_its_content_is_another_trajectory(
    quick: Library, change: dict[str, object]
) -> None:
    quick.record(a_trajectory())
    assert quick.record(replace(a_trajectory(), **change)).new  # pyright: ignore[reportArgumentType]


def test_a_key_is_stored_once_whatever_else_is_the_same(quick: Library) -> None:
    one_run = quick.record(a_trajectory(), key="run 1")
    assert quick.record(a_trajectory(), key="run 1").trajectory_id == one_run.trajectory_id
    assert quick.record(a_trajectory(), key="run 2").new
    assert quick.record(a_trajectory()).new


def test_a_key_with_other_content_is_refused_with_the_id_that_has_it(quick: Library) -> None:
    first = quick.record(a_trajectory(), key="run 1")
    with pytest.raises(InputError, match=rf"'run 1' is taken by {first.trajectory_id}"):
        quick.record(a_trajectory("Build another"), key="run 1", lessons=[a_lesson()])
    assert quick.statistics().trajectories == 1
    assert quick.statistics().experiences == 0


def test_a_malformed_trajectory_is_refused_in_a_sentence(quick: Library) -> None:
    with pytest.raises(InputError, match="task is empty: say it in words"):
        quick.record(a_trajectory(" "))
    with pytest.raises(InputError, match="steps or transcript, not both"):
        quick.record(a_trajectory(steps=(), transcript="x"))
    with pytest.raises(InputError, match="half of a surrogate pair"):
        quick.record(a_trajectory("half \ud83d"))
    assert quick.statistics().trajectories == 0


def test_lessons_that_come_with_a_trajectory_make_it_distilled(quick: Library) -> None:
    recorded = quick.record(a_trajectory(domain="python"), lessons=[a_lesson()], client="me")
    assert recorded.state is TrajectoryState.DISTILLED
    (decision,) = recorded.decisions
    experience = one(quick, decision.experience_id)
    assert experience.evidence == (recorded.trajectory_id,)
    assert (experience.domain, experience.origin.by) == ("python", "me")


def test_a_trajectory_whose_lessons_are_all_refused_stays_pending(quick: Library) -> None:
    recorded = quick.record(a_trajectory(), lessons=[{"zone": "golden"}])
    assert recorded.state is TrajectoryState.PENDING
    assert [decision.decision for decision in recorded.decisions] == [DecisionKind.REFUSED]


def test_a_retrieval_can_be_reported_at_once(stocked: Library) -> None:
    found = stocked.search("compiler version in the build image")
    counters = stocked.report(found.retrieval_id or "", Outcome.SUCCESS)
    assert [counter.id for counter in counters] == ids(found) != []
    assert {(one.served, one.successes, one.failures) for one in counters} == {(1, 1, 0)}


def test_another_library_on_the_file_knows_a_retrieval_once_this_one_is_closed(
    tmp_path: Path,
) -> None:
    with open_library(tmp_path / "library.db") as library:
        add(library, a_lesson(LESSONS[0]))
        found = library.search("compiler version in the build image", client="me")
    with open_library(tmp_path / "library.db") as other:
        with other.reading() as reading:
            retrieval = reading.retrievals.get(found.retrieval_id or "")
        assert retrieval is not None
        assert retrieval.query == "compiler version in the build image"
        assert retrieval.client == "me"
        assert list(retrieval.served) == ids(found)
        (counters,) = other.report(retrieval.id, Outcome.FAILURE)
        assert (counters.served, counters.failures) == (1, 1)


class SlowStore(SqliteStore):
    """A store whose next writer outside the main thread waits until it may go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entered, self.proceed = threading.Event(), threading.Event()

    @contextmanager
    def writing(self, verb: str, client: str) -> Generator[SqliteTransaction]:
        if isinstance(threading.current_thread(), threading.Timer):
            self.entered.set()
            assert self.proceed.wait(PATIENCE)
        with super().writing(verb, client) as writing:
            yield writing


@pytest.fixture
def slow(tmp_path: Path) -> SlowStore:
    return SlowStore(tmp_path / "library.db")


def goes_on_while_the_writer_waits(store: SlowStore, work: Callable[[], object]) -> None:
    """Do `work` in a thread, give it a chance to overtake the writer, then let the writer go on."""
    assert store.entered.wait(PATIENCE)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(0.2)
    store.proceed.set()
    thread.join()


def test_closing_waits_for_a_retrieval_that_is_being_written(
    slow: SlowStore, tmp_path: Path
) -> None:
    library = Library(slow, models(FakeEmbedder()), wanted="fake")
    found = library.search("anything")
    goes_on_while_the_writer_waits(slow, library.close)
    with open_library(tmp_path / "library.db") as again, again.reading() as reading:
        assert reading.retrievals.get(found.retrieval_id or "") is not None


def test_a_retrieval_can_be_reported_while_it_is_being_written(slow: SlowStore) -> None:
    counted: list[object] = []
    with Library(slow, models(FakeEmbedder()), wanted="fake") as library:
        retrieval = library.search("anything").retrieval_id or ""
        goes_on_while_the_writer_waits(
            slow, lambda: counted.append(library.report(retrieval, Outcome.SUCCESS))
        )
    assert counted == [[]]


@pytest.fixture
def served(quick: Library) -> tuple[str, list[str]]:
    """A retrieval that served two experiences."""
    expected = add(quick, a_lesson("walk the dog"), a_lesson("walk the cat"))
    found = quick.search("walk the", abstain=False)
    assert sorted(ids(found)) == sorted(expected)
    return found.retrieval_id or "", expected


def tallies(library: Library, experience_ids: Sequence[str]) -> list[tuple[int, int]]:
    return [(found.successes, found.failures) for found in library.get(experience_ids)]


def test_the_last_outcome_of_a_retrieval_counts(
    quick: Library, served: tuple[str, list[str]]
) -> None:
    retrieval, both = served
    for outcome, expected in [
        (Outcome.SUCCESS, (1, 0)),
        (Outcome.SUCCESS, (1, 0)),
        (Outcome.FAILURE, (0, 1)),
        (Outcome.PARTIAL, (0, 0)),
        (Outcome.FAILURE, (0, 1)),
        (Outcome.UNKNOWN, (0, 0)),
    ]:
        quick.report(retrieval, outcome)
        assert tallies(quick, both) == [expected] * 2
        with quick.reading() as reading:
            found = reading.retrievals.get(retrieval)
        assert found is not None
        assert found.outcome is outcome


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FAILURE])
def test_where_any_is_named_only_the_named_count(
    quick: Library, served: tuple[str, list[str]], outcome: Outcome
) -> None:
    retrieval, (dog, cat) = served
    quick.report(retrieval, outcome, helpful=[dog])
    assert tallies(quick, [dog, cat]) == [(1, 0), (0, 0)]
    quick.report(retrieval, outcome, helpful=[cat], harmful=[dog])
    assert tallies(quick, [dog, cat]) == [(0, 1), (1, 0)]


def test_partial_adds_nothing_though_some_are_named(
    quick: Library, served: tuple[str, list[str]]
) -> None:
    retrieval, both = served
    quick.report(retrieval, Outcome.PARTIAL, helpful=both)
    assert tallies(quick, both) == [(0, 0)] * 2


def test_a_report_on_what_is_not_known_is_refused_and_counts_nothing(
    quick: Library, served: tuple[str, list[str]]
) -> None:
    retrieval, (dog, cat) = served
    with pytest.raises(NotFoundError, match="there is no retrieval 'r_nobody'"):
        quick.report("r_nobody", Outcome.SUCCESS)
    with pytest.raises(InputError, match=rf"{retrieval} did not serve e_nobody; it served "):
        quick.report(retrieval, Outcome.SUCCESS, helpful=[dog, "e_nobody"])
    with pytest.raises(InputError, match=f"{cat} cannot be both helpful and harmful"):
        quick.report(retrieval, Outcome.SUCCESS, helpful=[cat], harmful=[cat])
    assert tallies(quick, [dog, cat]) == [(0, 0)] * 2


def test_a_trajectory_gives_its_outcome_to_the_searches_it_names(
    quick: Library, served: tuple[str, list[str]]
) -> None:
    retrieval, both = served
    quick.report(retrieval, Outcome.SUCCESS)
    failed = a_trajectory(outcome=Outcome.FAILURE)
    recorded = quick.record(failed, retrieval_ids=[retrieval, retrieval])
    assert tallies(quick, both) == [(0, 1)] * 2
    (found,) = quick.trajectories([recorded.trajectory_id])
    assert found.retrieval_ids == (retrieval,)


def test_a_trajectory_that_names_an_unknown_search_is_recorded_and_told_so(quick: Library) -> None:
    recorded = quick.record(a_trajectory(), retrieval_ids=["r_nobody"])
    assert (recorded.new, recorded.unmatched) == (True, ("r_nobody",))


def test_a_search_that_waited_survives_a_transaction_that_failed(quick: Library) -> None:
    found = quick.search("anything")
    with pytest.raises(NotFoundError):
        quick.report("r_nobody", Outcome.SUCCESS)
    assert quick.report(found.retrieval_id or "", Outcome.SUCCESS) == []


def test_recording_again_links_the_searches_that_it_names(quick: Library) -> None:
    add(quick, a_lesson("walk the dog"))
    work = a_trajectory("walk the dog")
    id_ = quick.record(work).trajectory_id
    found = quick.search("walk the dog", abstain=False)
    quick.record(work, retrieval_ids=[found.retrieval_id or ""])
    assert quick.trajectories([id_])[0].retrieval_ids == (found.retrieval_id,)


def test_text_that_is_no_unicode_is_refused(quick: Library) -> None:
    with pytest.raises(InputError, match="surrogate"):
        quick.search("half \ud83d")
    with pytest.raises(InputError, match="surrogate"):
        quick.record(a_trajectory("half \ud83d"))
    with pytest.raises(InputError, match="surrogate"):
        quick.record(a_trajectory(), key="half \ud83d")
    with pytest.raises(InputError, match="surrogate"):
        quick.report("r_\ud83d", Outcome.SUCCESS)
    assert quick.statistics().trajectories == 0
