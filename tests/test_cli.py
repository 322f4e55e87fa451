"""The terminal's door: what it prints, where, and with which exit code; and what it refuses."""

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import click
import platformdirs
import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot
from support.client import connected, text_of
from support.stdio_server import initialized, served
from support.terminal import done, done_json, process, refused, run

from flex_mcp import __version__, open_library
from flex_mcp.cli.main import main
from flex_mcp.models import Curation, Level, Zone
from flex_mcp.storage.sqlite.file import MIGRATIONS

LESSON = {
    "zone": "golden",
    "level": "pattern",
    "title": "Pin the compiler",
    "when": "Before a release.",
    "lesson": "Pin the compiler version in the build image.",
}
WORK = {"task": "Release the compiler → now", "outcome": "success", "lessons": [LESSON]}
QUERY = "Which compiler version builds the release?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A library with one experience."""
    file = tmp_path / "a library.db"
    done("record", "--library", str(file), stdin=json.dumps(WORK))
    return file


@pytest.fixture
def at(path: Path) -> tuple[str, str]:
    """The option that names it."""
    return ("--library", str(path))


def the_id(*at: str) -> str:
    (one,) = done_json("list", *at)["experiences"]
    return one["id"]


# What each command does


def test_search_finds_and_says_that_nothing_fits(at: tuple[str, str]) -> None:
    assert "Pin the compiler" in done("search", *QUERY.split(), *at)
    assert done("search", "begonias", "in", "shade", *at).startswith("Nothing relevant")


def test_search_narrows_by_zone_level_and_domain(at: tuple[str, str]) -> None:
    def hits(*options: str) -> int:
        return len(done_json("search", QUERY, *options, *at)["hits"])

    assert hits("--zone", "golden", "--zone", "mixed", "--level", "pattern") == 1
    assert hits("--zone", "warning") == 0
    assert hits("--level", "instance") == 0
    assert hits("--domain", "python") == 0


