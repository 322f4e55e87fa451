"""Lists of experiences and trajectories: what is wanted, in which order, page by page."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import Clock, FakeEmbedder, a_lesson, a_trajectory, add, fake_library, record

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Curation,
    Experience,
    Fields,
    Level,
    Outcome,
    RecordedTrajectory,
    Sort,
    Status,
    TrajectoryState,
    Zone,
    clean_domain,
)

WORDS = ("Pin", "the", "Ärger", "100%", "snake_case", "back\\slash", "ЖУК", "b", "é→")
NEEDLES = st.sampled_from(["pin", "ärg", "0%", "e_c", "K\\s", "жук", "_", "%", "É→", "nowhere", ""])
DOMAINS = ("a", "a/b", "a0", "ab", "ä/x", None)
START = Clock().time
TIMES = st.integers(-1, 9).map(lambda hours: START + timedelta(hours=hours))

RISING = {Sort.TITLE, Sort.DOMAIN, Sort.ZONE, Sort.STATUS}  # the others begin with the most


def key_of(one: Experience, sort: Sort) -> Any:
    match sort:
        case Sort.NEWEST:
            return 0
        case Sort.UPDATED:
            return one.updated_at
        case Sort.TITLE:
            return "".join(each.lower() if each.isascii() else each for each in one.title)
        case Sort.DOMAIN:
            return one.domain or ""
        case _:
            return getattr(one, sort)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library of forty lessons and as many trajectories, each an hour after the other."""
    clock, zones, levels = Clock(), [*Zone], [*Level]
    library = fake_library(tmp_path_factory.mktemp("lists"), FakeEmbedder(), clock=clock)
    for number in range(40):
        clock.time = START + timedelta(minutes=15 * number)
        words = " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 2, 5))
        (id_,) = add(
            library,
            a_lesson(
                f"{words} {number}",
                title=words,
                when=WORDS[number % 7],
                zone=zones[number % 3],
                level=levels[number % 2],
                domain=DOMAINS[number % 6],
            ),
        )
        if number % 4 == 0:
            library.curate(id_, Curation.RETIRE, reason="x")
        if number % 5 == 0:
            fields = Fields(priority=1 + number % 3)
            library.curate(id_, Curation.EDIT, reason="x", fields=fields)
        outcome = [*Outcome][number % 4]
        domain = DOMAINS[number % 6]
        trajectory = a_trajectory(f"{words} {number}", outcome=outcome, domain=domain)
        lessons = [a_lesson(f"{words} {number} once more", title=words)] if number % 7 == 0 else []
        found = library.search(words)
        named = [found.hits[0].experience.id] if found.hits else []
        library.record(
            trajectory,
            lessons=lessons,
            retrieval_ids=[found.retrieval_id or ""],
            helpful=named if number % 2 else (),
            harmful=() if number % 2 else named,
        )
    return library


def in_domain(domain: str | None, wanted: str | None) -> bool:
    path = clean_domain(wanted)
    return path is None or domain == path or (domain or "").startswith(f"{path}/")


EXPERIENCES = st.fixed_dictionaries(
    {},
    optional={
        "levels": st.none() | st.sets(st.sampled_from([*Level])),
        "zones": st.none() | st.sets(st.sampled_from([*Zone])),
        "statuses": st.none() | st.sets(st.sampled_from([*Status])),
        "domain": st.sampled_from([*DOMAINS, "A//", "nowhere"]),
        "since": st.none() | TIMES,
        "text": st.none() | NEEDLES,
    },
)
TRAJECTORIES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.none() | st.sampled_from([*TrajectoryState]),
        "outcome": st.none() | st.sampled_from([*Outcome]),
        "domain": st.sampled_from([*DOMAINS, "A//", "nowhere"]),
        "since": st.none() | TIMES,
        "text": st.none() | NEEDLES,
    },
)


