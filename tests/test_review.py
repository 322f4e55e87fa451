"""Review: what in a library is worth a look, and going through it one thing at a time."""

import contextlib
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import EmbeddedResource, TextContent, TextResourceContents
from support.client import ERAS, Era, connected
from support.fakes import Clock, FakeEmbedder, a_lesson, add, fake_library
from support.terminal import Screen, done, done_json, on_screen, refused, run

from flex_mcp import open_library
from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Action,
    Concern,
    Curation,
    Experience,
    Fields,
    Lesson,
    Level,
    Outcome,
    Status,
    Suggestion,
    Zone,
)

pytestmark = pytest.mark.anyio

BEFORE = "Always run database migrations before you deploy the service."
AFTER = "Always run database migrations after you deploy the service."
CHECK = "Check the checksum of a download before you unpack it."


def told(text: str, **values: object) -> Lesson:
    return a_lesson(text, title=text, when="", action=Action.ADD, **values)


def pair(library: Library) -> list[str]:
    """Two that say the opposite, of other levels and zones."""
    return add(
        library,
        told(BEFORE, level=Level.PATTERN),
        told(AFTER, zone=Zone.WARNING, level=Level.PRINCIPLE),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def library(tmp_path: Path, clock: Clock) -> Library:
    return fake_library(tmp_path, FakeEmbedder(), clock=clock)


def concerns(library: Library, **wanted: object) -> list[tuple[Concern, tuple[str, ...]]]:
    library.find_pairs()
    found = library.suggestions(**wanted)  # pyright: ignore[reportArgumentType]  any of them
    assert found.uncompared == 0
    return [(one.concern, one.ids) for one in found.found]


# What is worth a look


def test_two_that_say_the_opposite_or_the_same_are_suggested_across_levels_and_zones(
    library: Library,
) -> None:
    first, second = pair(library)
    (copy,) = add(library, told(BEFORE, level=Level.PRINCIPLE))
    assert concerns(library) == [
        (Concern.CONTRADICTS, (second, copy)),
        (Concern.CONTRADICTS, (first, second)),
        (Concern.SAME, (first, copy)),
    ]


def test_pairs_are_found_by_words_where_the_vectors_are_damaged(library: Library) -> None:
    first, second = pair(library)
    with contextlib.closing(apsw.Connection(library.name)) as other:
        other.execute("UPDATE vectors_vector_chunks00 SET vectors = x'00'")
    with open_library(library.name) as opened:
        assert concerns(opened) == [(Concern.CONTRADICTS, (first, second))]


def test_nothing_is_compared_before_it_is_asked_for_and_nothing_twice(library: Library) -> None:
    pair(library)
    add(library, told(CHECK))
    assert (library.suggestions().found, library.suggestions().uncompared) == ((), 3)
    assert library.find_pairs(2) == 1
    seen: list[tuple[int, int]] = []
    assert library.find_pairs(progress=lambda done, total: seen.append((done, total))) == 0
    assert seen == [(1, 1)]
    assert library.find_pairs(progress=lambda done, total: seen.append((done, total))) == 0
    assert seen == [(1, 1)]


def test_a_changed_text_is_compared_anew(library: Library) -> None:
    first, second = pair(library)
    assert concerns(library)
    library.curate(second, Curation.EDIT, reason="other", fields=Fields(title=CHECK, lesson=CHECK))
    assert library.suggestions().uncompared == 1
    assert concerns(library) == []
    library.curate(second, Curation.REVERT, reason="back")
    assert concerns(library) == [(Concern.CONTRADICTS, (first, second))]


def test_what_is_no_longer_served_is_no_pair_until_it_is_restored(library: Library) -> None:
    _, second = pair(library)
    assert concerns(library)
    library.curate(second, Curation.RETIRE, reason="old")
    assert concerns(library) == []
    (third,) = add(library, told(BEFORE, level=Level.INSTANCE))
    library.curate(second, Curation.RESTORE, reason="again")
    assert (Concern.CONTRADICTS, (second, third)) in concerns(library)


def test_lessons_of_two_projects_are_no_pair_and_general_ones_are_with_each(
    library: Library,
) -> None:
    mine, theirs = add(library, told(BEFORE, project="shop"), told(AFTER, project="billing"))
    (general,) = add(library, told(AFTER, level=Level.PRINCIPLE))
    assert concerns(library, projects={"shop", None}) == [(Concern.CONTRADICTS, (mine, general))]
    assert concerns(library, projects={"shop"}) == []
    both = [(Concern.SAME, (theirs, general)), (Concern.CONTRADICTS, (mine, general))]
    assert sorted(concerns(library)) == sorted(both)


def test_what_is_held_back_comes_first_and_what_is_retired_never(library: Library) -> None:
    first, second = pair(library)
    (held,) = add(library, told(CHECK))
    library.curate(held, Curation.QUARANTINE, reason="who wrote this?")
    (gone,) = add(library, told("Water the plants."))
    library.curate(gone, Curation.RETIRE, reason="no plants")
    assert concerns(library) == [
        (Concern.QUARANTINED, (held,)),
        (Concern.CONTRADICTS, (first, second)),
    ]


def serve(library: Library, id_: str, times: int) -> list[str]:
    """Searches that serve it; their ids."""
    (one,) = library.get([id_])
    found = [library.search(one.lesson, abstain=False, limit=20) for _ in range(times)]
    assert all(id_ in [hit.experience.id for hit in each.hits] for each in found)
    return [each.retrieval_id or "" for each in found]


def test_what_was_named_harmful_is_suggested_unless_it_helped_more_often(library: Library) -> None:
    (id_,) = add(library, told(CHECK))
    first, second, third = serve(library, id_, 3)
    library.report(first, Outcome.FAILURE, harmful=[id_])
    assert concerns(library) == [(Concern.HARMFUL, (id_,))]
    library.report(second, Outcome.SUCCESS, helpful=[id_])
    assert concerns(library) == [(Concern.HARMFUL, (id_,))]
    library.report(third, Outcome.SUCCESS, helpful=[id_])
    assert concerns(library) == []


def test_what_is_served_often_and_never_named_is_suggested_where_others_are_named(
    library: Library,
) -> None:
    idle, useful = add(library, told(CHECK), told("Water the plants in the evening."))
    searches = serve(library, idle, 10)
    assert concerns(library) == []
    library.report(serve(library, useful, 1)[0], Outcome.SUCCESS, helpful=[useful])
    assert concerns(library) == [(Concern.NEVER_HELPFUL, (idle,))]
    library.report(searches[0], Outcome.SUCCESS, helpful=[idle])
    assert concerns(library) == []


def test_what_no_search_found_is_suggested_after_thirty_days_and_fifty_searches(
    library: Library, clock: Clock
) -> None:
    unused, used = add(library, told(CHECK), told("Water the plants in the evening."))

    def search(times: int) -> None:
        for _ in range(times):
            clock.advance(minutes=1)
            library.search("Water the plants in the evening.")
        library.calibrate()  # writes them

    search(49)
    clock.advance(days=31)
    assert concerns(library) == []
    search(1)
    assert concerns(library) == [(Concern.NEVER_SERVED, (unused,))]
    (young,) = add(library, told("Soak the beans overnight."))
    search(60)
    assert (Concern.NEVER_SERVED, (young,)) not in concerns(library)
    assert used not in [id_ for _, ids in concerns(library) for id_ in ids]


def test_a_pair_is_told_no_more_once_one_of_it_has_changed(library: Library) -> None:
    _, second = pair(library)
    assert concerns(library)
    library.curate(second, Curation.EDIT, reason="moved", fields=Fields(project="shop"))
    assert (library.suggestions().found, library.suggestions().uncompared) == ((), 1)


# Settling it


def test_what_is_dismissed_comes_again_when_a_text_changes(library: Library) -> None:
    first, second = pair(library)
    library.find_pairs()
    (found,) = library.suggestions().found
    library.dismiss(found)
    assert concerns(library) == []
    library.curate(second, Curation.EDIT, reason="tags", fields=Fields(tags=("db",)))
    assert concerns(library) == []
    library.curate(second, Curation.EDIT, reason="longer", fields=Fields(when="deploying"))
    assert concerns(library) == [(Concern.CONTRADICTS, (first, second))]


def test_only_what_was_seen_is_dismissed(library: Library) -> None:
    first, second = pair(library)
    library.find_pairs()
    (found,) = library.suggestions().found
    seen = {first: 1, second: 1}
    library.curate(second, Curation.EDIT, reason="tags", fields=Fields(tags=("db",)))
    with pytest.raises(InputError, match="was changed since it was shown"):
        library.dismiss(found, seen=seen)
    assert library.suggestions().found == (found,)
    for wrong in ("x", Suggestion(Concern.SAME, ()), Suggestion(Concern.SAME, ("a", "b", "c"))):
        with pytest.raises(InputError, match="that is no suggestion"):
            library.dismiss(wrong)  # pyright: ignore[reportArgumentType]  of another kind


def test_a_dismissal_is_taken_back(library: Library) -> None:
    pair(library)
    library.find_pairs()
    (found,) = library.suggestions().found
    library.dismiss(Suggestion(found.concern, found.ids[::-1]))
    library.dismiss(found, undo=True)
    assert library.suggestions().found == (found,)
    with pytest.raises(NotFoundError, match="there is no experience e_nowhere"):
        library.dismiss(Suggestion(Concern.SAME, (found.ids[0], "e_nowhere")))


@given(data=st.data())
def test_a_pair_is_found_whichever_came_first_and_however_often_it_was_looked_for(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    library = fake_library(tmp_path_factory.mktemp("pairs"), FakeEmbedder())
    texts = data.draw(st.permutations([BEFORE, AFTER, CHECK]))
    for text in texts:
        add(library, told(text))
        if data.draw(st.booleans()):
            library.find_pairs(data.draw(st.integers(0, 2)))
    library.find_pairs()
    (found,) = library.suggestions().found
    assert found.concern is Concern.CONTRADICTS
    assert {one.lesson for one in library.get(found.ids)} == {BEFORE, AFTER}
    library.close()


# At the terminal


@pytest.fixture
def full(path: Path) -> dict[str, str]:
    """A library with one that is held back and a pair; ids by text."""
    with open_library(path) as library:
        first, second = pair(library)
        (held,) = add(library, told(CHECK, tags=("downloads",)))
        library.curate(held, Curation.QUARANTINE, reason="who wrote this?")
    return {BEFORE: first, AFTER: second, CHECK: held}


def now(path: Path, id_: str) -> Experience:
    with open_library(path) as library:
        return library.get(id_)


def test_a_pipe_gets_a_list_and_json(path: Path, full: dict[str, str]) -> None:
    listed = done("review", "--library", path).splitlines()
    assert [line.split()[0] for line in listed] == ["quarantined", "contradicts"]
    assert full[CHECK] in listed[0]
    assert done_json("review", "--library", path) == {
        "suggestions": [
            {"concern": "quarantined", "experiences": [{"id": full[CHECK], "title": CHECK}]},
            {
                "concern": "contradicts",
                "experiences": [
                    {"id": full[BEFORE], "title": BEFORE},
                    {"id": full[AFTER], "title": AFTER},
                ],
            },
        ],
        "total": 2,
        "uncompared": 0,
    }
    only = done("review", "--concern", "contradicts", "--library", path)
    assert len(only.splitlines()) == 1
    assert done("review", "--domain", "nowhere", "--library", path) == "Nothing needs a look.\n"
    none = done("review", "--concern", "same", "--library", path)
    assert none == "Nothing of that kind; 2 others need a look.\n"
    assert "'ugly' is not one of" in refused("review", "--concern", "ugly", "--library", path)


@pytest.mark.process
def test_a_person_goes_through_it_and_takes_a_step_back(path: Path, full: dict[str, str]) -> None:
    screen = Screen("review", "--library", path, NO_COLOR="1")
    screen.until("q]: ")
    assert "type one of a, r, e, s, z, q" in screen.after("m", "q]: ")
    assert "nothing was done yet" in screen.after("z", "q]: ")
    shown = screen.after("a", "q]: ")
    assert f"approve {full[CHECK]}" in shown
    assert "2 of 2 They say the opposite of each other" in shown
    assert now(path, full[CHECK]).status is Status.ACTIVE
    shown = screen.after("z", "q]: ")
    assert "1 of 2 It is held back until a person approves it" in shown
    assert "who wrote this?" in shown
    assert "Tags: downloads" in shown
    assert now(path, full[CHECK]).status is Status.QUARANTINED
    screen.after("s", "q]: ")
    screen.after("x", "q]: ")
    screen.after("m", "q]: ")
    assert "taken back: merge" in screen.after("z", "q]: ")
    assert "That was all." in screen.after("m", "q]: ")
    assert "1 settled, 1 skipped." in screen.after("q", "skipped.")
    screen.end()
    assert now(path, full[BEFORE]).superseded_by == full[AFTER]


@pytest.mark.process
def test_what_another_did_meanwhile_is_neither_merged_nor_taken_back(
    path: Path, full: dict[str, str]
) -> None:
    screen = Screen("review", "--concern", "contradicts", "--library", path, NO_COLOR="1")
    screen.until("q]: ")

    def another(title: str) -> None:
        with open_library(path) as library:
            library.curate(full[BEFORE], Curation.EDIT, reason="x", fields=Fields(title=title))

    another("One")
    assert "was changed since it was shown" in screen.after("m", "q]: ")
    screen.after("q", "left.")
    screen.end()
    screen = Screen("review", "--library", path, NO_COLOR="1")
    screen.until("q]: ")
    screen.after("r", "q]: ")
    with open_library(path) as library:
        library.curate(full[CHECK], Curation.EDIT, reason="x", fields=Fields(title="Theirs"))
    for _ in range(2):
        assert "was changed since it was shown" in screen.after("z", "q]: ")
    assert "1 settled" in screen.after("q", "left.")
    screen.end()
    assert now(path, full[CHECK]).title == "Theirs"


@pytest.mark.process
def test_the_second_of_a_pair_is_edited_in_the_editor_and_put_back(
    path: Path, full: dict[str, str], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        '#!/bin/sh\nsed -i "s/^--- when ---/&\\nAfterwards/" "$1"\n', encoding="utf-8"
    )
    editor.chmod(0o700)
    which = "review", "--concern", "contradicts", "--library", path
    screen = Screen(*which, NO_COLOR="1", EDITOR=str(editor))
    screen.until("q]: ")
    assert f"edit {full[AFTER]}" in screen.after("e", "q]: ")
    screen.after("q", "settled.")
    screen.end()
    assert now(path, full[AFTER]).when == "Afterwards"


@pytest.mark.process
def test_what_a_person_leaves_as_it_is_is_asked_no_more(path: Path, full: dict[str, str]) -> None:
    screen = Screen("review", "--concern", "contradicts", "--library", path, NO_COLOR="1")
    screen.until("q]: ")
    assert "left as they are" in screen.after("k", "q]: ")
    screen.after("q", "settled.")
    screen.end()
    assert full[AFTER] not in done("review", "--library", path)


@pytest.mark.process
def test_what_another_changed_meanwhile_is_shown_anew(path: Path, full: dict[str, str]) -> None:
    screen = Screen("review", "--concern", "quarantined", "--library", path, NO_COLOR="1")
    screen.until("q]: ")
    with open_library(path) as library:
        library.curate(full[CHECK], Curation.EDIT, reason="x", fields=Fields(when="unpacking"))
    shown = screen.after("a", "q]: ")
    assert "was changed since it was shown" in shown
    assert "unpacking" in shown
    screen.after("q", "1 left.")
    screen.end()
    assert now(path, full[CHECK]).status is Status.QUARANTINED


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_list_is_shown_at_a_narrow_terminal(
    path: Path, full: dict[str, str], encoding: str
) -> None:
    shown = on_screen("review", "--list", "--library", path, columns=60, encoding=encoding)
    assert full[AFTER] in shown


# The prompt


@pytest.mark.parametrize("era", ERAS)
async def test_the_prompt_hands_the_pairs_over_as_data(
    path: Path, full: dict[str, str], era: Era
) -> None:
    async with connected(path, era) as client:
        messages = (await client.get_prompt("review_library", {})).messages
    guide, _, *data = (one.content for one in messages)
    assert isinstance(guide, TextContent)
    assert f"- {full[BEFORE]} and {full[AFTER]}: say the opposite of each other" in guide.text
    assert "1 held back: a person looks" in guide.text
    assert BEFORE not in guide.text
    texts: dict[str, str] = {}
    for one in data:
        assert isinstance(one, EmbeddedResource)
        assert isinstance(one.resource, TextResourceContents)
        texts[str(one.resource.uri)] = one.resource.text
    assert texts.keys() == {f"flex://experience/{full[text]}" for text in (BEFORE, AFTER)}
    assert f"> {AFTER}" in texts[f"flex://experience/{full[AFTER]}"]


def test_what_cannot_be_written_is_said(path: Path, full: dict[str, str]) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with open_library(path) as library:
            if not library.read_only:
                pytest.skip("this user may write whatever the mode says")
        result = run("review", "--library", path)
    finally:
        path.parent.chmod(0o755)
    assert full[CHECK] in result.stdout
    assert "the library cannot be written, so pairs are not looked for" in result.stderr
