"""What a search serves, and when it serves nothing."""

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import LESSONS, a_lesson, add, ids

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Found, Level, Outcome, Zone
from flex_mcp.search import search
from flex_mcp.storage.sqlite.words import Words


def test_an_empty_library_has_nothing_relevant(library: Library) -> None:
    found = library.search("build the wheel")
    assert found.nothing_relevant
    assert (found.hits, found.relevance, found.notices) == ((), 0.0, ())
    assert found.retrieval_id is not None


@pytest.mark.parametrize("number", range(len(LESSONS)))
def test_a_task_finds_the_lesson_that_is_about_it(stocked: Library, number: int) -> None:
    tasks = [
        "The release build fails since the compiler was updated in the image",
        "Integrate 1/(2 + sin x): a trigonometric integral",
        "The deployment failed: the access token expired",
        "The server reports the wrong day: dates are compared in local time",
        "A customer wants a refund for an invoice",
        "The beans are hard although they cooked for an hour",
        "The connection pool runs out: a cursor of the database stays open",
        "Find the equations of motion of a block on a wedge",
    ]
    found = stocked.search(tasks[number])
    assert found.hits
    assert found.hits[0].experience.lesson == LESSONS[number]
    assert found.relevance >= 0.5


@pytest.mark.parametrize(
    "task",
    [
        "Translate this poem about autumn into Portuguese",
        "Which gear ratio suits a touring bicycle?",
        "Knit a scarf with a cable stitch",
    ],
)
def test_an_unrelated_task_finds_nothing_relevant(stocked: Library, task: str) -> None:
    found = stocked.search(task)
    assert found.nothing_relevant
    assert found.relevance < 0.5
    assert stocked.search(task, abstain=False).hits


def test_a_hit_that_shares_two_rare_words_is_not_silenced_in_a_small_library(
    library: Library,
) -> None:
    (id_,) = add(library, a_lesson("With zstandard and pyodide the worker must load wasm first."))
    add(library, *(a_lesson(text) for text in LESSONS))
    found = library.search(
        "We write a long report on the history of gardening for our readers, with many pictures, "
        "and by the way somebody mentioned zstandard and pyodide in the meeting"
    )
    assert ids(found) != []
    assert ids(found)[0] == id_


def test_levels_zones_and_domains_narrow_a_search(library: Library) -> None:
    principle, warning, pattern = add(
        library,
        a_lesson(LESSONS[0], level=Level.PRINCIPLE, domain="python/packaging"),
        a_lesson("Write down the compiler of a build.", zone=Zone.WARNING, domain="Python"),
        a_lesson("Take the build image of the last release.", domain="pythonic"),
    )

    def served(**narrowed: Any) -> set[str]:
        task = "pin the compiler version in the build image"
        return {*ids(library.search(task, abstain=False, **narrowed))}

    assert served() == {principle, warning, pattern}
    assert served(levels=[Level.PRINCIPLE]) == {principle}
    assert served(levels=[Level.PRINCIPLE, Level.PATTERN]) == {principle, warning, pattern}
    assert served(zones=[Zone.WARNING]) == {warning}
    assert served(domain="python") == {principle, warning}
    assert served(domain=" Python/Packaging/ ") == {principle}
    assert served(domain="python/pack") == set()
    assert served(levels=[Level.INSTANCE]) == set()


@pytest.mark.parametrize("stored", [r"C:\Work\App", "C:/Work/App", r"c:\\work/App\\"])
def test_a_domain_with_backslashes_is_a_path_of_segments(library: Library, stored: str) -> None:
    (id_,) = add(library, a_lesson("Pin the compiler version of a build.", domain=stored))
    for domain in ("C:/Work/App", r"C:\Work\App", r"c:\work", "C:/Work/"):
        assert ids(library.search("pin the compiler version", domain=domain)) == [id_]
    assert ids(library.search("pin the compiler version", domain=r"C:\Wor")) == []


def test_a_filter_narrows_the_search_before_anything_is_cut(library: Library) -> None:
    (other,) = add(library, a_lesson("Keep the build image of the release.", zone=Zone.WARNING))
    add(library, *(a_lesson(f"{LESSONS[0]} Part {number}.", action=Action.ADD) for number in "789"))
    task = "pin the compiler version in the build image before a release"
    assert other not in ids(library.search(task, limit=1))
    assert ids(library.search(task, limit=1, zones=[Zone.WARNING], abstain=False)) == [other]


