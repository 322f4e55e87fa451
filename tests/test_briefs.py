"""The life of a brief."""

import contextlib
from datetime import datetime, timedelta
from pathlib import Path

import apsw
import pytest
from support.fakes import (
    Clock,
    FakeEmbedder,
    a_brief,
    a_lesson,
    brief,
    fake_library,
    models,
    one,
    record,
)

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.library import Library
from flex_mcp.models import DecisionKind, TrajectoryState, Wanted
from flex_mcp.storage.sqlite.store import SqliteStore


def state(library: Library, trajectory_id: str) -> TrajectoryState:
    return library.trajectories([trajectory_id])[0].state


def test_a_brief_claims_its_trajectories_for_half_an_hour(quick: Library, clock: Clock) -> None:
    first, second = record(quick, "one"), record(quick, "two")
    claimed = brief(quick, first)
    assert [found.id for found in quick.briefs.claimable(Wanted())] == [second]
    assert quick.briefs.remaining() == 1
    assert [found.id for found in quick.briefs.claimable(Wanted(ids=[first, second]))] == [second]
    with pytest.raises(InputError, match=f"nothing to distil: {first} is claimed by {claimed}"):
        quick.briefs.claimable(Wanted(ids=[first]))
    assert quick.briefs.open(a_brief("b_other", first, second)) is None
    clock.advance(minutes=29, seconds=59)
    assert quick.briefs.remaining() == 1
    clock.advance(seconds=1)
    assert [found.id for found in quick.briefs.claimable(Wanted())] == [first, second]
    assert quick.briefs.open(a_brief("b_other", first, second)) is not None


def test_what_another_process_claims_while_a_brief_waits_for_it_is_claimed(tmp_path: Path) -> None:
    there, here = Clock(), Clock()
    there.advance(seconds=1)  # it looks at the clock later, and is faster
    other = fake_library(tmp_path, FakeEmbedder(), clock=there)
    theirs: list[object] = []

    def now() -> datetime:
        looking = contextlib.closing(apsw.Connection(other.name))
        with looking as connection, contextlib.suppress(apsw.BusyError):
            connection.execute("BEGIN IMMEDIATE; ROLLBACK")
            theirs.append(other.briefs.open(a_brief("b_theirs", id_)))
        return here()

    store = SqliteStore(tmp_path / "library.db")
    with other, Library(store, models(FakeEmbedder()), wanted="fake", now=now) as library:
        id_ = record(other, "one")
        ours = library.briefs.open(a_brief("b_ours", id_))
        theirs.append(other.briefs.open(a_brief("b_later", id_)))
    assert sum(one is not None for one in (ours, *theirs)) == 1


def test_a_brief_keeps_its_text_as_it_was_rendered(quick: Library) -> None:
    first, second = record(quick, "one"), record(quick, "two")
    quick.briefs.open(a_brief("b_1", second, first))
    with quick.reading() as reading:
        found = reading.briefs.get("b_1")
    assert found is not None
    assert (found.rendered, found.trajectory_ids) == ("the question 🦜", (second, first))
    assert found.expires_at - found.created_at == timedelta(minutes=30)


def test_an_answered_brief_makes_its_trajectories_distilled(quick: Library) -> None:
    first, second = record(quick, "one"), record(quick, "two")
    (decision,) = quick.briefs.answer(brief(quick, first, second), [a_lesson()], client="me")
    assert decision.decision is DecisionKind.ADD
    assert one(quick, decision.experience_id).evidence == (first, second)
    assert state(quick, first) is state(quick, second) is TrajectoryState.DISTILLED
    assert quick.briefs.remaining() == 0
    with pytest.raises(InputError, match=f"nothing to distil: {first} is distilled"):
        quick.briefs.claimable(Wanted(ids=[first]))


