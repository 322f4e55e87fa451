"""The terminal as a person has it: lists, ids by their beginning, what changed; and how it looks."""

import json
import re
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.fakes import a_lesson, a_trajectory, add
from support.terminal import (
    ESCAPES,
    Screen,
    completed,
    done,
    done_json,
    on_screen,
    process,
    refused,
    run,
)

from flex_mcp import open_library
from flex_mcp.cli.main import main
from flex_mcp.models import Agent, Curation, Fields, Outcome, Step, StepKind, Zone, new_id

TITLE = "Pin the compiler version in the build image → before any release of the product"
LESSON = "Pin the **compiler**. Use `make`.\n- an item <!-- hidden --> [here](http://there)"
TASK = "Release the compiler, and do not break the build of the others while you do"


@pytest.fixture
def at(tmp_path: Path) -> tuple[str, str]:
    """A library with three lessons in two domains, and the work that one of them is from."""
    path = tmp_path / "library.db"
    with open_library(path) as library:
        found = library.search("How is a compiler released?")
        steps = (Step(kind=StepKind.ACTION, name="bash", content="make"),)
        made = library.record(
            a_trajectory(TASK, steps=steps, answer="It is out.", agent=Agent(name="robot")),
            lessons=[a_lesson(LESSON, title=TITLE, domain="build")],
            retrieval_ids=[found.retrieval_id or ""],
            client="tests",
        )
        library.report_trajectory(made.trajectory_id, Outcome.FAILURE, feedback="It broke.")
        add(
            library,
            a_lesson("Soak the beans overnight.", zone=Zone.WARNING, domain="kitchen"),
            a_lesson("Water the plants in the evening.", domain="kitchen/herbs"),
        )
    return ("--library", str(path))


def ids(at: tuple[str, str], *options: str) -> list[str]:
    return [one["id"] for one in done_json("list", *options, *at)["experiences"]]


def the_work(at: tuple[str, str]) -> str:
    (one,) = done_json("trajectories", *at)["trajectories"]
    return one["id"]


# Lists


def test_a_list_has_the_columns_and_the_order_that_were_asked_for(at: tuple[str, str]) -> None:
    shown = done("list", "--columns", "title,zone", "--sort", "title", *at)
    assert [line.split()[0] for line in shown.splitlines()] == ["Pin", "Soak", "Water"]
    assert "warning" in shown.splitlines()[1]
    assert ids(at, "--sort", "title", "--reverse") == ids(at, "--sort", "title")[::-1]
    assert "'taste' is none of id, level" in refused("list", "--columns", "id,taste", *at)


def test_a_list_is_narrowed_by_text_date_and_domain(at: tuple[str, str]) -> None:
    assert len(ids(at, "--text", "SOAK")) == 1
    assert len(ids(at, "--domain", "kitchen")) == 2
    assert len(ids(at, "--since", "7d")) == 3
    assert ids(at, "--since", "9999-01-01") == []
    assert "--since cannot be 'soon': say 2026-01-31" in refused("list", "--since", "soon", *at)


@pytest.mark.parametrize("command", ["list", "trajectories"])
def test_a_list_that_was_cut_says_so_and_goes_on(at: tuple[str, str], command: str) -> None:
    with open_library(at[1]) as library:
        library.record(a_trajectory("More work"))
        library.record(a_trajectory("And more"))
    cut = run(command, "--limit", "2", *at)
    last = cut.stdout.splitlines()[-1].split()[0]
    assert cut.stderr == f"flex-mcp: 2 of 3: --all, or --after {last} for the next ones\n"
    rest = done(command, "--after", last, *at)
    everything = done(command, "--all", "--limit", "1", *at)
    assert [line.split()[0] for line in (cut.stdout + rest).splitlines()] == [
        line.split()[0] for line in everything.splitlines()
    ]
    told = json.loads(run(command, "--limit", "2", "--json", *at).stdout)
    assert (told["total"], told["after"]) == (3, last)
    told = done_json(command, "--after", last, *at)
    assert (told["total"], told["after"]) == (3, None)


