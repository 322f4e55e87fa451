"""Libraries in and out: FLEX's JSON, the JSONL bundle, Markdown."""

import json
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.fakes import FakeEmbedder, models

from flex_mcp import open_library
from flex_mcp.errors import InputError, NotALibraryError
from flex_mcp.exchange.files import Format, export_file, export_library, import_file, import_text
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Action,
    Agent,
    Curation,
    Experience,
    Fields,
    Lesson,
    Level,
    Outcome,
    Status,
    Step,
    StepKind,
    Trajectory,
    Zone,
)
from flex_mcp.storage.sqlite.store import SqliteStore

Entry = dict[str, Any]

ENTRY: Entry = {
    "method": "Count residues. Then add them up.\nMind the carry.",
    "rules": [
        {"rule": "Work modulo the divisor. It is faster.", "examples": ["7 mod 3 = 1", "2"]},
        {"rule": "Check the smallest case first.", "examples": []},
    ],
    "revised_trajectory": "Round 1\n<comments>good</comments>",
    "memory_type": "golden",
    "problem_category": "Math / Number Theory",
    "priority": 5,
    "created_at": "2025-09-12T00:04:46.298465+08:00",
    "usage_count": 2,
    "last_used": None,
    "of another version": {"kept": [1, 2.5, "é 🦜"]},
}
ODD: Entry = {
    "method": {"step_one": "Draw it.", "steps": ["Then look.", "Then think."], "last": None},
    "rules": ["A rule as text.", {"rule": "One example as text.", "examples": "just this"}, ""],
    "revised_trajectory": "",
    "priority": "high",
}
WARNING: Entry = {"method": "  ", "rules": [{"rule": "Never guess a sign."}], "memory_type": "x"}


def flex(golden: Sequence[Entry] = (), **zones: Sequence[object]) -> str:
    """A file with these entries; `mixed` is missing unless it is given."""
    library = {"golden": list(golden), "warning": [], **zones}
    return json.dumps({"version": "2.0", "created_at": "x", "library": library})


def take(library: Library, text: str, source: str = "a.json") -> dict[str, dict[str, int]]:
    return import_text(library, text, source=source).added


def exported(library: Library) -> dict[str, list[Entry]]:
    content = json.loads("".join(export_library(library, Format.FLEX)))
    assert set(content) == {"version", "created_at", "library", "config"}
    return content["library"]


def by_text(library: Library, text: str) -> Experience:
    (found,) = [one for one in library.experiences() if text in one.lesson]
    return found


# From FLEX


def test_the_parts_of_an_entry_become_experiences_of_their_levels(library: Library) -> None:
    assert take(library, flex([ENTRY])) == {
        "pattern": {"golden": 1},
        "principle": {"golden": 2},
        "instance": {"golden": 1},
    }
    method = by_text(library, "residues")
    assert (method.level, method.zone, method.lesson) == (
        Level.PATTERN,
        Zone.GOLDEN,
        ENTRY["method"],
    )
    assert method.title == "Count residues."
    assert method.when == "Math / Number Theory: Count residues. Then add them up."
    assert method.domain == "math/number theory"
    assert (method.priority, method.origin.kind, method.origin.by) == (5, "imported", "a.json")
    rule = by_text(library, "modulo")
    assert (rule.level, rule.examples) == (Level.PRINCIPLE, ("7 mod 3 = 1", "2"))
    assert rule.title == "Work modulo the divisor."
    assert by_text(library, "<comments>").title == "Round 1"
    assert [one.kind for one in library.history(rule.id)] == ["add"]


def test_odd_entries_are_understood(library: Library) -> None:
    assert take(library, flex([ODD], warning=[WARNING])) == {
        "pattern": {"golden": 1},
        "principle": {"golden": 2, "warning": 1},
    }
    method = by_text(library, "Draw it")
    assert method.lesson == "Step one: Draw it.\nSteps: Then look.\nThen think.\nLast: "
    assert (method.domain, method.priority, method.when) == (None, 3, "Step one: Draw it.")
    assert by_text(library, "A rule as text").examples == ()
    assert by_text(library, "One example").examples == ("just this",)
    assert by_text(library, "Never guess").zone is Zone.WARNING


def test_imported_experiences_are_found(library: Library) -> None:
    take(library, flex([ENTRY]))
    found = library.search("How do I work modulo a divisor?")
    assert "modulo" in found.hits[0].experience.lesson


def test_importing_twice_adds_nothing(library: Library) -> None:
    text = flex([ENTRY, ODD], warning=[WARNING], mixed=[ENTRY])
    first = import_text(library, text, source="a.json")
    again = import_text(library, text, source="b.json")
    assert (first.total, first.already) == (12, 0)
    assert (again.total, again.already) == (0, 12)
    assert library.statistics().revisions == 12
    assert Counter(map(len, exported(library).values())) == {2: 1, 1: 2}