@pytest.fixture
def levelled(library: Library) -> Library:
    """Four lessons of each level."""
    for level, word in zip(reversed(Level), ["always", "often", "once"], strict=True):
        texts = [f"{text} ({word})" for text in LESSONS[:4]]
        library.apply([a_lesson(text, level=level, action=Action.ADD) for text in texts])
    return library


@pytest.mark.parametrize("prior", [False, True])
def test_the_best_comes_first_whatever_its_level_and_all_have_one_limit(
    levelled: Library, *, prior: bool
) -> None:
    task = "compiler, integrals, token, dates"
    every = ids(levelled.search(task, limit=20, abstain=False, prior=prior))
    assert len(every) == 12
    for limit in range(1, 12):
        found = levelled.search(task, limit=limit, abstain=False, prior=prior)
        assert ids(found) == every[:limit]
        assert all(0 <= hit.fit <= 1 for hit in found.hits)
    if not prior:
        assert every == [one.id for one in levelled.neighbours([task], limit=20)]


def test_a_search_serves_five_where_no_limit_is_given(levelled: Library) -> None:
    assert len(levelled.search("compiler, integrals, token, dates", abstain=False).hits) == 5


@pytest.mark.parametrize("level", Level)
def test_the_level_of_a_lesson_moves_it_neither_up_nor_down(library: Library, level: Level) -> None:
    add(library, *(a_lesson(text) for text in LESSONS[1:]))
    (best,) = add(library, a_lesson(LESSONS[0], level=level))
    found = library.search("pin the compiler version in the build image", abstain=False)
    assert ids(found)[0] == best


def test_hits_that_say_the_same_collapse_into_the_best(library: Library) -> None:
    first = a_lesson(LESSONS[0])
    same = a_lesson(
        "Pin the compiler version in the build image before the release.", action=Action.ADD
    )
    add(library, first, same)
    task = "pin the compiler version in the build image"
    both = ids(library.search(task, abstain=False, collapse=False))
    assert len(both) == 2
    assert ids(library.search(task, abstain=False)) == both[:1]


@pytest.mark.parametrize("limit", [2, 3, 5])
def test_many_hits_that_say_the_same_leave_room_for_the_others(
    library: Library, limit: int
) -> None:
    same = [
        f"Pin {one} compiler version in {other} build image, or builds differ between{end}"
        for one in ("the", "a")
        for other in ("the", "a")
        for end in (" machines.", " the machines.", " these machines.", " those machines.")
    ]
    others = [
        "Write the compiler version of a build image to a lock file and check it in.",
        "Keep the compiler flags of all build images in one file that each image reads.",
    ]
    add(library, *(a_lesson(text, action=Action.ADD) for text in (*same, *others)))
    task = "pin the compiler version in the build image"
    first, *rest = library.search(task, limit=limit, abstain=False).hits
    assert first.experience.lesson in same
    assert [hit.experience.lesson for hit in rest] == others[: limit - 1]


def test_texts_that_differ_in_a_word_that_tells_do_not_hide_each_other(library: Library) -> None:
    texts = [f"Pin the compiler of the {place} image." for place in ("staging", "production")]
    both = add(library, *(a_lesson(text, action=Action.ADD) for text in texts))
    found = library.search("pin the compiler of the image", abstain=False)
    assert sorted(ids(found)) == sorted(both)


@pytest.mark.parametrize(
    ("said", "opposite"),
    [
        ("Deploying on Fridays is allowed.", "Deploying on Fridays is not allowed."),
        ("Run the migrations before the deploy.", "Run the migrations after the deploy."),
        ("Set the gateway's timeout to 30 seconds.", "Set the gateway's timeout to 30 minutes."),
        ("Always squash commits on merge.", "Never squash commits on merge."),
        ("Enable the compiler's cache in tests.", "Disable the compiler's cache in tests."),
        ("Delete the branch with git branch -d.", "Delete the branch with git branch -D."),
    ],
)
def test_who_finds_a_lesson_sees_the_opposite_one_too(
    stocked: Library, said: str, opposite: str
) -> None:
    pair = add(stocked, a_lesson(said), a_lesson(opposite))
    for query in (said, opposite):
        hits = stocked.search(query).hits
        assert {*pair} <= {hit.experience.id for hit in hits}
        assert {hit.contradicts for hit in hits if hit.experience.id in pair} == {*pair}


