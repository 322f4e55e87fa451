"""What trajectories are worth: with which priority their lessons begin, and how many prove them."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from support.client import answer, connected, text_of
from support.fakes import a_lesson, a_trajectory, brief, one
from support.messages_api import Json, lesson

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Agent, Outcome, VerifiedBy, Zone

SUCCESS, FAILURE, PARTIAL, UNKNOWN = Outcome
TESTS, SELF, NOBODY = VerifiedBy.TESTS, VerifiedBy.SELF, VerifiedBy.NONE
OTHERS = [one for one in VerifiedBy if one not in {SELF, NOBODY}]


def recorded(library: Library, outcome: Outcome, by: VerifiedBy, task: str = "Build it") -> str:
    work = a_trajectory(task, outcome=outcome, verified_by=by)
    return library.record(work, key=str(library.statistics().trajectories)).trajectory_id


def priority(library: Library, *trajectory_ids: str) -> int:
    """That of a new lesson from these trajectories."""
    number = library.statistics().experiences
    new = a_lesson(f"lesson {number}", action=Action.ADD)
    (decision,) = library.briefs.answer(brief(library, *trajectory_ids), [new])
    return one(library, decision.experience_id).priority


# Where a lesson begins


@pytest.mark.parametrize(
    ("outcome", "by", "begins"),
    [
        *(pytest.param(SUCCESS, by, 4, id=f"a success verified by {by} is much") for by in OTHERS),
        *(pytest.param(FAILURE, by, 4, id=f"a failure verified by {by} too") for by in OTHERS),
        pytest.param(PARTIAL, TESTS, 3, id="half a success proves something"),
        pytest.param(UNKNOWN, TESTS, 2, id="an unknown end proves little"),
        pytest.param(SUCCESS, SELF, 2, id="a success of which one boasts proves little"),
        pytest.param(SUCCESS, NOBODY, 2, id="a success that nobody verified proves little"),
        pytest.param(FAILURE, SELF, 3, id="a failure that one admits is believed"),
        pytest.param(FAILURE, NOBODY, 3, id="a failure that nobody verified is believed too"),
        pytest.param(PARTIAL, SELF, 2, id="half a success of which one boasts proves little"),
        pytest.param(UNKNOWN, NOBODY, 2, id="nothing known proves little"),
    ],
)
def test_a_lesson_begins_with_what_its_trajectory_is_worth(
    quick: Library, outcome: Outcome, by: VerifiedBy, begins: int
) -> None:
    assert priority(quick, recorded(quick, outcome, by)) == begins


def test_a_lesson_without_a_trajectory_is_an_ordinary_one(quick: Library) -> None:
    (decision,) = quick.apply([a_lesson()])
    assert one(quick, decision.experience_id).priority == 3


def test_the_best_of_several_trajectories_counts(quick: Library) -> None:
    assert priority(quick, recorded(quick, UNKNOWN, NOBODY), recorded(quick, FAILURE, TESTS)) == 4
    assert priority(quick, recorded(quick, SUCCESS, SELF), recorded(quick, PARTIAL, TESTS)) == 3


def test_two_independent_ones_that_were_verified_are_worth_one_more(quick: Library) -> None:
    def two(first: VerifiedBy, second: VerifiedBy, task: str) -> int:
        return priority(
            quick, recorded(quick, FAILURE, first), recorded(quick, SUCCESS, second, task)
        )

    assert two(TESTS, VerifiedBy.USER, "Ship it") == 5
    assert two(TESTS, TESTS, "Build it") == 4, "the same task again"
    assert two(TESTS, SELF, "Ship it") == 4, "only one was verified"
    assert two(SELF, SELF, "Ship it") == 3
    many = [recorded(quick, SUCCESS, TESTS, f"Task {number}") for number in range(5)]
    assert priority(quick, *many) == 5


def test_only_the_trajectories_that_a_lesson_names_count_for_it(quick: Library) -> None:
    good, bad = recorded(quick, SUCCESS, TESTS), recorded(quick, SUCCESS, SELF, "Ship it")
    new = [a_lesson("one", trajectory_ids=(bad,)), a_lesson("two", trajectory_ids=(good,))]
    decisions = quick.briefs.answer(brief(quick, good, bad), new)
    assert [one(quick, each.experience_id).priority for each in decisions] == [2, 4]


def test_a_trajectory_that_a_lesson_names_twice_is_its_evidence_once(quick: Library) -> None:
    id_ = recorded(quick, SUCCESS, TESTS)
    new = a_lesson(trajectory_ids=(id_, id_))
    (decision,) = quick.briefs.answer(brief(quick, id_), [new])
    assert one(quick, decision.experience_id).evidence == (id_,)


@pytest.mark.parametrize("action", [Action.MERGE, Action.DISCARD])
def test_more_evidence_leaves_the_priority_as_it_is(quick: Library, action: Action) -> None:
    (added,) = quick.briefs.answer(brief(quick, recorded(quick, SUCCESS, SELF)), [a_lesson()])
    again = a_lesson("both", action=action, into=added.experience_id)
    quick.briefs.answer(brief(quick, recorded(quick, FAILURE, TESTS, "Ship it")), [again])
    now = one(quick, added.experience_id)
    assert (now.priority, len(now.evidence)) == (2, 2)


def test_what_takes_the_place_of_another_begins_with_its_own_evidence(quick: Library) -> None:
    (old,) = quick.briefs.answer(brief(quick, recorded(quick, SUCCESS, SELF)), [a_lesson()])
    lesson = a_lesson("new", action=Action.SUPERSEDE, into=old.experience_id, reason="it broke")
    (new,) = quick.briefs.answer(brief(quick, recorded(quick, FAILURE, TESTS)), [lesson])
    assert one(quick, new.experience_id).priority == 4


# How many prove it

AGENTS = [None, Agent(name="a"), Agent(name="a", model="m"), Agent(name="b"), Agent(model="m")]


def evidenced(library: Library, *work: Any) -> int:
    """How many independent trajectories a lesson has that each of these gave."""
    ids = [library.record(one, key=f"key {n}").trajectory_id for n, one in enumerate(work)]
    (decision,) = library.apply([a_lesson()], evidence=ids)
    experience = one(library, decision.experience_id)
    assert len(experience.evidence) == len(work)
    return library.whole([experience.id])[0].independent


def test_the_same_task_by_the_same_agent_counts_once(quick: Library) -> None:
    agent = Agent(name="a", model="m")
    tries = [a_trajectory(outcome=outcome, agent=agent) for outcome in Outcome]
    assert evidenced(quick, *tries) == 1


def test_another_task_or_another_agent_counts_more(quick: Library) -> None:
    work = [a_trajectory(task, agent=agent) for task in ("Build", "Ship") for agent in AGENTS]
    assert evidenced(quick, *work, *work) == 10


def test_a_lesson_without_a_trajectory_has_none(quick: Library) -> None:
    assert evidenced(quick) == 0


async def give(client: Any, number: int, *, zone: str = "golden", **values: object) -> Json:
    """Record work that gives the same lesson as other work."""
    given = lesson(zone=zone)
    del given["trajectory_ids"]
    made = {"task": "Build it", "outcome": "success", "answer": str(number), "lessons": [given]}
    return await answer(client, "record_trajectory", **made | values)


@pytest.mark.anyio
async def test_an_experience_with_independent_trajectories_says_so_in_both_forms(
    tmp_path: Path,
) -> None:
    said: list[tuple[int, str]] = []
    more: list[Json] = [{}, {}, {"task": "Ship it"}, {"agent": {"name": "another"}}]
    async with connected(tmp_path / "library.db") as client:
        for number, values in enumerate(more):
            (decided,) = (await give(client, number, **values))["decisions"]
            shown = await client.call_tool("get_experience", {"ids": [decided["experience_id"]]})
            (content,) = shown.structured_content["experiences"]
            assert len(content["evidence"]) == number + 1
            line = next(one for one in text_of(shown).splitlines() if one.startswith("Evidence"))
            said.append((content["independent"], line.partition(" (")[2]))
    assert said == [
        (1, ""),
        (1, ""),
        (2, "2 independent trajectories)"),
        (3, "3 independent trajectories)"),
    ]


# What that is good for

QUERY = "Which compiler version is pinned in the build image?"


@pytest.mark.anyio
@pytest.mark.parametrize("ends", list(permutations(["tests", "self", "none"])), ids="-".join)
async def test_of_lessons_that_say_the_same_the_verified_one_comes_first_and_is_served(
    tmp_path: Path, ends: tuple[str, ...]
) -> None:
    async with connected(tmp_path / "library.db") as client:
        for number, (zone, end) in enumerate(zip(Zone, ends, strict=True)):
            await give(client, number, task=f"Build {number}", zone=zone, verified_by=end)
        found = await answer(client, "search_experience", query=QUERY)
    (hit,) = found["hits"]
    assert hit["zone"] == list(Zone)[ends.index("tests")]
    with open_library(tmp_path / "library.db") as library:
        all_ = library.search(QUERY, abstain=False, collapse=False).hits
    assert str(all_[0].experience.zone) == hit["zone"]
    assert len(all_) == len(ends)