def test_a_thing_said_twice_is_one_experience_and_comes_out_twice(library: Library) -> None:
    shared = {"rules": ENTRY["rules"] * 2, "method": "Another one."}
    take(library, flex([ENTRY, ENTRY, shared]))
    assert library.statistics().experiences == 5
    assert exported(library)["golden"] == [ENTRY, ENTRY, shared]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        pytest.param("Is it so? Yes.", "Is it so?", id="its first sentence"),
        pytest.param("\n\n  One  line\nTwo", "One line", id="its first line"),
        pytest.param("Use 3.14 for e.g.x", "Use 3.14 for e.g.x", id="no end inside a word"),
        pytest.param("xyz " + "ab " * 40, "xyz " + "ab " * 37 + "ab…", id="cut at a word"),
        pytest.param("x" * 120, "x" * 120, id="just long enough"),
        pytest.param("x" * 121, "x" * 119 + "…", id="one long word"),
        pytest.param("漢字" * 100, "漢字" * 59 + "漢…", id="no words"),
    ],
)
def test_a_title_is_the_first_sentence_of_at_most_120_characters(
    library: Library, text: str, title: str
) -> None:
    take(library, flex([{"method": text}]))
    (made,) = library.experiences()
    assert (made.title, made.lesson) == (title, text)
    assert len(made.title) <= 120


def test_numbers_that_are_no_json_are_null_and_said(library: Library) -> None:
    text = flex([ENTRY | {"odd": [float("nan"), {"a": -float("inf")}], "priority": float("nan")}])
    made = import_text(library, text.replace("2.5", "1e999"), source="a.json")
    assert (made.total, made.unused) == (4, {"NaN and Infinity, which are null now": 4, **ODDS})
    out = "".join(export_library(library, Format.FLEX))
    (entry,) = json.loads(out, parse_constant=pytest.fail)["library"]["golden"]
    kept = {"kept": [1, None, "é 🦜"]}
    assert entry == ENTRY | {"odd": [None, {"a": None}], "priority": None, ANOTHER: kept}
    assert by_text(library, "residues").priority == 3


ANOTHER = "of another version"
ODDS = {ANOTHER: 1, "odd": 1}


@pytest.mark.parametrize(
    ("rule", "lesson", "unused"),
    [
        ({"principle": "Say it."}, "Say it.", {}),
        ({"Rule": "Say it.", "Examples": ["x"]}, "Say it.", {}),
        ({"rule": "", "lesson": "Say it."}, "Say it.", {}),
        ({"text": "Say it.", "confidence": 0.9}, "Say it.", {"confidence of a rule": 1}),
        ({"rule": "Say it.", "why": "So."}, "Say it.", {"why of a rule": 1}),
        ({"title": "Say it.", "body": ["a", "b"]}, "Title: Say it.\nBody: a\nb", {}),
        ({"rule": 7}, "7", {}),
        ({"examples": ["x"]}, None, {"a rule that says nothing": 1}),
        ({"rule": None, "id": 3}, None, {"id of a rule": 1, "a rule that says nothing": 1}),
    ],
)
def test_a_rule_under_another_key_is_found_and_what_is_left_is_said(
    library: Library, rule: Entry, lesson: str | None, unused: dict[str, int]
) -> None:
    made = import_text(library, flex([{"method": "m", "rules": [rule]}]), source="a.json")
    principles = library.experiences(levels=[Level.PRINCIPLE])
    assert [one.lesson for one in principles] == [lesson][: made.total - 1]
    assert (made.total, made.unused) == (1 + (lesson is not None), unused)
    assert exported(library)["golden"] == [{"method": "m", "rules": [rule]}]


def test_an_entry_whose_keys_are_written_otherwise_is_edited_in_its_place(library: Library) -> None:
    take(library, flex([{"Method": "Count residues.", "RULES": ["Work modulo 7.", "Check."]}]))
    edit(library, "residues", lesson="Count residues twice.")
    retire(library, "modulo")
    assert exported(library)["golden"] == [{"Method": "Count residues twice.", "RULES": ["Check."]}]


def test_an_entry_of_which_nothing_is_made_is_said_and_kept(library: Library) -> None:
    entry = {"strategy": "Something else."}
    made = import_text(library, flex([entry]), source="a.json")
    assert (made.total, made.unused) == (0, {"strategy": 1, "an entry that says nothing": 1})
    assert exported(library)["golden"] == [entry]


@pytest.mark.parametrize(
    ("priority", "taken", "said"),
    [
        (4, 4, False),
        ("5", 5, False),
        (4.0, 4, False),
        (" 2 ", 2, False),
        (None, 3, False),
        (True, 3, True),
        (4.5, 3, True),
        ("high", 3, True),
        ([5], 3, True),
        (9, 5, True),
        ("0", 1, True),
        (10**400, 3, True),
    ],
)
def test_a_priority_is_right_or_said(
    library: Library, priority: object, taken: int, *, said: bool
) -> None:
    made = import_text(library, flex([{"method": "m", "priority": priority}]), source="a.json")
    (one,) = library.experiences()
    assert (one.priority, len(made.unused)) == (taken, said)
    assert exported(library)["golden"] == [{"method": "m", "priority": priority}]