def test_search_detailed_gives_whole_lessons(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    long = WORK | {"lessons": [LESSON | {"lesson": "Pin the compiler version. " * 300}]}
    done("record", *at, stdin=json.dumps(long))
    assert done_json("search", QUERY, *at)["hits"][0]["truncated"]
    assert not done_json("search", QUERY, "--detailed", *at)["hits"][0]["truncated"]


def test_show_gives_whole_experiences_and_says_which_are_not_here(at: tuple[str, str]) -> None:
    id_ = the_id(*at)
    text = done("show", id_, "e_unknown", id_, *at)
    assert text.count(f"({id_})") == 1
    assert LESSON["lesson"] in text
    assert "Not here: e_unknown." in text
    assert "1 add by command line" in text


def test_list_is_newest_first_and_narrows(at: tuple[str, str]) -> None:
    other = LESSON | {"zone": "warning", "title": "Never guess", "lesson": "Do not guess a sign."}
    done("record", *at, stdin=json.dumps(WORK | {"task": "x", "lessons": [other]}))

    def titles(*options: str) -> list[str]:
        return [one["title"] for one in done_json("list", *options, *at)["experiences"]]

    assert titles() == ["Never guess", "Pin the compiler"]
    assert titles("--limit", "1") == ["Never guess"]
    assert titles("--zone", "golden", "--level", "pattern") == ["Pin the compiler"]
    assert titles("--status", "retired") == []
    assert len(done("list", *at).splitlines()) == 2
    assert titles("--domain", "cooking") == []
    assert done("list", "--zone", "mixed", *at) == "Nothing fits.\n"


def as_an_array(items: list[Any]) -> str:
    return json.dumps(items, indent=2)


def as_lines(items: list[Any]) -> str:
    return "\n\n".join(map(json.dumps, items)) + "\n"


@pytest.mark.parametrize("form", [as_an_array, as_lines])
@pytest.mark.parametrize("by", ["file", "stdin"])
def test_record_takes_several_trajectories(
    tmp_path: Path, form: Callable[[list[Any]], str], by: str
) -> None:
    file, at = tmp_path / "work.json", ("--library", str(tmp_path / "library.db"))
    text = form([{"task": f"Task {number} é", "outcome": "failure"} for number in range(3)])
    file.write_text(text, encoding="utf-8")
    if by == "file":
        recorded = done_json("record", str(file), *at)["recorded"]
    else:
        recorded = done_json("record", *at, stdin=text)["recorded"]
    assert [one["state"] for one in recorded] == ["pending"] * 3
    assert done_json("stats", *at)["trajectories"] == 3


def test_a_line_ends_where_json_lines_do(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    items = [{"task": f"Task\u2028{number}\x85", "outcome": "failure"} for number in range(2)]
    text = "\r\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    assert len(done_json("record", *at, stdin=text)["recorded"]) == 2


def test_record_checks_all_before_any_is_recorded(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    sentence = refused("record", *at, stdin=json.dumps([WORK, {"task": "x", "outcome": "won"}]))
    assert sentence == (
        "object 2: outcome cannot be 'won'; it is one of: success, failure, partial, unknown; "
        "nothing was recorded"
    )
    assert not (tmp_path / "library.db").exists()


def test_what_is_wrong_with_one_only_when_it_is_recorded_is_not_the_others_loss(
    tmp_path: Path,
) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    works = [{"task": f"Task {n}", "outcome": "failure", "key": str(n % 2)} for n in range(4)]
    sentence = refused("record", *at, stdin=json.dumps(works))
    assert re.sub(r"t_\w+", "t_…", sentence) == (
        "object 3: the key '0' is taken by t_…, whose task differs: use another key, or leave it "
        "out; object 4: the key '1' is taken by t_…, whose task differs: use another key, or leave "
        "it out; the others were recorded"
    )
    assert done_json("stats", *at)["trajectories"] == 2


def test_record_reads_what_models_write(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    lesson = {"zone": "Golden", "level": "pattern", "title": "T", "when": "", "lesson": "L"}
    step = json.dumps({"kind": "action", "content": "make", "name": None})
    work = {"task": "T", "outcome": "SUCCESS", "steps": [step], "transcript": "", "key": "null"}
    written = work | {"score": "", "lessons": json.dumps(lesson | {"tags": "a, b", "domain": ""})}
    (decision,) = done_json("record", *at, stdin=json.dumps(written))["decisions"]
    assert decision["decision"] == "add"
    (shown,) = done_json("show", decision["experience_id"], *at)["experiences"]
    assert (shown["tags"], shown.get("domain")) == (["a", "b"], None)


def test_a_person_empties_a_field_with_an_empty_option(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    lesson = {"zone": "golden", "level": "pattern", "title": "T", "when": "w", "lesson": "L"}
    work = {"task": "T", "outcome": "success", "lessons": [lesson | {"domain": "d"}]}
    (decision,) = done_json("record", *at, stdin=json.dumps(work))["decisions"]
    id_ = decision["experience_id"]
    done("curate", id_, "edit", "--domain", "", "--when", "", *at)
    (shown,) = done_json("show", id_, *at)["experiences"]
    assert (shown["when"], shown.get("domain")) == ("", None)


def test_record_of_nothing_is_done(at: tuple[str, str]) -> None:
    assert done("record", *at, stdin="[]") == "Nothing to record.\n"


def test_curate_changes_one_experience_and_its_history(at: tuple[str, str]) -> None:
    id_ = the_id(*at)
    edit = ("--lesson", "Pin it.", "--tag", "a", "--tag", "b", "--priority", "5", "--zone", "mixed")
    edited = done_json("curate", id_, "edit", *edit, "--reason", "shorter", *at)
    assert {"lesson": "Pin it.", "tags": ["a", "b"], "priority": 5, "zone": "mixed"}.items() <= (
        edited["experience"].items()
    )
    assert edited["revision"]["reason"] == "shorter"
    assert edited["experience"]["title"] == LESSON["title"]
    reverted = done_json("curate", id_, "revert", "--revision", "2", *at)
    assert reverted["experience"]["lesson"] == LESSON["lesson"]
    for action, status in [
        ("quarantine", "quarantined"),
        ("retire", "retired"),
        ("restore", "active"),
    ]:
        assert done_json("curate", id_, action, *at)["experience"]["status"] == status


def test_a_library_goes_out_and_into_another(at: tuple[str, str], tmp_path: Path) -> None:
    file, other = tmp_path / "out.jsonl", ("--library", str(tmp_path / "other.db"))
    assert done_json("export", str(file), *at) == {"file": str(file), "format": "jsonl"}
    assert done("export", *at) == file.read_text(encoding="utf-8")
    made = done_json("import", str(file), *other)
    assert made == {
        "added": {"pattern": {"golden": 1}},
        "total": 1,
        "already": 0,
        "trajectories": 1,
        "redacted": None,
        "quarantined": 0,
    }
    assert "had 1 already" in done("import", str(file), *other)
    assert the_id(*other) == the_id(*at)


def test_export_has_three_forms(at: tuple[str, str]) -> None:
    assert json.loads(done("export", "--format", "flex", *at))["version"] == "2.0"
    assert done("export", "--format", "markdown", *at).startswith("# Experience library")
    assert done("export", "-", "--format", "jsonl", *at).startswith('{"flex-mcp"')


def test_stats_count_and_name_the_library(at: tuple[str, str]) -> None:
    counts = done_json("stats", *at)
    assert counts["library"] == at[1]
    assert (counts["by_level"], counts["by_state"]) == ({"pattern": 1}, {"distilled": 1})
    assert counts["vectors"]["embedder"] == "ours"
    assert "Pin the compiler" in done("stats", *at)


def test_reindex_makes_the_vectors_anew(at: tuple[str, str]) -> None:
    assert done_json("reindex", *at)["experiences"] == 1
    assert done("reindex", "--embedder", "static", *at).startswith("1 experiences have vectors")
    assert done_json("search", QUERY, *at)["hits"]


# One answer for both doors


def shape(value: Any) -> Any:
    """The keys of an answer, however deep."""
    if isinstance(value, dict):
        return {str(key): shape(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, list):
        return [shape(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return None


@pytest.mark.anyio
async def test_json_is_the_structured_content_of_the_tool_of_that_name(
    path: Path, at: tuple[str, str]
) -> None:
    id_ = the_id(*at)
    shown = done_json("show", id_, *at)
    found = done_json("search", QUERY, *at)
    again = {"task": "again", "outcome": "failure", "lessons": [LESSON]}
    recorded = done_json("record", *at, stdin=json.dumps(again))
    curated = done_json("curate", id_, "quarantine", *at)
    async with connected(path.with_name("the same.db")) as client:

        async def tool(name: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, text_of(result)
            return result.structured_content

        first = await tool("record_trajectory", **WORK)
        same_id = first["decisions"][0]["experience_id"]
        assert shape(shown) == shape(await tool("get_experience", ids=[same_id]))
        same = await tool("search_experience", query=QUERY)
        assert shape(found) == shape(same)
        assert found["hits"][0] | {"id": ""} == same["hits"][0] | {"id": ""}
        assert shape(recorded) == shape(await tool("record_trajectory", **again))
        quarantine = {"id": same_id, "action": "quarantine", "reason": "by hand"}
        assert shape(curated) == shape(await tool("curate_experience", **quarantine))


# Which library


def test_the_option_beats_the_variable_which_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = Path(platformdirs.user_data_dir("flex-mcp", appauthor=False)) / "library.db"
    done("record", stdin=json.dumps(WORK))
    assert done_json("stats")["library"] == str(default)
    assert default.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("FLEX_MCP_LIBRARY", str(tmp_path / "variable.db"))
    done("record", stdin=json.dumps(WORK))
    assert done_json("stats")["library"] == str(tmp_path / "variable.db")
    option = ("--library", str(tmp_path / "option.db"))
    done("record", *option, stdin=json.dumps(WORK))
    assert done_json("stats", *option)["library"] == str(tmp_path / "option.db")


def test_home_and_relative_paths_are_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, meant in (("~/a.db", Path.home() / "a.db"), ("b/c.db", tmp_path / "b" / "c.db")):
        done("record", "--library", path, stdin=json.dumps(WORK))
        assert done_json("stats", "--library", path)["library"] == str(meant)
        assert meant.exists()


PLACES = [
    "${workspaceFolder}/l.db",
    "C:\\Users\\me\\l.db",
    "x" * 300,
    "file:///l.db",
    '"l.db"',
    "l/",
]


@pytest.mark.anyio
@pytest.mark.parametrize("place", PLACES)
async def test_a_place_that_cannot_be_meant_is_refused_at_both_doors_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = refused("record", "--library", place, stdin=json.dumps(FULL))
    assert place[:200] in sentence
    async with connected(place) as client:
        assert len((await client.list_tools()).tools) == 7
        result = await client.call_tool("record_trajectory", FULL)
        assert (result.is_error, text_of(result)) == (True, sentence)
    monkeypatch.setenv("FLEX_MCP_LIBRARY", place)
    for command in (("record",), ("stats",), ("search", "x"), ("backup",), ("export",)):
        assert place[:200] in refused(*command, stdin=json.dumps(FULL))
    assert is_empty(tmp_path)


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def test_a_library_whose_name_leaves_no_room_for_what_lies_beside_it_is_not_made(
    tmp_path: Path,
) -> None:
    deep = Path(*["d" * 99] * 5) / "l.db"
    for place, why in ((Path("x" * 250), "File name too long"), (deep, "more than 504 bytes")):
        says = refused("record", "--library", tmp_path / place, stdin=json.dumps(WORK))
        assert f"cannot be made ({why}" in says or f"its path has {why}" in says
    assert list(tmp_path.iterdir()) == []


def test_the_library_may_stand_before_the_command_and_the_later_one_counts(
    at: tuple[str, str], tmp_path: Path
) -> None:
    assert done_json(*at, "stats")["library"] == at[1]
    other = str(tmp_path / "other.db")
    done("record", "--library", other, stdin=json.dumps(WORK))
    assert done_json(*at, "stats", "--library", other)["library"] == other


@pytest.mark.parametrize(
    "command",
    [
        ("search", "a task"),
        ("show", "e_aaaaaaaaaaaa"),
        ("list",),
        ("curate", "e_aaaaaaaaaaaa", "approve"),
        ("export",),
        ("export", "out.jsonl"),
        ("log",),
        ("stats",),
        ("reindex",),
        ("distill",),
        ("backup",),
        ("backup", "copy.db"),
        ("forget", "t_aaaaaaaaaaaa", "--dry-run"),
        ("forget", "t_aaaaaaaaaaaa", "--yes"),
        ("forget", "--finish"),
    ],
)
def test_what_works_on_a_library_begins_none_at_a_path_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a key")
    (tmp_path / "empty.db").touch()
    for name in ("no/library.db", "empty.db"):
        sentence = refused(*command, "--library", name)
        assert sentence == (
            f"there is no library {tmp_path / name} yet: begin one with `flex-mcp record`, "
            "`flex-mcp import` or a client (`flex-mcp install`), or check --library and "
            "FLEX_MCP_LIBRARY"
        )
    assert [(one.name, one.stat().st_size) for one in tmp_path.iterdir()] == [("empty.db", 0)]


def test_the_embedders_are_listed_before_there_is_a_library(tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    assert f"what {new} uses, or will when it is made" in done(
        "embedder", "list", "--library", str(new)
    )
    assert not new.exists()


def test_a_bundle_begins_a_library(at: tuple[str, str], tmp_path: Path) -> None:
    bundle, new = str(tmp_path / "bundle.jsonl"), ("--library", str(tmp_path / "new.db"))
    done("export", bundle, *at)
    done("import", bundle, *new)
    assert done_json("stats", *new)["trajectories"] == 1


# Help


def test_help_says_what_there_is() -> None:
    assert done("--help") == snapshot("""\
Usage: flex-mcp [OPTIONS] [COMMAND] [ARGS]...

  An experience library for any assistant: lessons from earlier work, found when
  needed.

  Without a command it serves MCP over stdio, which is what a client starts; at
  a terminal it says what to do next. Try `flex-mcp demo` first; then `flex-mcp
  COMMAND --help`.

  FLEX_MCP_LIBRARY        the library's file
  FLEX_MCP_EMBEDDER       ours (the default), static or fastembed:MODEL
  FLEX_MCP_EMBEDDER_PATH  a folder with that model's files
  FLEX_MCP_DISTILLER      who writes lessons: auto, anthropic, sampling, assistant
  FLEX_MCP_MODEL          the model asked with ANTHROPIC_API_KEY, at ANTHROPIC_BASE_URL
  FLEX_MCP_PROJECT        the project that you work on, instead of the git repository's name
  FLEX_MCP_PROMPTS        a folder with prompts of your own

Options:
  --version       Show the version and exit.
  --library PATH  The library's file. Default: FLEX_MCP_LIBRARY, or library.db
                  in your data folder.
  --help          Show this message and exit.

To begin:
  demo          Watch it learn from two real pieces of work.
  install       Put flex-mcp into the configuration of CLIENT.

Look:
  web           Open the library in a browser: see, search, correct.
  search        Find lessons for a task, in your own words.
  list          List experiences, newest first.
  show          Show experiences or trajectories whole.
  trajectories  List trajectories, what was tried, newest first.
  domains       List the domains and what stands under each, or rename one.
  projects      List the projects and what is of each, or rename one.
  stats         Count what the library holds, or what happened week by week.
  log           Tell who wrote what, and when, newest first.

Learn:
  record        Record trajectories from a JSON FILE, or stdin.
  distill       Turn pending trajectories into lessons by a model.
  add           Add a lesson that you know.

Curate:
  review        Go through what is worth a look, one thing at a time.
  curate        Approve, retire, restore, edit or revert lessons, one or many.
  edit          Edit a lesson in your editor.
  merge         Merge one lesson into another.
  forget        Delete trajectories or experiences, and what stems from them.

In and out:
  import        Take in a library: FLEX's JSON, or what `export` has written.
  export        Write the library to FILE, or to stdout.
  backup        Copy the library to FILE while others write.
  restore       Go back to the backup FILE; what is there now is kept.

Care:
  doctor        Check the installation, the library and the clients.
  embedder      See what turns texts into vectors, and choose a better model.
  reindex       Make all vectors anew, for another embedder or version.
  prompts       See what the models are asked.

Clients:
  serve         Serve MCP over stdio, as a client starts it, or over HTTP.
  uninstall     Take flex-mcp out of the configuration of CLIENT.
  completion    Print what lets SHELL complete what you type.
""")


def test_every_command_stands_in_the_help_in_one_whole_line() -> None:
    commands = done("--help").partition("\nTo begin:")[2]
    lines = {line.split()[0]: line for line in commands.splitlines() if line.startswith("  ")}
    assert lines.keys() == main.commands.keys()
    assert max(map(len, lines.values())) <= 80
    assert not [line for line in lines.values() if line.endswith("...")]


def test_a_command_of_no_group_stands_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.commands, "odd", click.Command("odd", help="Do it."))
    assert done("--help").endswith("\n\nMore:\n  odd           Do it.\n")


WITHOUT = {"completion", "embedder", "prompts", "uninstall"}  # they need no library
COMMANDS = sorted(set(main.commands) - WITHOUT)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_explains_itself(name: str) -> None:
    command = main.commands[name]
    assert len((command.help or "").split()) > 3
    assert done(name, "--help").startswith(f"Usage: flex-mcp {name} ")
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert {"library"} <= {one.name for one in options}
    assert name in {"serve", "web"} or "as_json" in {one.name for one in options}
    itself = {"zones", "levels", "statuses", "limit", "when", "lesson", "domain", "priority"}
    itself |= {"zone", "level"}
    assert [one.name for one in options if not one.help and one.name not in itself] == []


ENCODINGS = ["latin-1", "cp437", "koi8-r", "cp1252", "ascii"]
LETTERS = "é → 🚀 日本 ж ﬁ ￼"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_is_told_in_any_encoding(encoding: str) -> None:
    runner = CliRunner(charset=encoding)
    names = [(), *((name,) for name in main.commands), ("embedder", "use"), ("prompts", "show")]
    for name in names:
        result = runner.invoke(main, [*name, "--help"], prog_name="flex-mcp")
        assert (result.exit_code, result.exception) == (0, None), name
        assert "Usage: flex-mcp" in result.stdout


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_answers_are_told_in_any_encoding_and_json_stays_json(
    tmp_path: Path, encoding: str
) -> None:
    at = ("--library", str(tmp_path / "l.db"))
    lesson = LESSON | {"title": f"Pin {LETTERS}", "domain": "ж/é"}
    done("record", *at, stdin=json.dumps({**WORK, "task": LETTERS, "lessons": [lesson]}))
    id_, runner = the_id(*at), CliRunner(charset=encoding)
    for words in (("list",), ("show", id_), ("search", "compiler"), ("stats",), ("log",)):
        result = runner.invoke(main, [*words, *at])
        assert (result.exit_code, result.exception) == (0, None), words
        result = runner.invoke(main, [*words, *at, "--json"])
        told = json.loads(result.stdout_bytes.decode(encoding))
        again = done_json(*words, *at)
        assert told.keys() == again.keys()
        if words[0] in {"list", "show"}:
            assert told["experiences"][0]["title"] == lesson["title"]
    result = runner.invoke(main, ["show", "e_é→", *at])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    exported = runner.invoke(main, ["export", *at]).stdout_bytes
    (tmp_path / "out.jsonl").write_bytes(exported)
    done("import", tmp_path / "out.jsonl", "--library", tmp_path / "other.db")
    assert done("list", "--library", tmp_path / "other.db") == done("list", *at)


def test_choices_are_the_words_that_the_tools_take() -> None:
    for option in (f"--zone [{'|'.join(Zone)}]", f"--level [{'|'.join(Level)}]"):
        assert option in done("search", "--help")
    assert "|".join(Curation) in "".join(done("curate", "--help").split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search", "x", "--zone", "gold"), ("gold", "golden", "warning", "mixed")),
        (("curate", "e_x", "delete"), ("delete", "retire", "restore")),
        (("export", "--format", "xml"), ("xml", "jsonl", "flex", "markdown")),
        (("list", "--limit", "0"), ("0", "limit")),
        (("search",), ("QUERY",)),
        (("nothing",), ("nothing",)),
        (("record", "no such file"), ("no such file",)),
    ],
)
def test_what_the_command_line_cannot_read_is_refused_with_what_it_can(
    arguments: tuple[str, ...], says: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(word in result.stderr for word in says), result.stderr


# Bad input, through both doors


class Case(NamedTuple):
    """One kind of bad input; the command has no arguments where the line cannot say it."""

    tool: str
    given: dict[str, Any]
    sentence: str
    command: tuple[str, ...] = ()
    stdin: str | None = None


def bad_record(given: dict[str, Any], sentence: str) -> Case:
    said = f"{sentence}; nothing was recorded"
    return Case("record_trajectory", given, said, ("record",), json.dumps(given))


LONG = "x" * 20_001
FULL = {"task": "x", "outcome": "success"}
RECORD = (
    "it takes task, outcome, steps, transcript, answer, feedback, score, verified_by, "
    "domain, project, agent, retrieval_ids, helpful, harmful, lessons, key"
)
CASES = {
    "an empty query": Case(
        "search_experience", {"query": " "}, "query is empty: say it in words", ("search", " ")
    ),
    "a query that is too long": Case(
        "search_experience",
        {"query": LONG},
        "query has 20,001 characters; the limit is 20,000: shorten it",
        ("search", LONG),
    ),
    "a limit that is too large": Case(
        "search_experience",
        {"query": "x", "limit": 21},
        "limit is too large; it must be at most 20",
        ("search", "x", "--limit", "21"),
    ),
    "an unknown zone": Case(
        "search_experience",
        {"query": "x", "zones": ["gold"]},
        "zones[0] cannot be 'gold'; it is one of: golden, warning, mixed",
    ),
    "an unknown argument": Case(
        "search_experience",
        {"query": "x", "color": "red"},
        "there is no argument 'color'; it takes query, domain, project, all_projects, zones, levels, limit, detail",
    ),
    "an unknown experience": Case(
        "get_experience",
        {"ids": ["e_unknown"]},
        "there is no experience e_unknown: a search gives ids",
        ("show", "e_unknown"),
    ),
    "an unknown experience to curate": Case(
        "curate_experience",
        {"id": "e_unknown", "action": "retire", "reason": "x"},
        "there is no experience 'e_unknown': a search gives ids",
        ("curate", "e_unknown", "retire"),
    ),
    "eleven experiences": Case(
        "get_experience",
        {"ids": [f"e_{n}" for n in range(11)]},
        "ids has 11 items; the limit is 10: send fewer",
        ("show", *(f"e_{n}" for n in range(11))),
    ),
    "an unknown brief": Case(
        "save_lessons",
        {"brief_id": "b_unknown", "lessons": []},
        "there is no brief 'b_unknown': distill gives one",
    ),
    "an unknown trajectory": Case(
        "distill",
        {"trajectory_ids": ["t_unknown"]},
        "there is no trajectory t_unknown: record_trajectory gives ids",
    ),
    "an unknown retrieval": Case(
        "report_outcome",
        {"retrieval_id": "r_unknown", "outcome": "success"},
        "there is no retrieval 'r_unknown' (one that was cut off is not kept): name that of "
        "a search_experience answer, or none",
    ),
    "an empty task": bad_record(FULL | {"task": ""}, "task is empty: say it in words"),
    "a task that is too long": bad_record(
        FULL | {"task": LONG}, "task has 20,001 characters; the limit is 20,000: shorten it"
    ),
    "a missing field": bad_record({"task": "x"}, "outcome is missing: give it too"),
    "an unknown field": bad_record(
        FULL | {"steps_taken": []}, f"there is no argument 'steps_taken'; {RECORD}"
    ),
    "an unknown outcome": bad_record(
        FULL | {"outcome": "won"},
        "outcome cannot be 'won'; it is one of: success, failure, partial, unknown",
    ),
    "steps and a transcript": bad_record(
        FULL | {"steps": [{"kind": "thought", "content": "y"}], "transcript": "x"},
        "give steps or transcript, not both: they are two forms of the same text",
    ),
    "a trajectory of more than 5 MiB": bad_record(
        FULL | {"transcript": "x" * (5 * 1024 * 1024 + 1)},
        "the trajectory has 5,242,881 bytes; the limit is 5,242,880 (5 MiB): leave out long "
        "outputs that taught nothing",
    ),
    "too many lessons": bad_record(
        FULL | {"lessons": [LESSON] * 51}, "lessons has 51 items; the limit is 50: send fewer"
    ),
}


def counts(path: Path) -> tuple[int, int, int]:
    with open_library(path) as library:
        found = library.statistics()
        return found.trajectories, found.experiences, found.revisions


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
async def test_bad_input_is_refused_with_a_sentence_and_changes_nothing(
    path: Path, at: tuple[str, str], case: Case
) -> None:
    before = counts(path)
    async with connected(path) as client:
        result = await client.call_tool(case.tool, case.given)
    assert result.is_error
    assert result.structured_content is None
    assert text_of(result) == case.sentence.removesuffix("; nothing was recorded")
    if case.command:
        sentence = refused(*case.command, *at, stdin=case.stdin)
        said = case.sentence.removesuffix("; nothing was recorded")
        assert sentence in {
            case.sentence,
            said,
            said.replace("search_experience", "`flex-mcp list`"),
        }
    assert counts(path) == before


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        ("", "there is nothing to record: give an object with task and outcome"),
        (
            '{"task": "x"\n',
            "line 1 is no JSON: give one object, an array of them, or one a line",
        ),
        (
            f"{json.dumps(FULL)}\nnonsense",
            "line 2 is no JSON: give one object, an array of them, or one a line",
        ),
        ('["x"]', "the object cannot be 'x'; it must be an object; nothing was recorded"),
        (
            "[" * 200_000,
            "line 1 is no JSON: give one object, an array of them, or one a line",
        ),
        (
            json.dumps(FULL | {"answer": "\ud83d"}),
            "a text holds half of a surrogate pair: send valid Unicode; nothing was recorded",
        ),
    ],
    ids=["nothing", "no JSON", "a bad line", "no object", "nested too deep", "half a surrogate"],
)
def test_what_is_no_trajectory_is_refused_with_a_sentence(
    path: Path, at: tuple[str, str], stdin: str, sentence: str
) -> None:
    before = counts(path)
    assert refused("record", *at, stdin=stdin) == sentence
    assert counts(path) == before


NO_IDS = ["\r\n", "", " ", "e_\x1b[31m", "t_aaaaaaaaaaaa\n", "é" * 99]


@pytest.mark.parametrize("id_", NO_IDS)
def test_what_can_be_no_id_is_shown_in_quotes(
    at: tuple[str, str], monkeypatch: pytest.MonkeyPatch, id_: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    for words in (("distill", id_), ("show", id_), ("forget", id_, "--yes")):
        says = refused(*words, *at)
        assert (repr(id_)[:57] if id_.strip() else "at least one") in says or words[0] != "show"
        assert says.isprintable()


def test_a_file_that_is_no_text_is_refused(at: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "latin.json"
    file.write_bytes(b'{"task": "\xe9"}')
    assert refused("record", str(file), *at) == f"{file} is not UTF-8 text: nothing was recorded"
    assert refused("import", str(file), *at) == f"{file} is not UTF-8 text: nothing was imported"


# Libraries that cannot be used


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@contextmanager
def newer(path: Path) -> Generator[str]:
    with apsw.Connection(str(path)) as db:
        db.pragma("user_version", 99)
    db.close()
    yield (
        f"the library {path} has schema 99, and this is {__version__}, which knows up to schema "
        f"{len(MIGRATIONS)}: upgrade flex-mcp"
    )


@contextmanager
def no_library(path: Path) -> Generator[str]:
    path.write_text("These are my notes.\n" * 100, encoding="utf-8")
    yield (
        f"{path} is damaged or no library of flex-mcp; it was left as it is: "
        f"mend it with `flex-mcp doctor --repair --library {path}`, go back to a copy with "
        "`flex-mcp restore`, or name another with --library or FLEX_MCP_LIBRARY"
    )


@contextmanager
def of_another_program(path: Path) -> Generator[str]:
    path.unlink()
    with apsw.Connection(str(path)) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()
    yield (
        f"{path} is an SQLite file of another program; it was left as it is: "
        "name another with --library or FLEX_MCP_LIBRARY"
    )


@contextmanager
def a_folder(path: Path) -> Generator[str]:
    path.unlink()
    path.mkdir()
    yield f"the library {path} is a folder: name a file in it"


@contextmanager
def locked(path: Path) -> Generator[str]:
    db = apsw.Connection(str(path))
    db.execute("BEGIN IMMEDIATE")
    yield f"the library {path} is locked by another process (waited 0 s): try again in a moment"
    db.close()


@pytest.mark.anyio
@pytest.mark.parametrize("state", [newer, no_library, of_another_program, a_folder, locked])
async def test_a_library_that_cannot_be_used_is_refused_and_left_as_it_is(
    path: Path,
    at: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    state: Callable[[Path], Any],
) -> None:
    monkeypatch.setattr("flex_mcp.storage.sqlite.file.BUSY_SECONDS", 0)
    with state(path) as sentence:
        before = content(path)
        async with connected(path) as client:
            result = await client.call_tool("record_trajectory", FULL)
            assert (result.is_error, text_of(result)) == (True, sentence)
        assert refused("record", *at, stdin=json.dumps(FULL)) == sentence
        assert content(path) == before


def test_a_locked_library_is_searched_all_the_same(
    path: Path, at: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flex_mcp.storage.sqlite.file.BUSY_SECONDS", 0)
    with locked(path):
        assert done_json("search", QUERY, *at)["hits"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "fastembed:BAAI/bge-small-en-v1.5",
            (
                "the model 'BAAI/bge-small-en-v1.5' is not on this machine: run "
                "`flex-mcp embedder use BAAI/bge-small-en-v1.5` with a network to fetch it, or add "
                "--path FOLDER where its files are"
            ),
        ),
        (
            "fastembed:nobody/nothing",
            (
                "fastembed knows no model 'nobody/nothing': take BAAI/bge-small-en-v1.5, or "
                "another that `flex-mcp embedder list --all` names"
            ),
        ),
        (
            "openai",
            (
                "there is no embedder 'openai': set FLEX_MCP_EMBEDDER to ours, static or "
                "fastembed:MODEL, such as fastembed:BAAI/bge-small-en-v1.5, and run "
                "`flex-mcp reindex`"
            ),
        ),
    ],
)
async def test_an_embedder_that_cannot_be_used_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.setenv("FLEX_MCP_EMBEDDER", name)
    path = tmp_path / "new.db"
    async with connected(path) as client:
        result = await client.call_tool("search_experience", {"query": "x"})
        assert (result.is_error, text_of(result)) == (True, sentence)
    assert refused("search", "x", "--library", str(path)) == sentence


def test_another_embedder_than_the_librarys_is_refused_with_what_to_do(
    at: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_EMBEDDER", "fastembed:BAAI/bge-small-en-v1.5")
    assert refused("search", "x", *at) == (
        "this library's vectors were made by 'ours' and FLEX_MCP_EMBEDDER asks for "
        "'fastembed:BAAI/bge-small-en-v1.5': run `flex-mcp reindex` to make them anew, or unset it"
    )


def test_a_reindex_to_no_embedder_is_refused_and_the_library_goes_on(at: tuple[str, str]) -> None:
    assert refused("reindex", "--embedder", "openai", *at).startswith("there is no embedder")
    assert done_json("search", QUERY, *at)["hits"]


def test_an_import_of_another_file_is_refused(path: Path, at: tuple[str, str]) -> None:
    before = counts(path)
    assert refused("import", str(path), *at) == (
        f"{path} is a database: export it, or name it with --library"
    )
    assert refused("export", str(path), *at) == (
        f"{path} belongs to a database: name another file for the export"
    )
    assert counts(path) == before


def test_a_home_that_nobody_has_is_refused() -> None:
    assert "~nobody-of-this-name" in refused("stats", "--library", "~nobody-of-this-name/a.db")


# Real processes


@pytest.mark.process
def test_a_process_records_searches_and_answers_on_stdout_only(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    recorded = process("record", "--json", *at, stdin=json.dumps(WORK))
    assert (recorded.returncode, recorded.stderr) == (0, "")
    assert json.loads(recorded.stdout)["state"] == "distilled"
    found = process("search", "--json", QUERY, *at)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["hits"][0]["title"] == "Pin the compiler"


@pytest.mark.process
def test_a_process_that_is_refused_says_so_in_one_line_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "library.db"
    file.write_text("no library", encoding="utf-8")
    refusal = process("stats", "--library", str(file))
    assert (refusal.returncode, refusal.stdout) == (2, "")
    assert refusal.stderr.startswith(f"flex-mcp: {file} is damaged or no library")
    assert refusal.stderr.count("\n") == 1


@pytest.mark.process
def test_a_terminal_that_cannot_show_a_letter_is_no_obstacle(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where what is redirected is in the code page of the machine."""
    at = ("--library", str(path))
    arrow = LESSON | {"title": "First → then", "lesson": "Measure the arrow first."}
    done("record", *at, stdin=json.dumps(WORK | {"task": "y", "lessons": [arrow]}))
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    listed = process("list", *at)
    assert listed.returncode == 0, listed.stderr
    assert "Pin the compiler" in listed.stdout


@pytest.mark.process
def test_a_server_with_an_unfilled_place_shakes_hands_and_says_it_at_each_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with served(Path("${workspaceFolder}/l.db")) as pipes:
        assert initialized(pipes)["serverInfo"]["name"] == "flex-mcp"
        for tool, given in (("search_experience", {"query": "x"}), ("record_trajectory", FULL)):
            result = pipes.ask("tools/call", name=tool, arguments=given)["result"]
            assert result["isError"]
            assert "and nothing here fills in ${workspaceFolder}" in result["content"][0]["text"]
        assert pipes.process.stdin
        pipes.process.stdin.close()
        assert pipes.process.stderr
        assert pipes.process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_help_is_told_by_a_process_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "koi8-r")
    told = process("--help")
    assert (told.returncode, told.stderr) == (0, "")
