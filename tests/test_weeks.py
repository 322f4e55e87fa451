"""Counts by week: what came in, what was active at the end of each, and what searches served."""

import contextlib
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from support.fakes import Clock, FakeEmbedder, a_lesson, a_trajectory, add, fake_library
from support.terminal import ESCAPES, done, done_json, on_screen, refused

from flex_mcp import open_library
from flex_mcp.errors import InputError
from flex_mcp.library.library import Library
from flex_mcp.models import Curation, Outcome, Status, Zone, with_general

STEPS = st.lists(
    st.tuples(
        st.sampled_from([None, *Curation]),
        st.sampled_from([*Zone]),
        st.integers(0, 5),
        st.sampled_from([0, 1, 6, 8, 21]),
    ),
    max_size=14,
)


def shown(library: Library, count: int) -> list[tuple[str, int, int]]:
    return [
        (str(week.first_day), week.experiences, sum(week.active.values()))
        for week in library.weeks(count)
    ]


def test_a_week_counts_what_was_made_recorded_and_served_in_it(
    quick: Library, clock: Clock
) -> None:
    first, _ = add(quick, a_lesson(), a_lesson("Read the log.", zone=Zone.WARNING))
    clock.advance(weeks=1)
    found = quick.search("Pin the compiler version in the build image.", abstain=False)
    quick.search("")
    assert found.retrieval_id is not None
    quick.record(
        a_trajectory(outcome=Outcome.FAILURE),
        retrieval_ids=[found.retrieval_id],
        harmful=[found.hits[0].experience.id],
    )
    quick.curate(first, Curation.RETIRE, reason="outdated")
    before, now = quick.weeks(2)
    assert (before.first_day, now.first_day) == (date(2025, 12, 29), date(2026, 1, 5))
    assert before.by_zone == before.active == {"golden": 1, "warning": 1}
    assert (before.by_level, before.searches, before.by_outcome) == ({"pattern": 2}, 0, {})
    assert (now.experiences, now.active) == (0, {"warning": 1})
    assert (now.trajectories, now.by_outcome) == (1, {"failure": 1})
    assert (now.searches, now.serving, now.helpful, now.harmful) == (2, 1, 0, 1)


def test_a_week_begins_on_monday_at_midnight_by_utc(quick: Library, clock: Clock) -> None:
    clock.advance(days=3, hours=11, minutes=59, seconds=59, microseconds=999_999)  # still Sunday
    add(quick, a_lesson())
    clock.advance(microseconds=1)
    add(quick, a_lesson("Read the log."))
    assert shown(quick, 2) == [("2025-12-29", 1, 1), ("2026-01-05", 1, 2)]


def test_weeks_without_anything_are_there_too(quick: Library, clock: Clock) -> None:
    add(quick, a_lesson())
    clock.advance(weeks=2)
    assert [row[1:] for row in shown(quick, 4)] == [(0, 0), (1, 1), (0, 1), (0, 1)]


def test_what_was_made_before_the_first_week_counts_as_active(quick: Library, clock: Clock) -> None:
    gone, _ = add(quick, a_lesson(), a_lesson("Read the log."))
    clock.advance(weeks=9)
    quick.curate(gone, Curation.RETIRE, reason="outdated")
    clock.advance(weeks=1)
    assert [row[2] for row in shown(quick, 3)] == [2, 1, 1]