def test_trajectories_are_listed_by_what_became_of_them(at: tuple[str, str]) -> None:
    with open_library(at[1]) as library:
        library.record(a_trajectory("Cook the soup", domain="kitchen"))
    for options, tasks in (
        ((), ["Cook the soup", TASK]),
        (("--state", "pending"), ["Cook the soup"]),
        (("--outcome", "failure"), [TASK]),
        (("--domain", "kitchen"), ["Cook the soup"]),
        (("--text", "COMPILER"), [TASK]),
        (("--since", "1h"), ["Cook the soup", TASK]),
    ):
        found = done_json("trajectories", *options, *at)["trajectories"]
        assert [one["task"] for one in found] == tasks
    assert done("trajectories", "--text", "nothing", *at) == "Nothing fits.\n"
    assert f"{the_first(at)}  " in done("trajectories", *at)


def the_first(at: tuple[str, str]) -> str:
    return done_json("trajectories", *at)["trajectories"][0]["id"]


# Projects


@pytest.fixture
def of_projects(at: tuple[str, str]) -> tuple[str, str]:
    """The same library, with a lesson and a work of the project shop, and two of the project web."""
    with open_library(at[1]) as library:
        for project, thing in (("shop", "till"), ("web", "page"), ("web", "form")):
            library.record(
                a_trajectory(f"Mend the {thing}", project=project),
                lessons=[a_lesson(f"The {thing} has a key.", domain=thing, project=project)],
            )
    return at


@pytest.mark.parametrize("command", ["list", "trajectories"])
def test_what_is_of_other_projects_is_counted(of_projects: tuple[str, str], command: str) -> None:
    shown = run(command, *of_projects)
    assert shown.stderr == "flex-mcp: 3 more are of other projects: --all-projects\n"
    assert run(command, "--text", "till", *of_projects).stdout == (
        "Nothing fits: 1 is of another project: --all-projects.\n"
    )
    told = json.loads(run(command, "--json", *of_projects).stdout)
    assert told["notice"] == "3 more are of other projects: --all-projects"
    cut = run(command, "--limit", "1", *of_projects)
    assert cut.stderr.count("\n") == 1
    for option in (("--all-projects",), ("--general",), ("--project", "web")):
        assert "notice" not in done_json(command, *option, *of_projects)


def test_a_project_that_is_not_here_is_said_with_those_that_are_near(
    of_projects: tuple[str, str], tmp_path: Path
) -> None:
    said = "nothing here is of project 'shp': near are shop"
    shp = ("--project", "Shp", *of_projects)
    for command in ("list", "trajectories"):
        assert done(command, *shp) == f"Nothing fits: {said}.\n"
        assert done_json(command, *shp)["notice"] == said
    assert said in run("search", "a till", *shp).stderr
    written = run("export", tmp_path / "shp.jsonl", *shp)
    assert (written.exit_code, written.stderr) == (0, f"flex-mcp: {said}\n")
    assert run("export", *shp).stderr == f"flex-mcp: {said}\n"
    assert "nothing here is of project 'x': there are shop, web" in done(
        "list", "--project", "x", *of_projects
    )


def test_no_project_is_named_where_there_is_none(at: tuple[str, str]) -> None:
    none = "nothing here is of project 'shop': nothing here is of any project"
    assert done("list", "--project", "shop", *at) == f"Nothing fits: {none}.\n"