def test_a_rule_that_an_earlier_version_did_not_see_comes_out_as_it_came_in(
    tmp_path: Path,
) -> None:
    entry: Entry = {"method": "m", "rules": [{"principle": "p"}, {"rule": "r"}]}
    with fake_library(tmp_path / "library.db") as library:
        take(library, flex([entry]))
        unseen, lines = by_text(library, "p").id, bundle(library)
    *others, line = (one for one in lines if unseen not in one or one.startswith('{"entry"'))
    parts = [one for one in json.loads(line)["entry"]["parts"] if one["experience_id"] != unseen]
    with fake_library(tmp_path / "older.db") as library:
        import_text(library, "".join([*others, changed(line, parts=parts)]), source="a.jsonl")
        assert exported(library)["golden"] == [entry]
        retire(library, "r")
        assert exported(library)["golden"] == [{"method": "m", "rules": [{"principle": "p"}]}]


BAD_ENTRIES: list[tuple[str, object, str]] = [
    ("no object", "text", "entry 1 of golden is no object"),
    ("rules that are no list", {"rules": "text"}, "entry 1 of golden, rules is no list"),
    ("a rule that is a number", {"rules": ["ok", 7]}, "entry 1 of golden, rule 1 is no object"),
    (
        "examples that are an object",
        {"rules": [{"rule": "x", "examples": {"a": 1}}]},
        "entry 1 of golden, rule 0, examples is no list",
    ),
    (
        "a part above the limit",
        {"method": "x" * (5 * 1024 * 1024 + 1)},
        "entry 1 of golden, method is longer than 5,242,880 characters",
    ),
]


@pytest.mark.parametrize(
    ("entry", "where"), [case[1:] for case in BAD_ENTRIES], ids=[case[0] for case in BAD_ENTRIES]
)
def test_a_malformed_entry_is_named_and_nothing_is_imported(
    library: Library, entry: Any, where: str
) -> None:
    with pytest.raises(InputError, match=rf"^a\.json: {where}"):
        take(library, flex([ENTRY, entry]))
    assert library.statistics().experiences == 0
    assert not any(exported(library).values())


BAD_FILES: list[tuple[str, str, str]] = [
    ("nothing", "", "is neither a FLEX library"),
    ("no JSON", '{"library": ', "is neither a FLEX library"),
    ("a list", "[]", "is neither a FLEX library"),
    ("another object", '{"a": 1}', "is neither a FLEX library"),
    ("zones as a list", '{"library": []}', "must hold the lists golden, warning and mixed"),
    ("an unknown zone", flex(silver=[]), "there is no zone 'silver'"),
    ("a zone that is no list", '{"library": {"golden": {}}}', "golden must be a list of entries"),
    ("half of a surrogate pair", flex([{"method": "\ud83d"}]), "half of a surrogate pair"),
    ("a thing nested too deep", "[" * 200_000, "neither a FLEX library"),
]