@given(STEPS)
def test_what_was_active_at_the_end_of_a_week_is_known_whatever_happened_since(
    steps: list[tuple[Curation | None, Zone, int, int]],
) -> None:
    clock = Clock()
    began = clock().date()
    with (
        TemporaryDirectory() as folder,
        fake_library(Path(folder), FakeEmbedder(), clock=clock) as it,
    ):
        ids: list[str] = []
        was: dict[date, Counter[str]] = {}
        for number, (action, zone, which, days) in enumerate(steps):
            if action is None or not ids:
                ids += add(it, a_lesson(f"Lesson {number}.", zone=zone))
            else:
                with contextlib.suppress(InputError):
                    it.curate(ids[which % len(ids)], action, reason="so")
            active = Counter(str(one.zone) for one in it.experiences(statuses=[Status.ACTIVE]))
            was[clock().date()] = active
            clock.advance(days=days)
        for week in it.weeks(1 + (clock().date() - began).days // 7):
            past = [day for day in was if day < week.first_day + timedelta(weeks=1)]
            assert week.active == (was[max(past)] if past else {})


def test_experiences_and_trajectories_are_counted_of_the_projects_that_are_asked_for(
    quick: Library,
) -> None:
    add(quick, a_lesson(), a_lesson("Only here.", project="shop"))
    quick.search("anything")
    quick.record(a_trajectory(project="shop"))
    counted = [quick.weeks(1, projects)[0] for projects in (None, with_general("a"))]
    assert [(one.experiences, one.trajectories) for one in counted] == [(2, 1), (1, 0)]
    assert [sum(one.active.values()) for one in counted] == [2, 1]
    assert [one.searches for one in counted] == [1, 1]


@pytest.mark.parametrize("count", [0, -1, 1_001, "two"])
def test_a_strange_number_of_weeks_is_refused(quick: Library, count: int) -> None:
    with pytest.raises(InputError, match=r"count cannot be .*: say 1 to 1,000 weeks"):
        quick.weeks(count)


# At the terminal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        add(library, a_lesson(), a_lesson("Only here.", project="shop"))
        library.record(a_trajectory(project="shop"))
    return path


def test_stats_shows_the_last_weeks_newest_last(path: Path) -> None:
    said = done("stats", "--weeks", "2", "--library", path).splitlines()
    assert said[0] == "Counted: general; --all-projects counts all. A week begins on Monday (UTC)."
    assert [line.split()[1:] for line in said[1:4]] == [
        ["new", "active", "recorded", "success", "failure"],
        ["0", "0", "0", "0", "0"],
        ["1", "1", "0", "0", "0"],
    ]
    assert [line.split()[1:] for line in said[-3:]] == [
        ["searches", "served", "helpful", "harmful"],
        ["0", "0", "0", "0"],
        ["0", "0", "0", "0"],
    ]
    found = done_json("stats", "--weeks", "2", "--all-projects", "--library", path)["weeks"]
    assert date.fromisoformat(found[1].pop("first_day")).weekday() == 0
    assert found[1] == snapshot(
        {
            "experiences": 2,
            "by_zone": {"golden": 2},
            "by_level": {"pattern": 2},
            "active": {"golden": 2},
            "trajectories": 1,
            "by_outcome": {"success": 1},
            "searches": 0,
            "serving": 0,
            "helpful": 0,
            "harmful": 0,
        }
    )
    assert "say 1 to 1,000" in refused("stats", "--weeks", "2000", "--library", path)


@pytest.mark.process
@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_weeks_fit_on_a_narrow_screen(path: Path, columns: int) -> None:
    said = on_screen(
        "stats", "--weeks", "3", "--library", path, columns=columns, encoding="latin-1"
    )
    lines = ESCAPES.sub("", said).splitlines()
    assert max(map(len, lines)) <= columns
    assert len([line for line in lines if line.startswith("20")]) == 6


def test_stats_counts_and_shows_changes_of_the_projects_that_are_named(path: Path) -> None:
    def counts(*chosen: str) -> tuple[int, int, dict[str, int], int]:
        found = done_json("stats", *chosen, "--library", path)
        changed = len(found["last_changes"])
        return found["experiences"], found["trajectories"], found["by_project"], changed

    assert counts() == counts("--general") == (1, 0, {"": 1}, 1)
    assert counts("--project", "shop") == (1, 1, {"shop": 1}, 1)
    assert counts("--all-projects") == (2, 1, {"": 1, "shop": 1}, 2)
    assert "Counted: shop; --all-projects" in done("stats", "--project", "shop", "--library", path)
    assert "Counted: all projects" in done("stats", "--all-projects", "--library", path)