def test_a_search_is_for_one_project_for_none_or_for_all(
    of_projects: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_PROJECT", "web")
    for options, found in (
        ((), 1),
        (("--general",), 0),
        (("--project", "shop"), 0),
        (("--all-projects",), 1),
    ):
        hits = done_json("search", "the page has a key", *options, *of_projects)["hits"]
        assert sum(hit["domain"] == "page" for hit in hits) == found
    said = refused("search", "x", "--project", "shop", "--all-projects", *of_projects)
    assert said == "give --project, --general or --all-projects, only one of them"


def test_an_export_to_stdout_is_no_json_answer(at: tuple[str, str], tmp_path: Path) -> None:
    said = "to stdout goes the export itself: leave out --json, or name a FILE"
    assert refused("export", "--json", *at) == said
    assert done_json("export", tmp_path / "x.jsonl", *at)["format"] == "jsonl"


# Ids


def test_the_beginning_of_an_id_is_enough(at: tuple[str, str]) -> None:
    id_, work = ids(at)[0], the_work(at)
    assert f"({id_})" in done("show", id_[:8], *at)
    assert f"({work})" in done("show", work[:8], *at)
    assert id_ in done("log", "--about", id_[:8], *at)
    done("curate", id_[:8], "retire", *at)
    assert ids(at, "--status", "retired") == [id_]
    assert work in done("forget", work[:8], "--dry-run", *at)
    done("forget", id_[:8], "--yes", *at)
    assert id_ not in ids(at)


def test_an_id_that_could_be_several_is_refused_with_their_names(
    at: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, open_library(at[1]) as library:
        for module in ("lessons", "placing", "recording", "curating"):
            patch.setattr(f"flex_mcp.library.{module}.new_id", _alike, raising=False)
        add(library, *(a_lesson(f"A lesson about {what}.") for what in ("ants", "bees")))
    said = refused("show", "e_zzz", *at)
    assert said.startswith("several ids begin with e_zzz: e_zzz")
    assert "(A lesson about ants.)" in said
    assert "(A lesson about bees.)" in said
    assert said.endswith(": give more of it")


def _alike(prefix: str) -> str:
    made = new_id(prefix)
    return f"{prefix}_zzz{made[5:]}"


def test_what_begins_no_id_is_said_to_be_not_here(at: tuple[str, str]) -> None:
    assert "there is no experience e_zzzz" in refused("show", "e_zzzz", *at)
    assert "`flex-mcp trajectories` lists them" in refused("show", "t_zzzz", *at)
    assert "Not here: t_zzzz." in done("show", ids(at)[0], "t_zzzz", *at)
    assert "Not here: e_zzzz, t_zzzz." in done("show", "e_zzzz", the_work(at), "t_zzzz", *at)
    assert refused("show", "t_zzzz", "e_zzzz", "e_yyyy", *at) == (
        "there is no experience e_zzzz, e_yyyy and no trajectory t_zzzz: "
        "a search gives ids; `flex-mcp trajectories` lists them"
    )


# One thing whole


def test_a_trajectory_is_shown_in_the_order_of_time(at: tuple[str, str]) -> None:
    work = the_work(at)
    shown = done("show", work, *at)
    places = [
        shown.index(words)
        for words in (
            "searched, 0 served",
            "How is a compiler released?",
            "recorded, success",
            "1. action (bash):",
            "make",
            "Answer: It is out.",
            "told by python, failure",
            "It broke.",
            "Learnt from it:",
            TITLE,
        )
    ]
    assert places == sorted(places)
    assert "by robot" in shown
    (told,) = done_json("show", work, *at)["trajectories"]
    assert told["steps"][0]["content"] == "make"
    assert [one["title"] for one in told["learnt"]] == [TITLE]


def test_history_says_what_changed_in_which_field(at: tuple[str, str]) -> None:
    (id_,) = ids(at, "--text", "beans")
    with open_library(at[1]) as library:
        lesson = "Soak the beans for a day. Cook them."
        fields = Fields(title="Soak beans", lesson=lesson, tags=("food",), priority=5)
        library.curate(id_, Curation.EDIT, reason="clearer", fields=fields)
        library.curate(id_, Curation.RETIRE, reason="old")
    shown = done("show", id_, *at)
    history = shown[shown.index("History:") :]
    for line in (
        "> - 2 edit by python",
        ">     title: Soak the beans overnight. → Soak beans",
        ">     lesson:",
        ">     - Soak the beans overnight.",
        ">     + Soak the beans for a day.",
        ">     + Cook them.",
        ">     tags: none → food",
        "→ 5",
        ">     status: active → retired",
    ):
        assert line in history


def test_tasks_and_titles_stand_beside_ids(at: tuple[str, str]) -> None:
    (id_,) = ids(at, "--text", "compiler")
    work = the_work(at)
    beginning = f"{work} Release the compiler, and do not break"
    assert done("show", id_, *at).count(beginning) == 2
    written = done("log", *at)
    assert beginning in written
    assert f"{id_} Pin the compiler version" in written


def test_many_records_are_told_in_one_line(tmp_path: Path) -> None:
    at = ("--library", str(tmp_path / "library.db"))
    works = [{"task": f"Task {number}", "outcome": "failure"} for number in range(3)]
    lesson = {"zone": "golden", "level": "pattern", "title": "a", "when": "", "lesson": "Do a."}
    works[0] |= {"lessons": [lesson], "feedback": "password: Xk29!plQ77#z"}  # type: ignore[dict-item]
    text = "\n".join(map(json.dumps, [*works, works[1]]))
    said = done("record", *at, stdin=text)
    assert said == (
        "Recorded 4 trajectories: 3 new (pending 3, distilled 1); lessons: add 1; "
        "1 secrets taken out; --json says what became of each.\n"
    )


def test_the_counts_show_the_largest_domains_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        add(library, *(a_lesson(f"Lesson {n} of it.", domain=f"d{n:02}") for n in range(14)))
        add(library, a_lesson("Another one", domain="d13"))
    shown = done("stats", "--library", path)
    assert "2  d13\n1  d00\n" in shown
    assert "and 4 smaller ones" in shown
    assert max(map(len, shown.splitlines())) < 160
    assert len(done_json("stats", "--library", path)["by_domain"]) == 14


# What a shell asks


def test_a_shell_completes_commands_options_ids_and_domains(
    at: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_LIBRARY", at[1])
    assert completed("flex-mcp traj") == ["plain,trajectories"]
    assert "plain,--sort" in completed("flex-mcp list --so")
    assert completed("flex-mcp list --domain kit") == ["plain,kitchen", "plain,kitchen/herbs"]
    known = [*ids(at), the_work(at)]
    assert {f"plain,{one}" for one in known} < set(completed("flex-mcp show "))
    assert completed("flex-mcp distill t") == [f"plain,{the_work(at)}"]
    assert "compiler," in completed("flex-mcp show t_", by="fish")


def test_a_shell_completes_what_is_of_the_projects_on_the_line(
    of_projects: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_LIBRARY", of_projects[1])
    assert completed("flex-mcp list --domain t") == []
    assert completed("flex-mcp list --all-projects --domain t") == ["plain,till"]
    assert completed("flex-mcp list --project shop --domain ") == ["plain,till"]
    assert completed("flex-mcp search --project ") == ["plain,shop", "plain,web"]
    assert "plain,kitchen" in completed("flex-mcp curate e_zzzz --project shop --domain ")


def test_completing_begins_no_library_and_complains_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_LIBRARY", str(tmp_path / "none.db"))
    assert completed("flex-mcp show e_") == []
    (tmp_path / "none.db").write_text("no library", encoding="utf-8")
    assert completed("flex-mcp list --domain a") == []
    assert [one.name for one in tmp_path.iterdir()] == ["none.db"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str) -> None:
    assert f"_FLEX_MCP_COMPLETE={shell}_complete" in done("completion", shell)


@pytest.mark.process
def test_bash_completes_through_the_script() -> None:
    told = process("completion", "bash")
    assert "_FLEX_MCP_COMPLETE=bash_complete" in told.stdout
    asked = {"COMP_WORDS": "flex-mcp sta", "COMP_CWORD": "1"}
    answer = process(_FLEX_MCP_COMPLETE="bash_complete", **asked)
    assert (answer.stdout, answer.stderr) == ("plain,stats\n", "")


# In a pipe


def test_a_pipe_gets_no_colour_no_width_and_times_in_utc(
    at: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = (("list",), ("show", ids(at)[-1]), ("trajectories",), ("log",), ("stats",))
    before = [done(*words, *at) for words in commands]
    for name, value in (("COLUMNS", "40"), ("TZ", "Asia/Tokyo"), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    assert [done(*words, *at) for words in commands] == before
    assert all("\x1b" not in one for one in before)
    assert re.search(r"\d\dT\d\d:\d\d:\d\dZ", before[2])


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_our_own_signs_become_plainer_where_the_encoding_lacks_them(
    at: tuple[str, str], encoding: str
) -> None:
    runner = CliRunner(charset=encoding)
    helped = runner.invoke(main, ["forget", "--help"], prog_name="flex-mcp").stdout_bytes
    assert b"(t_...) or experiences (e_...)" in helped
    listed = runner.invoke(main, ["list", "--text", "compiler", *at]).stdout_bytes
    assert b"image -> before" in listed


# At a terminal


def widest(shown: str) -> int:
    return max(len(ESCAPES.sub("", line)) for line in shown.splitlines())


@pytest.mark.process
@pytest.mark.parametrize("columns", [60, 80, 160])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_terminal_of_any_width_shows_all_words(
    at: tuple[str, str], columns: int, encoding: str
) -> None:
    (id_,) = ids(at, "--text", "compiler")
    for words in (("list",), ("show", id_), ("search", TASK), ("stats",)):
        shown = on_screen(*words, *at, columns=columns, encoding=encoding)
        assert widest(shown) <= columns, words
        assert "\\u" not in shown
        plain = ESCAPES.sub("", shown).replace("│", " ").replace("|", " ")
        for word in TITLE.replace("→", " ").split() if words[0] != "stats" else ():
            assert word in plain


@pytest.mark.process
def test_words_of_a_table_stay_whole_where_there_is_little_room(at: tuple[str, str]) -> None:
    with open_library(at[1]) as library:
        (id_,) = ids(at, "--text", "beans")
        library.curate(id_, Curation.QUARANTINE, reason="doubtful")
    shown = ESCAPES.sub("", on_screen("list", *at, columns=60))
    assert widest(shown) <= 60
    for word in (*ids(at), "pattern", "golden", "active", "quarantined"):
        assert word in shown
    many = ("--columns", "id,level,zone,status,domain,served,created,title")
    shown = ESCAPES.sub("", on_screen("list", *many, *at, columns=60))
    assert widest(shown) <= 60
    assert re.search(
        rf"^id +{id_} *\nlevel +pattern *\n(.*\n)+created +20\d\d.*\ntitle +Soak",
        shown,
        re.MULTILINE,
    )


@pytest.mark.process
def test_a_terminal_shows_what_markdown_would_hide(at: tuple[str, str]) -> None:
    (id_,) = ids(at, "--text", "compiler")
    shown = on_screen("show", id_, *at, columns=160)
    assert "<!-- hidden --> [here](http://there)" in shown
    assert "**" not in shown
    assert "\x1b[1mcompiler\x1b[0m" in shown


@pytest.mark.process
def test_colours_are_left_out_where_they_are_not_wanted(at: tuple[str, str]) -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert coloured.search(on_screen("list", *at))
    assert not coloured.search(on_screen("list", *at, NO_COLOR="1"))
    assert on_screen("list", *at, TERM="dumb") == done("list", *at)


@pytest.mark.process
def test_a_terminal_shows_its_own_time(at: tuple[str, str]) -> None:
    def hour(zone: str) -> str:
        return on_screen("trajectories", "--columns", "recorded", *at, TZ=zone)

    assert hour("UTC0") != hour("JST-9")


@pytest.mark.process
def test_alone_at_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    shown = on_screen()
    for words in ("flex-mcp demo", "flex-mcp install", "flex-mcp --help"):
        assert words in shown
    assert on_screen("--library", tmp_path / "library.db") == shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_a_server_at_a_terminal_says_that_it_waits_and_how_to_stop_it(tmp_path: Path) -> None:
    screen = Screen("serve", "--library", tmp_path / "library.db")
    screen.until("Ctrl-C stops it")
    screen.process.send_signal(signal.SIGINT)
    screen.end()
    assert screen.process.returncode is not None


@pytest.mark.process
def test_many_records_have_a_bar_at_a_terminal(tmp_path: Path) -> None:
    works = [{"task": f"Task {number}", "outcome": "failure"} for number in range(3)]
    (tmp_path / "work.jsonl").write_text("\n".join(map(json.dumps, works)), encoding="utf-8")
    library = tmp_path / "library.db"
    shown = on_screen("record", tmp_path / "work.jsonl", "--library", library, columns=120)
    assert "Recording" in shown
    assert "Recorded 3 trajectories" in shown