@pytest.mark.parametrize(
    ("text", "sentence"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_what_is_no_library_is_refused_and_nothing_is_imported(
    library: Library, text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        import_text(library, text, source="a.json")
    assert library.statistics().experiences == 0


def test_a_file_that_is_no_text_or_not_there_is_refused(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with pytest.raises(InputError, match=r"a\.json cannot be read: No such file"):
        import_file(library, file)
    file.write_bytes(b'{"library": "\xff"}')
    with pytest.raises(InputError, match=r"a\.json is not UTF-8 text: nothing was imported"):
        import_file(library, file)


def test_a_byte_order_mark_is_no_obstacle(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(flex([ENTRY]), encoding="utf-8-sig")
    assert import_file(library, file).total == 4


# To FLEX


def test_every_entry_comes_out_as_it_came_in(library: Library) -> None:
    empty: Entry = {"method": "", "rules": [], "revised_trajectory": "", "priority": 1}
    take(library, flex([ENTRY, empty, ODD], warning=[WARNING], mixed=[ENTRY]))
    assert exported(library) == {
        "golden": [ENTRY, empty, ODD],
        "warning": [WARNING],
        "mixed": [ENTRY],
    }


def edit(library: Library, text: str, **fields: Any) -> None:
    about = by_text(library, text)
    library.curate(about.id, Curation.EDIT, reason="better", fields=Fields(**fields))


def retire(library: Library, text: str) -> None:
    library.curate(by_text(library, text).id, Curation.RETIRE, reason="stale")


def test_an_edited_part_comes_out_with_its_new_text_in_its_place(library: Library) -> None:
    take(library, flex([ENTRY]))
    edit(library, "residues", lesson="Count residues twice.")
    edit(library, "modulo", lesson="Work modulo 9.", examples=("10 mod 9 = 1",))
    rules = [{"rule": "Work modulo 9.", "examples": ["10 mod 9 = 1"]}, ENTRY["rules"][1]]
    assert exported(library)["golden"] == [
        ENTRY | {"method": "Count residues twice.", "rules": rules}
    ]


def test_a_retired_part_is_left_out_until_it_is_restored(library: Library) -> None:
    take(library, flex([ENTRY]))
    retire(library, "modulo")
    retire(library, "<comments>")
    (entry,) = exported(library)["golden"]
    assert entry["rules"] == ENTRY["rules"][1:]
    assert entry["method"] == ENTRY["method"]
    assert not entry.get("revised_trajectory")
    for text in ("modulo", "<comments>"):
        library.curate(by_text(library, text).id, Curation.RESTORE, reason="after all")
    assert exported(library)["golden"] == [ENTRY]


@pytest.mark.parametrize("entry", [ENTRY, ODD, WARNING], ids=["whole", "odd", "one rule"])
def test_an_entry_whose_parts_are_all_retired_is_gone(library: Library, entry: Entry) -> None:
    take(library, flex([entry]))
    for one in library.experiences():
        library.curate(one.id, Curation.RETIRE, reason="stale")
    assert exported(library)["golden"] == []


def test_other_experiences_become_an_entry_each(library: Library) -> None:
    def lesson(zone: Zone, level: Level) -> Lesson:
        text = f"A {zone} {level} about {zone}{level}."
        return Lesson(zone=zone, level=level, title=text, when="", lesson=text, examples=("e",))

    take(library, flex([ENTRY]))
    library.apply([lesson(zone, level) for zone in Zone for level in Level])
    out = exported(library)
    assert out["golden"][0] == ENTRY
    for zone in Zone:
        own = out[zone][-3:]
        assert {entry["memory_type"] for entry in own} == {zone}
        texts = [
            [entry["method"] for entry in own if entry["method"]],
            [entry["revised_trajectory"] for entry in own if entry["revised_trajectory"]],
            [rule for entry in own for rule in entry["rules"]],
        ]
        assert texts == [
            [f"A {zone} pattern about {zone}pattern."],
            [f"A {zone} instance about {zone}instance."],
            [{"rule": f"A {zone} principle about {zone}principle.", "examples": ["e"]}],
        ]


def test_importing_again_never_undoes_an_edit_or_a_retirement(library: Library) -> None:
    take(library, flex([ENTRY]))
    edit(library, "residues", lesson="Count residues twice.", title="New")
    retire(library, "modulo")
    again = import_text(library, flex([ENTRY]), source="b.json")
    assert (again.total, again.already) == (0, 4)
    assert by_text(library, "residues").title == "New"
    assert by_text(library, "modulo").status is Status.RETIRED
    assert exported(library)["golden"][0]["method"] == "Count residues twice."


@pytest.mark.parametrize(
    ("name", "entries", "rules"),
    [
        ("aime_claude", {"golden": 34, "warning": 1}, {"golden": 173, "warning": 6}),
        ("retro_gemini", {"golden": 5}, {"golden": 88}),
    ],
)
def test_the_libraries_of_flexs_authors_go_in_and_out_whole(
    tmp_path: Path, shared: Path, name: str, entries: dict[str, int], rules: dict[str, int]
) -> None:
    file = shared / "data" / "flex" / f"{name}.json"
    with fake_library(tmp_path / "a.db") as library:
        made = import_file(library, file)
        assert made.added == {"pattern": entries, "principle": rules, "instance": entries}
        assert import_file(library, file).total == 0
        original = json.loads(file.read_text(encoding="utf-8"))
        assert exported(library) == {"mixed": []} | original["library"]


# The bundle


@contextmanager
def fake_library(path: Path) -> Generator[Library]:
    with Library(SqliteStore(path), models(FakeEmbedder()), wanted="fake") as library:
        yield library


def bundle(library: Library) -> list[str]:
    return "".join(export_library(library)).splitlines(keepends=True)


WORDS = st.text(st.sampled_from("ab é漢🦜\n\r\u2028\"\\'{}$\x1f"), min_size=1, max_size=12)
TEXTS = WORDS.map(lambda text: f"{text}.")
LESSONS = st.builds(
    Lesson,
    zone=st.sampled_from(Zone),
    level=st.sampled_from(Level),
    title=TEXTS,
    when=WORDS,
    lesson=TEXTS,
    examples=st.lists(TEXTS, max_size=2).map(tuple),
    domain=st.none() | st.just("Python/é"),
    tags=st.lists(TEXTS, max_size=2).map(tuple),
)
TRAJECTORIES = st.builds(
    Trajectory,
    task=TEXTS,
    outcome=st.sampled_from(Outcome),
    steps=st.none() | st.just((Step(kind=StepKind.ACTION, content="", name="é"),)),
    answer=st.none() | WORDS,
    score=st.none() | st.floats(0, 1),
    agent=st.none() | st.just(Agent(name="a", model=None)),
)


Deed = Callable[[Library], object]


def recorded(one: Trajectory, lessons: list[Lesson], key: str | None) -> Deed:
    def deed(library: Library) -> object:
        return library.record(one, lessons=lessons, key=key)

    return deed


def curated(action: Curation, place: int) -> Deed:
    def deed(library: Library) -> object:
        found = library.experiences(statuses=[Status.ACTIVE])
        fields = Fields(lesson="Edited.", tags=()) if action is Curation.EDIT else None
        about = found[place % len(found)] if found else None
        return about and library.curate(about.id, action, reason="é", fields=fields)

    return deed


def searched(query: str, outcome: Outcome) -> Deed:
    def deed(library: Library) -> object:
        found = library.search(query, abstain=False)
        return library.report(found.retrieval_id or "", outcome)

    return deed


def superseded(lesson: Lesson) -> Deed:
    def deed(library: Library) -> object:
        old = library.experiences(statuses=[Status.ACTIVE], limit=1)
        return library.apply(
            [replace(lesson, action=Action.SUPERSEDE, into=one.id, reason="é") for one in old]
        )

    return deed


def imported(library: Library) -> object:
    return take(library, flex([ENTRY], warning=[ODD]))


CHANGES = st.sampled_from([Curation.EDIT, Curation.RETIRE, Curation.QUARANTINE])
DEEDS = st.one_of(
    st.builds(recorded, TRAJECTORIES, st.lists(LESSONS, max_size=3), st.none() | st.just("é")),
    st.builds(curated, CHANGES, st.integers(0, 5)),
    st.builds(searched, TEXTS, st.sampled_from(Outcome)),
    st.builds(superseded, LESSONS),
    st.just(imported),
)


@given(done=st.lists(DEEDS, min_size=1, max_size=6))
@settings(max_examples=examples(40))
def test_a_bundle_brings_a_whole_library_over(done: list[Deed]) -> None:
    with TemporaryDirectory() as folder:
        with fake_library(Path(folder) / "a.db") as first:
            for deed in done:
                try:
                    deed(first)
                except InputError as error:
                    assert "the key" in str(error)  # noqa: PT017  the one that may happen
            before, counts = bundle(first), first.statistics()
        with fake_library(Path(folder) / "b.db") as second:
            made = import_text(second, "".join(before), source="a.jsonl")
            assert (made.total, made.trajectories) == (counts.experiences, counts.trajectories)
            assert bundle(second)[1:] == before[1:]
            again = import_text(second, "".join(before), source="a.jsonl")
            assert (again.total, again.trajectories) == (0, 0)
            assert bundle(second)[1:] == before[1:]


@pytest.fixture
def lived(tmp_path: Path) -> list[str]:
    """The bundle of a library with something of every kind."""
    with fake_library(tmp_path / "lived.db") as library:
        take(library, flex([ENTRY]))
        lesson = Lesson(
            zone=Zone.GOLDEN,
            level=Level.PATTERN,
            title="Pin the compiler",
            when="Before a release.",
            lesson="Pin the compiler version in the build image.",
        )
        library.record(Trajectory(task="Release", outcome=Outcome.SUCCESS), lessons=[lesson])
        found = library.search("Pin the compiler version", abstain=False)
        library.report(found.retrieval_id or "", Outcome.SUCCESS)
        return bundle(library)


def test_a_bundle_holds_every_kind_of_value(lived: list[str]) -> None:
    assert {next(iter(json.loads(line))) for line in lived} == {
        *("flex-mcp", "trajectory", "experience", "revision", "retrieval", "outcome", "entry")
    }


def test_an_imported_bundle_is_searched_like_the_original(
    library: Library, lived: list[str]
) -> None:
    import_text(library, "".join(lived), source="a.jsonl")
    found = library.search("Which compiler version builds the release?")
    assert "Pin the compiler" in [hit.experience.title for hit in found.hits]


def test_a_bundle_whose_times_have_no_offset_is_read_as_utc(
    library: Library, lived: list[str]
) -> None:
    import_text(library, "".join(lived).replace("+00:00", "").replace('Z"', '"'), source="a.jsonl")
    again = bundle(library)
    assert len(again) == len(lived)
    assert not any(one.created_at.utcoffset() for one in library.experiences())
    assert library.search("Which compiler version builds the release?").hits


def test_an_imported_bundle_knows_its_trajectories_and_entries_again(
    library: Library, lived: list[str]
) -> None:
    import_text(library, "".join(lived), source="a.jsonl")
    assert not library.record(Trajectory(task="Release", outcome=Outcome.SUCCESS)).new
    assert take(library, flex([ENTRY])) == {}
    assert exported(library)["golden"][0] == ENTRY


def test_a_bundle_leaves_what_is_here_as_it_is(library: Library, lived: list[str]) -> None:
    import_text(library, "".join(lived), source="a.jsonl")
    edit(library, "compiler", lesson="Pin everything.")
    retire(library, "residues")
    import_text(library, "".join(lived), source="a.jsonl")
    assert by_text(library, "Pin everything").revision == 2
    assert by_text(library, "residues").status is Status.RETIRED


def damaged(line: str) -> dict[str, str]:
    """The same line, spoilt in different ways."""
    kind, content = next(iter(json.loads(line).items()))
    first = next(iter(content))
    return {
        "cut off": line[: len(line) // 2] + "\n",
        "no object": "[]\n",
        "two keys": json.dumps({kind: content, "more": {}}) + "\n",
        "an unknown kind": json.dumps({"thing": content}) + "\n",
        "a field missing": json.dumps({kind: {k: v for k, v in content.items() if k != first}})
        + "\n",
        "a field of another type": json.dumps({kind: content | {first: {"a": 1}}}) + "\n",
    }


DAMAGES = list(damaged('{"x": {"a": 1}}'))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_line_is_named_and_nothing_is_imported(
    library: Library, lived: list[str], damage: str
) -> None:
    for number in (2, len(lived) // 2, len(lived)):
        spoilt = [*lived]
        spoilt[number - 1] = damaged(lived[number - 1])[damage]
        with pytest.raises(
            InputError, match=rf"^a\.jsonl, line {number}(:| ).*nothing was imported"
        ):
            import_text(library, "".join(spoilt), source="a.jsonl")
    assert library.statistics().experiences == 0
    assert library.statistics().trajectories == 0


@pytest.mark.parametrize(
    ("before", "end", "after"),
    [
        ("", "\n\n", ""),
        ("", "\r\n", ""),
        ("", "\n \t\r\n", "\r\n\n"),
        ("\ufeff", "\n", ""),
        ("\ufeff\r\n\n", "\n", "\n\n"),
    ],
)
def test_a_bundle_that_passed_through_an_editor_is_read(
    library: Library, lived: list[str], before: str, end: str, after: str
) -> None:
    text = before + "".join(lived).replace("\n", end) + after
    import_text(library, text, source="a.jsonl")
    assert bundle(library)[1:] == lived[1:]


def test_a_damaged_line_is_counted_as_an_editor_does(library: Library, lived: list[str]) -> None:
    with pytest.raises(InputError, match=r"^a\.jsonl, line 4 is damaged: nothing was imported"):
        import_text(library, f"\n\n{lived[0]}[]\n", source="a.jsonl")


def changed(line: str, **values: Any) -> str:
    ((kind, content),) = json.loads(line).items()
    return json.dumps({kind: content | values}) + "\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", True),
        ("priority", "5"),
        ("priority", 4.5),
        ("priority", 9),
        ("served", float("nan")),
        ("revision", None),
        ("tags", "a tag"),
        ("zone", "silver"),
        ("title", ""),
        ("title", "\ud83d"),
        ("created_at", "yesterday"),
        ("evidence", ["t_1"]),
    ],
)
def test_a_field_of_another_type_is_named_and_nothing_is_imported(
    library: Library, lived: list[str], name: str, value: object
) -> None:
    place = next(n for n, one in enumerate(lived) if one.startswith('{"experience"'))
    spoilt = [*lived[:place], changed(lived[place], **{name: value}), *lived[place + 1 :]]
    with pytest.raises(
        InputError, match=rf"^a\.jsonl, line {place + 1} is (no|damaged)"
    ) as refused:
        import_text(library, "".join(spoilt), source="a.jsonl")
    assert name in str(refused.value) or json.dumps(value) in {"NaN", '"\\ud83d"'}  # no JSON at all
    assert library.statistics().experiences == 0


def test_what_a_bundle_has_that_we_do_not_know_is_said(library: Library, lived: list[str]) -> None:
    more = [lived[0], *(changed(line, mood="good") for line in lived[1:])]
    made = import_text(library, "".join(more), source="a.jsonl")
    assert made.unused["mood of experience"] == made.total > 1
    assert bundle(library)[1:] == lived[1:]


NOTE = "password=aB3xQ9"


def test_a_title_that_redaction_lengthens_keeps_to_its_limit_and_comes_back(
    tmp_path: Path, library: Library
) -> None:
    title = f"{'Use a phrase ' * 7}{NOTE} in the call"
    title += "." * (120 - len(title))
    lesson = Lesson(
        zone=Zone.GOLDEN, level=Level.PATTERN, title="Pin it", when="", lesson="Pin the compiler."
    )
    library.record(Trajectory(task="x", outcome=Outcome.SUCCESS), lessons=[lesson])
    (one,) = library.experiences()
    library.curate(one.id, Curation.EDIT, reason="x", fields=Fields(title=title))
    (one,) = library.experiences()
    assert (one.title.endswith("…"), len(one.title) <= 120) == (True, True)
    unredacted = "".join(bundle(library)).replace(one.title, title)
    assert title in unredacted
    for number, text in enumerate(("".join(bundle(library)), unredacted)):
        with fake_library(tmp_path / f"{number}.db") as other:
            import_text(other, text, source="a.jsonl")
            (found,) = other.experiences()
            assert NOTE not in found.title
            assert len(found.title) <= 120
            again = bundle(other)
        with fake_library(tmp_path / f"{number} again.db") as other:
            assert import_text(other, "".join(again), source="a.jsonl").total == 1


def test_a_title_that_an_earlier_version_lengthened_is_cut(
    library: Library, lived: list[str]
) -> None:
    place = next(n for n, one in enumerate(lived) if one.startswith('{"experience"'))
    longer = [*lived[:place], changed(lived[place], title="a word " * 19), *lived[place + 1 :]]
    import_text(library, "".join(longer), source="a.jsonl")
    assert [len(one.title) for one in library.experiences() if "word" in one.title] == [119]


@pytest.mark.parametrize("kind", ["experience", "retrieval"])
def test_a_bundle_that_names_what_it_does_not_hold_is_refused_in_a_sentence(
    library: Library, lived: list[str], kind: str
) -> None:
    """Such as a bundle from which someone took lines."""
    left = [line for line in lived if not line.startswith('{"experience"')]
    left = [line for line in left if kind == "experience" or not line.startswith('{"revision"')]
    with pytest.raises(InputError, match="nothing was imported"):
        import_text(library, "".join(left), source="a.jsonl")
    assert library.statistics().trajectories == 0


def test_a_retrieval_with_more_hits_than_scores_is_refused_in_a_sentence(
    library: Library, lived: list[str]
) -> None:
    place, line = next((n, one) for n, one in enumerate(lived) if one.startswith('{"retrieval"'))
    content = json.loads(line)
    content["retrieval"]["scores"] = []
    spoilt = [*lived[:place], json.dumps(content) + "\n", *lived[place + 1 :]]
    with pytest.raises(InputError, match=rf"line {place + 1} .*nothing was imported"):
        import_text(library, "".join(spoilt), source="a.jsonl")


def test_a_bundle_of_the_first_format_is_read(library: Library, lived: list[str]) -> None:
    later = {"named", "block", "relevance", "stratum", "origin", "size", "helpful", "harmful"}
    older: list[str] = []
    for line in lived:
        ((kind, content),) = json.loads(line).items()
        new = later - {"origin"} if kind == "experience" else later
        content = {name: value for name, value in content.items() if name not in new}
        if kind != "outcome":
            content |= {"format": 1} if kind == "flex-mcp" else {}
            older.append(json.dumps({kind: content}) + "\n")
    import_text(library, "".join(older), source="a.jsonl")
    assert len(bundle(library)) == len(older)
    assert any(one.served for one in library.experiences())
    assert not any(one.helpful or one.harmful for one in library.experiences())


def test_a_bundle_of_a_later_format_is_refused(library: Library, lived: list[str]) -> None:
    later = [lived[0].replace('"format": 2', '"format": 3'), *lived[1:]]
    with pytest.raises(InputError) as refused:
        import_text(library, "".join(later), source="a.jsonl")
    assert str(refused.value) == (
        "a.jsonl is a bundle of format 3 and this flex-mcp reads up to 2: upgrade flex-mcp"
    )
    assert library.statistics().experiences == 0


# Markdown and files


def test_markdown_is_for_reading(library: Library) -> None:
    take(library, flex([ENTRY]))
    text = "".join(export_library(library, Format.MARKDOWN))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Principles", "## Patterns", "## Instances"]
    for one in library.experiences():
        assert f"### {one.title}\n\n`{one.id}` · golden · math/number theory · priority 5" in text
        assert one.lesson in text
    assert "- 7 mod 3 = 1\n- 2\n" in text
    assert "imported by a.json" in text


def test_markdown_is_refused_on_import(library: Library) -> None:
    text = "".join(export_library(library, Format.MARKDOWN))
    with pytest.raises(InputError) as refused:
        import_text(library, text, source="a.md")
    assert str(refused.value) == (
        "a.md is a Markdown export, for reading: import the JSONL or FLEX file"
    )


@pytest.mark.parametrize("form", Format)
def test_an_export_is_its_owners_alone_and_the_only_file_made(
    library: Library, tmp_path: Path, form: Format
) -> None:
    take(library, flex([ENTRY]))
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "export"
    file.write_text("# Experience library, an earlier one", encoding="utf-8")
    file.chmod(0o644)
    export_file(library, file, form)
    assert os.listdir(folder) == ["export"]  # noqa: PTH208  names are enough
    assert file.stat().st_mode & 0o777 == 0o600
    if form is not Format.FLEX:  # it holds the time of its making
        assert file.read_text(encoding="utf-8") == "".join(export_library(library, form))


def test_an_export_takes_the_place_of_an_earlier_one_and_of_no_other_file_unless_forced(
    library: Library, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ann,", encoding="utf-8")
    with pytest.raises(InputError, match="no export of flex-mcp: name another, or say --force"):
        export_file(library, letter)
    assert letter.read_text(encoding="utf-8") == "Dear Ann,"
    for form in Format:
        export_file(library, letter, form, force=True)
        export_file(library, letter)  # now it is an export


@pytest.mark.parametrize("place", ["a\0b", "x" * 5000])
def test_a_path_that_cannot_be_is_one_sentence(library: Library, place: str) -> None:
    for door in (export_file, import_file):
        with pytest.raises(InputError, match=r"cannot be (written|read): "):
            door(library, Path(place))


def test_an_entry_with_rules_without_end_or_depth_is_refused(library: Library) -> None:
    many = flex([ENTRY | {"rules": ["r"] * 1_001}])
    with pytest.raises(InputError, match="has 1,001 rules; the limit is 1,000"):
        take(library, many)
    deep = '{"library": {"golden": [{"method": ' + "[" * 900 + "]" * 900 + "}]}}"
    with pytest.raises(InputError, match=r"nested too deep|neither a FLEX library"):
        import_text(library, deep, source="deep.json")
    assert library.statistics().experiences == 0


def test_an_export_never_takes_the_place_of_a_database(library: Library, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with open_library(other):
        pass
    before = other.read_bytes()
    for path in (other, Path(library.name)):
        with pytest.raises(
            InputError, match="belongs to a database: name another file for the export"
        ):
            export_file(library, path)
    assert other.read_bytes() == before
    assert library.statistics().experiences == 0


def test_an_export_that_fails_leaves_the_earlier_file_and_no_other(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "export.jsonl"
    export_file(library, file)
    before = file.read_bytes()

    def half(*_: object) -> Iterator[str]:
        yield '{"flex-mcp": '
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flex_mcp.exchange.files.export_bundle", half)
    with pytest.raises(InputError, match=r"export\.jsonl cannot be written: No space left"):
        export_file(library, file)
    assert file.read_bytes() == before
    assert list(folder.iterdir()) == [file]


def test_an_export_into_a_folder_that_is_not_there_is_refused(
    library: Library, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        export_file(library, tmp_path / "nowhere" / "a.jsonl")
    with pytest.raises(InputError, match="is no ordinary file"):
        export_file(library, tmp_path)


def test_what_a_flex_file_holds_beside_its_entries_comes_out_again(library: Library) -> None:
    beside: dict[str, Any] = {
        "version": "2.0",
        "created_at": "2025-01-01T00:00:00+08:00",
        "note": "x",
    }
    beside |= {"config": {"retrieval_weights": {"golden": 0.5}, "extra": 1}}
    entry: dict[str, Any] = {
        "method": "1. Set up. 2. Solve it.",
        "rules": [],
        "revised_trajectory": "",
    }
    content: dict[str, Any] = beside | {"library": {"golden": [entry]}}
    import_text(library, json.dumps(content), source="a.json")
    assert library.experiences()[0].title == "1. Set up."
    out = json.loads("".join(export_library(library, Format.FLEX)))
    assert {key: out[key] for key in beside} == beside


def test_a_bundle_brings_a_trajectory_whose_key_is_taken_here(tmp_path: Path) -> None:
    for name in ("one", "other"):
        with open_library(tmp_path / f"{name}.db") as library:
            work = Trajectory(task=f"task {name}", outcome=Outcome.SUCCESS)
            library.record(work, key="build-1")
            export_file(library, tmp_path / f"{name}.jsonl")
    with open_library(tmp_path / "one.db") as library:
        assert import_file(library, tmp_path / "other.jsonl").trajectories == 1
        with library.reading() as reading:
            found = reading.trajectories.get(reading.trajectories.ids())
    assert [one.task for one in found] == ["task one", "task other"]


def test_a_bundle_with_a_line_twice_is_refused(library: Library, tmp_path: Path) -> None:
    library.record(Trajectory(task="a task", outcome=Outcome.SUCCESS))
    text = "".join(export_library(library))
    with open_library(tmp_path / "other.db") as other:
        with pytest.raises(InputError, match="holds a line twice"):
            import_text(other, text + text.split("\n", 1)[1], source="a.jsonl")
        assert other.statistics().trajectories == 0


def test_an_entry_that_was_damaged_in_the_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with fake_library(path) as library:
        import_text(library, flex([ENTRY]), source="a.json")
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE entries SET json = '{\"method\" 1'")
    connection.close()
    with (
        fake_library(path) as library,
        pytest.raises(NotALibraryError, match="is damaged: export it as jsonl"),
    ):
        "".join(export_library(library, Format.FLEX))