def test_hits_that_say_the_same_count_once_whatever_their_zone_and_level(library: Library) -> None:
    text = LESSONS[0]
    warning, _, principle = add(
        library,
        a_lesson(text, zone=Zone.WARNING),
        a_lesson(text),
        a_lesson(text, level=Level.PRINCIPLE),
    )
    task = "pin the compiler version in the build image"
    assert len(library.search(task, abstain=False, collapse=False).hits) == 3
    assert len(library.search(task, abstain=False).hits) == 1
    assert ids(library.search(task, zones=[Zone.WARNING])) == [warning]
    assert ids(library.search(task, levels=[Level.PRINCIPLE])) == [principle]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_warning_has_the_place_that_its_text_gives_it(tmp_path: Path, limit: int) -> None:
    texts = [
        "Sign the wheel with sigstore before the upload.",
        "Uploads of big archives: a sigstore bundle made for another wheel is refused.",
        "Sign tags of a release with the key of the project.",
        "Upload the wheel before the archive of the sources.",
        "Pin the compiler version in the build image.",
    ]
    served: list[list[str]] = []
    for number in range(len(texts) + 1):
        with open_library(tmp_path / f"{number}.db") as library:
            zones = [Zone.WARNING if place == number else Zone.GOLDEN for place in range(5)]
            both = zip(texts, zones, strict=True)
            add(library, *(a_lesson(text, zone=zone) for text, zone in both))
            found = library.search("sign the wheel before the upload", limit=limit, abstain=False)
            served.append([hit.experience.lesson for hit in found.hits])
    assert len(served[0]) == limit
    assert served == served[:1] * len(served)


def test_an_unrelated_warning_is_not_pressed_in(library: Library) -> None:
    add(library, *(a_lesson(text) for text in LESSONS[:4]))
    (warning,) = add(library, a_lesson("Never feed chocolate to the dog.", zone=Zone.WARNING))
    found = library.search("pin the compiler version in the build image", limit=1)
    assert found.hits
    assert warning not in ids(found)


def test_what_helped_before_moves_up_among_equals(library: Library) -> None:
    text = "Check the seals of the pump before the night shift."
    low, high = add(library, a_lesson(text), a_lesson(text, zone=Zone.MIXED))
    task = "check the seals before the night shift"
    ahead, behind = ids(library.search(task, abstain=False, collapse=False))
    assert {ahead, behind} == {low, high}
    for _ in range(20):
        retrieval = library.search(task, abstain=False, collapse=False).retrieval_id or ""
        library.report(retrieval, Outcome.SUCCESS, helpful=[behind], harmful=[ahead])
    assert ids(library.search(task, abstain=False, collapse=False)) == [behind, ahead]
    assert ids(library.search(task, abstain=False, collapse=False, prior=False)) == [ahead, behind]


def test_a_search_finds_what_another_library_on_the_file_just_added(
    library: Library, tmp_path: Path
) -> None:
    library.search("build the wheel")
    with open_library(tmp_path / "library.db") as other:
        (added,) = add(other, a_lesson(LESSONS[0]))
    assert ids(library.search("pin the compiler version in the build image")) == [added]


def test_a_larger_library_finds_its_own_and_stays_silent_on_the_rest(library: Library) -> None:
    things = ["pump", "valve", "gasket", "turbine", "bearing", "piston", "rotor", "flange"]
    deeds = ["Oil", "Replace", "Inspect", "Weigh"]
    add(
        library,
        *(
            a_lesson(f"{deed} the {thing} before the {other} is warm.", action=Action.ADD)
            for deed, other in zip(deeds, ["boiler", "grid", "crane", "dock"], strict=True)
            for thing in things
        ),
    )
    found = library.search("The turbine must be inspected: is the crane warm?")
    assert found.hits
    assert "turbine" in found.hits[0].experience.lesson
    assert library.search("Translate this poem about autumn into Portuguese").nothing_relevant
    assert library.search("What is the capital of Mongolia?").nothing_relevant