def fits(one: Experience, wanted: dict[str, Any]) -> bool:
    text = f"{one.title}\n{one.when}\n{one.lesson}".lower()
    return (
        (wanted.get("levels") is None or one.level in wanted["levels"])
        and (wanted.get("zones") is None or one.zone in wanted["zones"])
        and (not wanted.get("statuses") or one.status in wanted["statuses"])
        and in_domain(one.domain, wanted.get("domain"))
        and (wanted.get("since") is None or one.created_at >= wanted["since"])
        and (wanted.get("text") or "").lower() in text
    )


def was_wanted(one: RecordedTrajectory, wanted: dict[str, Any]) -> bool:
    return (
        one.state is (wanted.get("state") or one.state)
        and one.outcome is (wanted.get("outcome") or one.outcome)
        and in_domain(one.domain, wanted.get("domain"))
        and (wanted.get("since") is None or one.recorded_at >= wanted["since"])
        and (wanted.get("text") or "").lower() in one.task.lower()
    )


@given(
    wanted=EXPERIENCES, sort=st.sampled_from(Sort), reverse=st.booleans(), size=st.integers(1, 9)
)
def test_a_list_holds_what_is_wanted_in_its_order_whatever_the_size_of_its_pages(
    full: Library, *, wanted: Any, sort: Sort, reverse: bool, size: int
) -> None:
    oldest = full.experiences(reverse=True)
    kept = [one for one in oldest if fits(one, wanted)]
    expected = sorted(kept, key=lambda one: key_of(one, sort))
    if (sort in RISING) is reverse:
        expected.reverse()
    assert full.experiences(sort=sort, reverse=reverse, **wanted) == expected
    assert full.count_experiences(**wanted) == len(expected)
    found: list[Experience] = []
    while page := full.experiences(
        sort=sort, reverse=reverse, limit=size, after=found[-1].id if found else None, **wanted
    ):
        assert len(page) <= size
        found += page
    assert found == expected


@given(wanted=TRAJECTORIES, size=st.integers(1, 9))
def test_trajectories_are_listed_newest_first_page_by_page(
    full: Library, wanted: Any, size: int
) -> None:
    everything = full.trajectories()
    times = [one.recorded_at for one in everything]
    assert times == sorted(times, reverse=True)
    expected = [one for one in everything if was_wanted(one, wanted)]
    assert full.trajectories(**wanted) == expected
    assert full.count_trajectories(**wanted) == len(expected)
    found: list[RecordedTrajectory] = []
    while page := full.trajectories(limit=size, after=found[-1].id if found else None, **wanted):
        found += page
    assert found == expected


