"""Outcomes that come later, what is named helpful or harmful, and what a search leaves behind."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.fakes import Clock, FakeEmbedder, a_lesson, a_trajectory, add, brief, fake_library, one

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.exchange.bundle import export_bundle
from flex_mcp.exchange.files import import_text
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Outcome,
    Recorded,
    ReportedOutcome,
    Retrieval,
    TrajectoryState,
    VerifiedBy,
)
from flex_mcp.models.forgetting import Choice
from flex_mcp.tools.answers import counted

WORK = a_trajectory("walk the dog", outcome=Outcome.UNKNOWN)


def searched(library: Library, session: str | None = "one") -> str:
    found = library.search("walk the dog", abstain=False, session=session)
    return found.retrieval_id or ""


def retrieval(library: Library, id_: str) -> Retrieval:
    with library.reading() as reading:
        found = reading.retrievals.get(id_)
    assert found is not None
    return found


def told(library: Library, id_: str) -> list[ReportedOutcome]:
    with library.reading() as reading:
        return reading.outcomes.of(id_)


def tally(library: Library, id_: str) -> tuple[int, int, int, int]:
    now = one(library, id_)
    return now.successes, now.failures, now.helpful, now.harmful


def record(library: Library, **values: object) -> Recorded:
    return library.record(WORK, key="nightly", session="one", **values)  # pyright: ignore[reportArgumentType]  any


DOG = pytest.mark.usefixtures("dog")


@pytest.fixture
def dog(quick: Library) -> str:
    (made,) = add(quick, a_lesson("walk the dog", domain="home/garden"))
    return made


# Later outcomes


def test_an_outcome_that_comes_later_counts_for_the_searches_of_the_work(
    quick: Library, dog: str, clock: Clock
) -> None:
    id_ = record(quick, retrieval_ids=[searched(quick)]).trajectory_id
    assert tally(quick, dog) == (0, 0, 0, 0)
    clock.advance(days=1)
    reported = quick.report_trajectory(
        "nightly", Outcome.FAILURE, feedback="CI: red", verified_by=VerifiedBy.TESTS, client="ci"
    )
    assert (reported.trajectory_id, [each.id for each in reported.updated]) == (id_, [dog])
    assert tally(quick, dog) == (0, 1, 0, 0)
    (now,) = quick.trajectories([id_])
    assert (now.outcome, now.feedback, now.verified_by, now.state) == (
        Outcome.FAILURE,
        "CI: red",
        VerifiedBy.TESTS,
        TrajectoryState.PENDING,
    )
    first, last = told(quick, id_)
    assert (first.outcome, first.at) == (Outcome.UNKNOWN, now.recorded_at)
    assert (last.outcome, last.by, last.at) == (
        Outcome.FAILURE,
        "ci",
        now.recorded_at + timedelta(days=1),
    )


def test_the_last_outcome_counts_and_all_are_kept(quick: Library, dog: str) -> None:
    id_ = record(quick, retrieval_ids=[searched(quick), searched(quick)]).trajectory_id
    for outcome, expected in (
        (Outcome.SUCCESS, (2, 0, 0, 0)),
        (Outcome.FAILURE, (0, 2, 0, 0)),
        (Outcome.PARTIAL, (0, 0, 0, 0)),
    ):
        quick.report_trajectory(id_, outcome)
        assert tally(quick, dog) == expected
    said = [each.outcome for each in told(quick, id_)]
    assert said == [Outcome.UNKNOWN, Outcome.SUCCESS, Outcome.FAILURE, Outcome.PARTIAL]


def test_the_same_outcome_again_changes_nothing(quick: Library, dog: str) -> None:
    id_ = record(quick, retrieval_ids=[searched(quick)]).trajectory_id
    assert not quick.report_trajectory(id_, Outcome.SUCCESS).known
    assert quick.report_trajectory(id_, Outcome.SUCCESS).known
    assert tally(quick, dog) == (1, 0, 0, 0)
    assert len(told(quick, id_)) == 2


def test_the_answer_names_what_was_learnt_from_work_that_has_another_outcome(
    quick: Library,
) -> None:
    recorded = record(quick, lessons=[a_lesson("walk the cat")])
    learnt = (recorded.decisions[0].experience_id or "",)
    assert quick.report_trajectory("nightly", Outcome.FAILURE).learnt == learnt
    again = quick.record(a_trajectory("walk the dog"), key="nightly")
    assert (again.changed, again.learnt, again.state) == (
        Outcome.SUCCESS,
        learnt,
        TrajectoryState.DISTILLED,
    )


def test_the_same_work_under_its_key_tells_a_later_outcome(quick: Library, dog: str) -> None:
    first = record(quick, retrieval_ids=[searched(quick)])
    again = quick.record(a_trajectory("walk the dog", score=0.5), key="nightly", client="ci")
    assert (again.trajectory_id, again.new, again.changed) == (
        first.trajectory_id,
        False,
        Outcome.SUCCESS,
    )
    assert tally(quick, dog) == (1, 0, 0, 0)
    unknown = record(quick)
    assert (unknown.changed, quick.trajectories([first.trajectory_id])[0].outcome) == (
        None,
        Outcome.SUCCESS,
    )


def test_the_last_of_the_same_work_under_its_key_counts(quick: Library, dog: str) -> None:
    used = [searched(quick)]
    for outcome in (Outcome.FAILURE, Outcome.SUCCESS, Outcome.FAILURE):
        quick.record(a_trajectory("walk it", outcome=outcome), key="ci", retrieval_ids=used)
    assert tally(quick, dog) == (0, 1, 0, 0)
    told_better = a_trajectory("walk it", outcome=Outcome.FAILURE, verified_by=VerifiedBy.TESTS)
    assert quick.record(told_better, key="ci").changed is Outcome.FAILURE


def test_the_same_outcome_told_with_less_loses_nothing(quick: Library, dog: str) -> None:
    about = {"feedback": "all pass", "verified_by": VerifiedBy.TESTS, "score": 1.0}
    work = a_trajectory("walk it", **about)
    id_ = quick.record(work, retrieval_ids=[searched(quick)]).trajectory_id
    reported = quick.report_trajectory(id_, Outcome.SUCCESS, helpful=[dog])
    assert (reported.known, tally(quick, dog)) == (False, (1, 0, 1, 0))
    (now,) = quick.trajectories([id_])
    assert (now.feedback, now.verified_by, now.score) == ("all pass", VerifiedBy.TESTS, 1.0)


def test_names_under_a_key_count_at_the_searches_of_that_work(
    quick: Library, dog: str, clock: Clock
) -> None:
    record(quick, retrieval_ids=[searched(quick)])
    clock.advance(hours=5)
    again = quick.record(a_trajectory("walk the dog"), key="nightly", helpful=[dog])
    assert (again.unmatched, tally(quick, dog)) == ((), (1, 0, 1, 0))


def test_other_work_under_a_key_is_refused_and_named(quick: Library) -> None:
    id_ = record(quick).trajectory_id
    other = a_trajectory("walk the cat", answer="done")
    with pytest.raises(InputError, match=f"'nightly' is taken by {id_}, whose task and answer"):
        quick.record(other, key="nightly")


def test_pending_work_is_replaced_under_its_key_where_that_is_asked_for(
    quick: Library, dog: str
) -> None:
    id_ = record(quick, retrieval_ids=[searched(quick)]).trajectory_id
    more = a_trajectory("walk the dog and the zebra", transcript="at noon")
    again = quick.record(more, key="nightly", replace_pending=True)
    assert (again.trajectory_id, again.new) == (id_, False)
    assert tally(quick, dog) == (1, 0, 0, 0)
    (now,) = quick.trajectories([id_])
    assert (now.task, now.transcript, now.outcome) == (more.task, "at noon", Outcome.SUCCESS)
    third = a_trajectory("walk")
    quick.record(third, key="nightly", replace_pending=True)
    chosen = quick.forgettable(Choice(text="zebra")).affected.trajectories
    assert chosen == {id_}  # what it was before is kept
    assert quick.forget(Choice(text="zebra")).done
    assert b"zebra" not in Path(quick.name).read_bytes()


def test_work_in_a_brief_or_distilled_is_not_replaced(quick: Library) -> None:
    id_ = record(quick).trajectory_id
    brief(quick, id_)
    more = a_trajectory("walk the dog twice")
    with pytest.raises(InputError, match=f"'nightly' is taken by {id_}, whose task differs"):
        quick.record(more, key="nightly", replace_pending=True)
    other = quick.record(a_trajectory("swim"), key="other", lessons=[a_lesson("swim")])
    with pytest.raises(InputError, match=f"'other' is taken by {other.trajectory_id}"):
        quick.record(more, key="other", replace_pending=True)


def test_work_that_is_not_known_has_no_outcome(quick: Library) -> None:
    with pytest.raises(NotFoundError, match="there is no trajectory 'nightly', by id or key"):
        quick.report_trajectory("nightly", Outcome.SUCCESS)


def test_forgetting_takes_later_outcomes_along(quick: Library) -> None:
    id_ = record(quick, retrieval_ids=[searched(quick)]).trajectory_id
    quick.report_trajectory(id_, Outcome.FAILURE, feedback="the zebra escaped", client="zoo")
    (chosen,) = quick.forgettable(Choice(text="zebra")).affected.trajectories
    assert chosen == id_
    assert quick.forget(Choice(text="zebra")).done
    assert told(quick, id_) == []
    assert b"zebra" not in Path(quick.name).read_bytes()


def test_a_text_of_an_earlier_outcome_is_found_in_its_domain(quick: Library) -> None:
    work = a_trajectory("walk it", feedback="zebra", domain="zoo", outcome=Outcome.FAILURE)
    id_ = quick.record(work).trajectory_id
    quick.report_trajectory(id_, Outcome.SUCCESS, feedback="fine")
    chosen = quick.forgettable(Choice(text="zebra", domain="zoo")).affected.trajectories
    assert chosen == {id_}


def test_a_forgotten_experience_leaves_no_domain_with_the_searches(
    quick: Library, dog: str
) -> None:
    used = searched(quick)
    quick.report(used, Outcome.SUCCESS)
    assert retrieval(quick, used).stratum == "home"
    quick.forget(Choice(ids=(dog,)))
    assert (retrieval(quick, used).stratum, retrieval(quick, used).origin) == (None, None)


def test_a_bundle_takes_outcomes_names_and_blocks_along(
    quick: Library, tmp_path: Path, dog: str
) -> None:
    used = searched(quick)
    id_ = record(quick, retrieval_ids=[used], helpful=[dog]).trajectory_id
    quick.report_trajectory(id_, Outcome.SUCCESS, feedback="green")
    quick.report(used, Outcome.FAILURE)
    (tmp_path / "other").mkdir()
    with fake_library(tmp_path / "other", FakeEmbedder()) as other:
        for _ in range(2):
            import_text(other, "".join(export_bundle(quick)), source="a.jsonl")
            assert told(other, id_) == told(quick, id_)
            assert told(other, used) == told(quick, used) != []
            assert retrieval(other, used) == retrieval(quick, used)
            assert other.trajectories([id_]) == quick.trajectories([id_])
            assert tally(other, dog) == tally(quick, dog)


def test_searches_of_a_bundle_count_for_what_was_here_before(
    quick: Library, tmp_path: Path, dog: str
) -> None:
    (tmp_path / "other").mkdir()
    with fake_library(tmp_path / "other", FakeEmbedder()) as other:
        import_text(other, "".join(export_bundle(quick)), source="a.jsonl")
        used = searched(quick)
        quick.report(used, Outcome.SUCCESS, helpful=[dog])
        import_text(other, "".join(export_bundle(quick)), source="a.jsonl")
        assert tally(other, dog) == tally(quick, dog) == (1, 0, 1, 0)
        other.report(used, Outcome.FAILURE, harmful=[dog])
        assert tally(other, dog) == (0, 1, 0, 1)
        assert one(other, dog).served == 1


# Credit


@pytest.mark.parametrize("outcome", Outcome)
def test_what_is_named_is_kept_apart_from_what_an_outcome_counts(
    quick: Library, dog: str, outcome: Outcome
) -> None:
    (cat,) = add(quick, a_lesson("walk the cat"))
    work = a_trajectory("walk the dog", outcome=outcome)
    used = searched(quick)
    quick.record(work, retrieval_ids=[used], helpful=[dog], harmful=[cat])
    told_apart = outcome in {Outcome.SUCCESS, Outcome.FAILURE}
    assert tally(quick, dog) == (int(told_apart), 0, 1, 0)
    assert tally(quick, cat) == (0, int(told_apart), 0, 1)


def test_a_later_outcome_without_names_keeps_the_earlier_ones(quick: Library, dog: str) -> None:
    (cat,) = add(quick, a_lesson("walk the cat"))
    record(quick, retrieval_ids=[searched(quick)], harmful=[dog])
    assert tally(quick, dog) == (0, 0, 0, 1)
    quick.report_trajectory("nightly", Outcome.SUCCESS)
    assert (tally(quick, dog), tally(quick, cat)) == ((0, 1, 0, 1), (0, 0, 0, 0))
    quick.report_trajectory("nightly", Outcome.FAILURE, helpful=[cat])
    assert (tally(quick, dog), tally(quick, cat)) == ((0, 0, 0, 0), (1, 0, 1, 0))


def test_a_wrong_id_never_loses_a_trajectory(quick: Library, dog: str) -> None:
    used = searched(quick)
    recorded = quick.record(
        a_trajectory(),
        retrieval_ids=[used, "r_nobody"],
        helpful=[dog, "e_nobody"],
        harmful=["e_other"],
    )
    assert recorded.new
    assert recorded.unmatched == ("r_nobody", "e_nobody", "e_other")
    assert tally(quick, dog) == (1, 0, 1, 0)


def test_one_that_is_named_both_ways_counts_as_neither(quick: Library, dog: str) -> None:
    used = searched(quick)
    recorded = quick.record(a_trajectory(), retrieval_ids=[used], helpful=[dog], harmful=[dog])
    assert recorded.unmatched == (dog,)
    assert tally(quick, dog) == (1, 0, 0, 0)


def test_without_searches_names_count_at_those_of_the_session(
    quick: Library, dog: str, clock: Clock
) -> None:
    searched(quick, "another")
    clock.advance(minutes=1)
    old = searched(quick)
    clock.advance(hours=2)
    used = searched(quick)
    recorded = quick.record(a_trajectory(), helpful=[dog], session="one")
    assert recorded.unmatched == ()
    assert quick.trajectories([recorded.trajectory_id])[0].retrieval_ids == (used,)
    assert retrieval(quick, old).named == (0,)
    assert tally(quick, dog) == (1, 0, 1, 0)
    nobodys = quick.record(a_trajectory("another"), helpful=[dog])
    assert nobodys.unmatched == (dog,)


# What a search leaves behind


@DOG
def test_a_search_is_kept_with_what_a_comparison_has_to_know(quick: Library) -> None:
    add(quick, a_lesson("bake the bread"))
    found = quick.search("walk the dog", session="one", abstain=False)
    quick.report(found.retrieval_id or "", Outcome.UNKNOWN)
    kept = retrieval(quick, found.retrieval_id or "")
    assert (kept.relevance, kept.stratum, kept.origin, kept.size) == (
        found.relevance,
        "home",
        "own",
        2,
    )


@DOG
def test_a_block_is_the_searches_of_a_session_without_a_long_pause(
    quick: Library, clock: Clock
) -> None:
    first = searched(quick)
    clock.advance(minutes=29)
    second, other, nobodys = searched(quick), searched(quick, "two"), searched(quick, None)
    clock.advance(minutes=30)
    later = searched(quick)
    id_ = record(quick).trajectory_id
    block = {id_: retrieval(quick, id_).block for id_ in (first, second, other, nobodys, later)}
    assert block[first] == block[second]
    assert len({block[first], block[other], block[nobodys], block[later]}) == 4
    assert quick.trajectories([id_])[0].block == block[later]


@DOG
def test_a_block_ends_after_half_a_day(quick: Library, clock: Clock) -> None:
    blocks: list[str | None] = []
    for _ in range(26):
        used = searched(quick)
        quick.report(used, Outcome.UNKNOWN)
        blocks.append(retrieval(quick, used).block)
        clock.advance(minutes=29)
    assert len(set(blocks)) == 2
    assert blocks.count(blocks[0]) == 25


def test_counters_are_shown_in_words(quick: Library, dog: str) -> None:
    for outcome in (Outcome.SUCCESS, Outcome.FAILURE, Outcome.PARTIAL):
        quick.report(searched(quick), outcome)
    quick.report(searched(quick), Outcome.PARTIAL, harmful=[dog])
    said = "Served in 4 (successes 1, failures 1), named helpful 0, harmful 1"
    assert counted(one(quick, dog)) == said