def test_neighbours_are_the_nearest_to_any_of_the_texts(stocked: Library) -> None:
    found = stocked.neighbours(["compiler of the build image", "beans to cook"], limit=2)
    assert {experience.lesson for experience in found} == {LESSONS[0], LESSONS[5]}
    assert stocked.neighbours([], limit=2) == []


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_can_be_searched_for(odd: Library, query: str) -> None:
    found, every = odd.search(query), odd.search(query, abstain=False)
    assert all(0 <= hit.fit <= 1 for hit in every.hits)
    assert found.relevance in {0, every.relevance}
    assert set(ids(found)) <= set(ids(every)) or not found.hits


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with open_library(tmp_path_factory.mktemp("odd") / "library.db") as opened:
        add(opened, *(a_lesson(text) for text in LESSONS))
        yield opened


def test_a_warning_takes_the_place_of_no_better_hit_where_there_is_one_place(
    library: Library,
) -> None:
    text = "Pin the compiler version in the build image before a release."
    add(library, a_lesson(text), a_lesson("Pin the compiler version late.", zone=Zone.WARNING))
    (hit,) = library.search(text, limit=1).hits
    assert hit.experience.zone is Zone.GOLDEN


def test_where_vectors_are_damaged_words_serve_and_a_reindex_mends_them(tmp_path: Path) -> None:
    path, task = tmp_path / "library.db", "pin the compiler version in the build image"
    with open_library(path) as library:
        (best, *_) = add(library, *(a_lesson(text) for text in LESSONS))
        usual = library.search(task)
    with contextlib.closing(apsw.Connection(str(path))) as other:
        other.execute("UPDATE vectors_vector_chunks00 SET vectors = x'00'")
    with open_library(path) as library:
        found = library.search(task)
        assert ids(found) == [best]
        (notice,) = found.notices
        assert (
            "vectors are damaged, so search goes by words alone: run `flex-mcp reindex`" in notice
        )
        assert library.neighbours([task], limit=1)[0].id == best
        library.reindex()
        found = library.search(task)
        assert (ids(found), found.notices) == (ids(usual), ())


def fits(found: Found) -> dict[str, float]:
    return {hit.experience.id: hit.fit for hit in found.hits}


@pytest.mark.parametrize(
    "before_then", ["DELETE FROM tokens", "UPDATE tokens SET version = 'older', tokens = x'0000'"]
)
def test_a_library_from_before_tokens_were_kept_as_they_are_now_ranks_the_same(
    tmp_path: Path, before_then: str
) -> None:
    path, query = tmp_path / "library.db", "the cursor of a database connection in the pool"
    with open_library(path) as library:
        add(library, *(a_lesson(text) for text in LESSONS))
        before = fits(library.search(query, abstain=False))
        with contextlib.closing(apsw.Connection(str(path))) as other:
            other.execute(before_then)
            assert fits(library.search(query, abstain=False)) == before
            library.reindex()
            kept = other.execute("SELECT count(*) FROM tokens WHERE version <> 'older'").get
        assert fits(library.search(query, abstain=False)) == before
    assert kept == len(LESSONS)


SEARCHES = """
import sys
from flex_mcp import open_library
with open_library(sys.argv[1]) as library:
    print(len(library.search("the release build fails in the image of the compiler").hits))
print(sorted({"mcp", "mcp_types", "pydantic", "pydantic_core"} & sys.modules.keys()))
"""


@pytest.mark.process
def test_a_search_needs_neither_pydantic_nor_the_sdk(tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        add(library, a_lesson("The release build fails: pin the compiler in the image."))
    command = [sys.executable, "-c", SEARCHES, str(tmp_path / "library.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    hits, imported = done.stdout.splitlines()
    assert (int(hits) > 0, imported) == (True, "[]")


def test_a_search_ends_though_others_never_stop_writing(
    quick: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(quick, a_lesson("Pin the compiler in the build image"))
    number = itertools.count()

    def grown(_self: Words) -> int:
        return next(number)  # another one at each look

    monkeypatch.setattr(Words, "count", grown)
    found = quick.search("Pin the compiler in the build image", abstain=False)
    assert [hit.experience.title for hit in found.hits] == ["Pin the compiler in the build image"]


def test_before_a_large_library_is_measured_little_is_served_all_the_same(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "AT_ONCE", 0)
    monkeypatch.setattr(search, "LATER", 3_600)
    add(library, *map(a_lesson, LESSONS))
    assert library.search("Write a wedding speech for my sister").nothing_relevant
    assert library.search("pin the compiler version in the build image").hits