def test_the_same_answer_again_gets_the_first_decisions(quick: Library) -> None:
    claimed = brief(quick, record(quick))
    raw = {"zone": "golden", "level": "pattern", "title": "T", "when": "", "lesson": "fine"}
    first = quick.briefs.answer(claimed, [raw, {"title": "bad"}])
    assert quick.briefs.answer(claimed, [raw, {"title": "bad"}]) == first
    assert quick.statistics().experiences == 1
    assert quick.statistics().revisions == 1


def test_another_answer_to_a_closed_brief_is_refused(quick: Library) -> None:
    claimed = brief(quick, record(quick))
    quick.briefs.answer(claimed, [a_lesson()])
    for lessons in ([a_lesson("another")], []):
        with pytest.raises(InputError, match=f"{claimed} was answered already, with other lessons"):
            quick.briefs.answer(claimed, lessons)
    assert quick.statistics().experiences == 1


def test_an_empty_answer_makes_the_trajectories_skipped(quick: Library) -> None:
    trajectory = record(quick)
    claimed = brief(quick, trajectory)
    assert quick.briefs.answer(claimed, []) == []
    assert state(quick, trajectory) is TrajectoryState.SKIPPED
    assert quick.briefs.answer(claimed, []) == []
    assert quick.briefs.remaining() == 0
    assert [found.id for found in quick.briefs.claimable(Wanted(ids=[trajectory]))] == [trajectory]


def test_a_brief_whose_lessons_are_all_refused_stays_open(quick: Library) -> None:
    trajectory = record(quick)
    claimed = brief(quick, trajectory)
    (refused,) = quick.briefs.answer(claimed, [{"title": "bad"}])
    assert refused.decision is DecisionKind.REFUSED
    assert state(quick, trajectory) is TrajectoryState.PENDING
    assert quick.briefs.remaining() == 0, "it claims them still"
    (added,) = quick.briefs.answer(claimed, [a_lesson()])
    assert added.decision is DecisionKind.ADD
    assert state(quick, trajectory) is TrajectoryState.DISTILLED


def test_a_brief_past_its_claim_is_accepted(quick: Library, clock: Clock) -> None:
    trajectory = record(quick)
    claimed = brief(quick, trajectory)
    clock.advance(days=3)
    (decision,) = quick.briefs.answer(claimed, [a_lesson()])
    assert decision.decision is DecisionKind.ADD
    assert state(quick, trajectory) is TrajectoryState.DISTILLED


def test_a_brief_whose_trajectories_were_distilled_meanwhile_is_refused(
    quick: Library, clock: Clock
) -> None:
    first, second = record(quick, "one"), record(quick, "two")
    late = brief(quick, first, second)
    clock.advance(minutes=31)
    quick.briefs.answer(brief(quick, second), [a_lesson()])
    with pytest.raises(InputError, match=f"{second} of {late} was distilled meanwhile"):
        quick.briefs.answer(late, [a_lesson("another")])
    assert state(quick, first) is TrajectoryState.PENDING
    assert quick.statistics().experiences == 1


def test_a_brief_that_is_not_here_is_refused(quick: Library) -> None:
    with pytest.raises(NotFoundError, match="there is no brief 'b_nobody'"):
        quick.briefs.answer("b_nobody", [a_lesson()])
    with pytest.raises(NotFoundError, match="there is no trajectory t_nobody"):
        quick.briefs.claimable(Wanted(ids=["t_nobody"]))
    with pytest.raises(NotFoundError, match="there is no trajectory t_nobody"):
        quick.briefs.open(a_brief("b_1", "t_nobody"))


def test_an_answer_is_repeated_also_where_lessons_cannot_be_placed_any_more(
    tmp_path: Path,
) -> None:
    lessons = [a_lesson()]
    with fake_library(tmp_path, FakeEmbedder()) as library:
        claimed = brief(library, record(library))
        first = library.briefs.answer(claimed, lessons)
    with fake_library(tmp_path, FakeEmbedder(), wanted="other") as library:
        assert library.briefs.answer(claimed, lessons) == first