ODD = "iİıIſµμΜσςΣkK\u212aåÅ\u212bßẞωΩ\u2126θϴǆǅǄжЖ\u0307éÉ*?[]^-\\%_ s"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library of texts in which case is not simple, and of all that has a case."""
    library = fake_library(tmp_path_factory.mktemp("odd"), FakeEmbedder())
    chance = Random(1)
    texts = ["".join(chance.choices(ODD, k=12)) for _ in range(200)]
    cased = "".join(one for one in map(chr, range(0x1E944)) if one.lower() != one)
    library.record_many(a_trajectory(text) for text in [*texts, cased])
    return library


@pytest.fixture(scope="module")
def odd_tasks(odd: Library) -> list[str]:
    return [one.task for one in odd.trajectories()]


def lowered(task: str, text: str) -> str:
    """A task as a text is looked for in it: one of ASCII knows the case of ASCII alone."""
    return "".join(ascii_lower(one) for one in task) if text.isascii() else task.lower()


def ascii_lower(one: str) -> str:
    return one.lower() if one.isascii() else one


def check_found(library: Library, tasks: Sequence[str], text: str) -> None:
    found = [one for one in tasks if text.lower() in lowered(one, text)]
    assert [one.task for one in library.trajectories(text=text)] == found


@given(st.data())
def test_a_text_is_found_in_either_case_of_its_letters(
    odd: Library, odd_tasks: list[str], data: st.DataObject
) -> None:
    task = data.draw(st.sampled_from(odd_tasks[1:]))
    start, length = data.draw(st.integers(0, 11)), data.draw(st.integers(1, 4))
    change = data.draw(st.sampled_from([str, str.lower, str.upper, str.swapcase, str.title]))
    check_found(odd, odd_tasks, change(task[start : start + length]))


def test_every_letter_is_found_in_either_case(odd: Library, odd_tasks: list[str]) -> None:
    for letter in ODD:
        for around in ("", "i", "é"):
            check_found(odd, odd_tasks, letter + around)
            check_found(odd, odd_tasks, around + letter)
    for letter in odd_tasks[0]:
        assert odd.count_trajectories(text=letter.lower()) > 0


def test_what_others_write_between_two_pages_moves_nothing(quick: Library) -> None:
    made = add(quick, *(a_lesson(f"lesson number {number}") for number in range(6)))[::-1]
    first = quick.experiences(limit=3)
    add(quick, a_lesson("a new one"))
    quick.curate(made[1], Curation.RETIRE, reason="old")
    second = quick.experiences(limit=3, after=first[-1].id)
    assert [one.id for one in (*first, *second)] == made


def test_a_time_without_a_zone_is_in_utc(quick: Library, clock: Clock) -> None:
    add(quick, a_lesson())
    for since, there in ((clock.time, 1), (clock.time + timedelta(seconds=1), 0)):
        assert quick.count_experiences(since=since.replace(tzinfo=None)) == there
        assert quick.count_experiences(since=since.astimezone(tz=None)) == there
    assert datetime(2026, 1, 1, 12, tzinfo=UTC) == clock.time


def test_a_page_that_begins_nowhere_is_refused(quick: Library) -> None:
    (id_,) = add(quick, a_lesson())
    known = record(quick)
    for after in ("e_aaaaaaaaaaaa", known):
        with pytest.raises(NotFoundError, match=f"no page begins after '{after}'"):
            quick.experiences(after=after)
    with pytest.raises(NotFoundError, match=id_):
        quick.trajectories(after=id_)


def test_ids_stand_alone(quick: Library) -> None:
    known = record(quick)
    assert [one.id for one in quick.trajectories([known, "t_aaaaaaaaaaaa"])] == [known]
    assert quick.trajectories([]) == []
    with pytest.raises(InputError, match="not both"):
        quick.trajectories([known], state=TrajectoryState.PENDING)
    with pytest.raises(InputError, match="not both"):
        quick.trajectories([known], limit=1)


def test_a_text_that_is_no_unicode_is_refused(quick: Library) -> None:
    with pytest.raises(InputError, match="Unicode"):
        quick.experiences(text="\ud800")


def test_a_long_text_is_looked_for_too(quick: Library) -> None:
    record(quick, "x" * 19_999)
    assert quick.count_trajectories(text="X" * 19_999) == 1
    assert quick.count_trajectories(text="x" * 30_000) == 0


def test_a_whole_trajectory_has_what_came_before_and_after(quick: Library) -> None:
    found = quick.search("Build the wheel")
    made = quick.record(
        a_trajectory(outcome=Outcome.UNKNOWN),
        lessons=[a_lesson()],
        retrieval_ids=[found.retrieval_id or ""],
    )
    quick.report_trajectory(made.trajectory_id, Outcome.FAILURE, feedback="red")
    (whole,) = quick.whole_trajectories([made.trajectory_id, "t_aaaaaaaaaaaa"])
    assert whole.trajectory.id == made.trajectory_id
    assert [one.query for one in whole.searches] == ["Build the wheel"]
    assert [one.outcome for one in whole.outcomes][-1] is Outcome.FAILURE
    assert [one.title for one in whole.learnt] == [a_lesson().title]
