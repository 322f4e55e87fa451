"""Projects: which one a folder is, and that another's lessons are seen by nobody who did not ask."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ListRootsResult, PromptReference, ResourceTemplateReference, Root
from support.client import ERAS, Era, answer, connected, text_of
from support.examples import examples
from support.fakes import FakeEmbedder, a_lesson, add, fake_library
from support.http_server import served as served_over_http
from support.messages_api import adds, critic_and_updater, lesson, messages_api
from support.stdio_server import MODERN, initialized
from support.stdio_server import served as served_over_stdio

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.cli.main import main
from flex_mcp.errors import InputError, SettingError
from flex_mcp.exchange.bundle import export_bundle
from flex_mcp.exchange.files import import_text
from flex_mcp.library.library import Library
from flex_mcp.models import Curation, DecisionKind, Fields, Outcome, Trajectory
from flex_mcp.projects import project_of, project_of_uri
from flex_mcp.server.server import build_server
from flex_mcp.settings import Settings

TASK = "Start the billing database before its tests run"  # the lesson of billing fits it best
TEXTS = {  # by project; None: general
    None: "Start the database before the tests run, and wait until it answers on its port.",
    "shop": "Start the shop's database with make db-up before its tests run.",
    "billing": "Start the billing database with invoke up before its tests run.",
}


def stock(library: Library) -> dict[str | None, str]:
    """A lesson of each, approved so that skills have it, by project."""
    made = {
        project: add(
            library,
            a_lesson(text, when=TASK, domain=f"db/{project or 'all'}", project=project),
        )[0]
        for project, text in TEXTS.items()
    }
    for id_ in made.values():
        library.curate(id_, Curation.APPROVE, reason="read it")
    return made


def leaked(text: str, library: Library) -> list[str]:
    """What of the billing project a text tells of a lesson."""
    (one,) = library.experiences(projects=frozenset({"billing"}))
    return [said for said in (one.id, one.lesson, one.title) if said in text]


# Which project a folder is


def repository(folder: Path, config: str | None = None) -> Path:
    git = folder / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    if config is not None:
        (git / "config").write_text(config)
    return folder


REMOTES = {
    "url = git@host.example:team/shop.git": "shop",
    "url = https://host.example/team/shop": "shop",
    "url = https://host.example/team/shop.git/": "shop",
    "url = ssh://git@host.example:22/~/Shop.git": "Shop",
    "url = ../shop.git": "shop",
    "url = C:\\repos\\shop": "shop",
    'url = "/srv/git/web shop.git"': "web shop",
    "URL=host.example:shop": "shop",
    "url = /srv/shop/.git": "shop",
    "pushurl = x/other.git\n\turl = x/shop.git": "shop",
    "# url = x/other\n\turl = x/shop": "shop",
    "url = x/shop.git # ours": "shop",
    'url = "x/shop.git" ; ours': "shop",
    "url = https://host.example/team/\\\nshop.git": "shop",
    "url = ..": "clone",
}


@pytest.mark.parametrize(("line", "name"), REMOTES.items())
def test_the_name_comes_from_the_remote(tmp_path: Path, line: str, name: str) -> None:
    config = f'[core]\n\turl = x/core\n[remote "origin"]\n\t{line}\n[branch "main"]\n\turl = x/y\n'
    here = repository(tmp_path / "clone", config) / "src" / "deep"
    here.mkdir(parents=True)
    assert project_of(here) == name


def test_origin_comes_before_other_remotes_and_else_the_first_counts(tmp_path: Path) -> None:
    both = '[remote "fork"]\nurl = x/fork\n[remote "origin"]\nurl = x/shop\n'
    assert project_of(repository(tmp_path / "a", both)) == "shop"
    assert project_of(repository(tmp_path / "b", '[remote "fork"] url = x/fork\n')) == "fork"


@pytest.mark.parametrize("config", [None, "", "[core]\n\tbare = false\n", "\x00[remote", "[[["])
def test_without_a_remote_it_is_the_repositorys_folder(tmp_path: Path, config: str | None) -> None:
    assert project_of(repository(tmp_path / "shop", config)) == "shop"


def test_a_worktree_and_a_submodule_are_found_by_the_file_in_their_folder(tmp_path: Path) -> None:
    main_ = repository(tmp_path / "shop", "[core]\n")
    kept = main_ / ".git" / "worktrees" / "fix-1"
    kept.mkdir(parents=True)
    (kept / "commondir").write_text("../..\n")
    tree = tmp_path / "fix-1"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {kept}\n")
    module = main_ / ".git" / "modules" / "vendored"
    module.mkdir(parents=True)
    (module / "config").write_text('[remote "origin"]\n\turl = x/vendored-lib.git\n')
    inside = main_ / "vendored"
    inside.mkdir()
    (inside / ".git").write_text("gitdir: ../.git/modules/vendored\n")
    assert project_of(tree) == "shop"
    assert project_of(inside) == "vendored-lib"


def test_a_folder_in_no_repository_is_no_project_nor_is_what_lies_below_a_home_in_git(
    tmp_path: Path, nobodys_machine: Path
) -> None:
    repository(nobodys_machine, '[remote "origin"]\n\turl = x/dotfiles.git\n')
    (nobodys_machine / "notes").mkdir()
    assert project_of(tmp_path) is None
    assert project_of(nobodys_machine / "notes") is None
    assert project_of(tmp_path / "gone") is None


def test_a_file_address_is_a_folder_and_any_other_is_none(tmp_path: Path) -> None:
    here = repository(tmp_path / "web shop", "")
    assert project_of_uri(here.as_uri()) == "web shop"
    assert project_of_uri("file://elsewhere/srv/shop") is None
    assert project_of_uri("https://host.example/shop") is None


@given(st.binary(max_size=200))
@hypothesis_settings(max_examples=examples(60))
def test_no_config_makes_it_fail(tmp_path_factory: pytest.TempPathFactory, config: bytes) -> None:
    here = repository(tmp_path_factory.mktemp("x") / "shop")
    (here / ".git" / "config").write_bytes(config)
    assert project_of(here)


def test_the_setting_comes_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(repository(tmp_path / "shop", "")))
    assert Settings.from_environment().project == "shop"
    monkeypatch.setenv("FLEX_MCP_PROJECT", "  Web  Shop ")
    assert Settings.from_environment().project == "web shop"
    monkeypatch.setenv("FLEX_MCP_PROJECT", "none")
    assert Settings.from_environment().project is None
    monkeypatch.setenv("FLEX_MCP_PROJECT", "x" * 101)
    with pytest.raises(SettingError, match="FLEX_MCP_PROJECT has 101 characters"):
        _ = Settings.from_environment().project


# What is of another project is seen by nobody who did not ask


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_no_door_of_the_server_shows_what_is_of_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, era: Era
) -> None:
    monkeypatch.setenv("FLEX_MCP_PROJECT", "shop")
    monkeypatch.setenv("FLEX_MCP_SKILLS", "1")
    path = tmp_path / "library.db"
    with open_library(path) as library:
        made = stock(library)
        app = App(library=str(path))
        async with Client(build_server(app), mode=era) as client:
            seen = await everything(client)
        app.close()
        for door, text in seen.items():
            assert not leaked(text, library), door
        found = json.loads(seen["search"])["hits"]
        assert [(one["id"], one["project"]) for one in found] == [(made["shop"], "shop")]


async def everything(client: Client) -> dict[str, str]:
    """What each door shows unasked, by its name."""
    work = {"task": TASK, "outcome": "failure", "steps": [{"kind": "action", "content": "make"}]}
    near = "The billing database is started with invoke up, always, before its tests."
    again = {"title": "Database first", "when": TASK, "lesson": near}
    again |= {"zone": "golden", "level": "pattern"}
    seen = {"search": text_and_json(await client.call_tool("search_experience", {"query": TASK}))}
    seen["recorded"] = text_and_json(
        await client.call_tool(
            "record_trajectory",
            {**work, "lessons": [again]},
        )
    )
    await answer(client, "record_trajectory", **work, key="other")
    seen["brief"] = text_and_json(await client.call_tool("distill", {}))
    for uri in ("library", "zone/golden", "domain/db"):
        seen[uri] = str((await client.read_resource(f"flex://{uri}")).contents)
    seen["list"] = str(await client.list_resources())
    for name, arguments in (("solve_with_experience", {"task": TASK}), ("review_library", {})):
        seen[name] = str(await client.get_prompt(name, arguments))
    ref = ResourceTemplateReference(type="ref/resource", uri="flex://experience/{id}")
    seen["ids"] = str(await client.complete(ref, {"name": "id", "value": "e_"}))
    prompt = PromptReference(type="ref/prompt", name="review_library")
    seen["domains"] = str(await client.complete(prompt, {"name": "domain", "value": "db"}))
    seen["skill"] = str((await client.read_resource("skill://flex-db/SKILL.md")).contents)
    return seen


def text_and_json(result: Any) -> str:
    assert not result.is_error, text_of(result)
    return json.dumps(result.structured_content, ensure_ascii=False)


@given(st.lists(st.sampled_from([None, "shop", "billing", "Shop ", "x" * 100]), max_size=12))
@hypothesis_settings(max_examples=examples(20))
def test_a_search_serves_general_lessons_and_its_own_projects_alone(
    tmp_path_factory: pytest.TempPathFactory, projects: list[str | None]
) -> None:
    with fake_library(tmp_path_factory.mktemp("x"), FakeEmbedder()) as library:
        drawn = [
            a_lesson(f"Amber basalt number {n} of cedar {n * 7919}.", project=project)
            for n, project in enumerate(projects)
        ]
        made = dict(zip(add(library, *drawn), projects, strict=True)) if drawn else {}

        def served(**where: Any) -> set[str]:
            found = library.search("amber basalt cedar", limit=50, abstain=False, **where)
            return {hit.experience.id for hit in found.hits}

        def of(*wanted: str | None) -> set[str]:
            return {id_ for id_, one in made.items() if (one and one.strip().lower()) in wanted}

        assert served() == of(None)
        assert served(project="SHOP") == of(None, "shop")
        assert served(project="other") == of(None)
        assert served(all_projects=True) == {*made}
        near = library.neighbours(["amber basalt"], limit=50, projects=frozenset({None, "shop"}))
        assert {one.id for one in near} <= of(None, "shop")


def test_a_transaction_sees_the_same_projects_as_a_search(tmp_path: Path) -> None:
    with fake_library(tmp_path, FakeEmbedder()) as library:
        add(library, a_lesson(TEXTS["billing"], project="billing"))
        (decision,) = library.apply([a_lesson(TEXTS["billing"] + " Always.")], project="shop")
        assert decision.decision is DecisionKind.ADD
        assert decision.candidates == ()
        (again,) = library.apply([a_lesson(TEXTS["billing"])], project="shop")
        assert again.decision is DecisionKind.ADD  # what holds in billing alone says it not here
        (third,) = library.apply([a_lesson(TEXTS["billing"], project="shop")])
        assert third.decision is DecisionKind.DISCARD  # a general one says it everywhere
        assert third.experience_id == again.experience_id


def test_a_large_library_that_is_not_read_yet_keeps_projects_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flex_mcp.storage.sqlite.search_index.AT_ONCE", 0)
    with open_library(tmp_path / "library.db") as library:
        made = stock(library)
        found = library.search(TASK, project="shop", limit=20, abstain=False)
        assert {hit.experience.id for hit in found.hits} == {made[None], made["shop"]}


# How work and lessons come to a project


@pytest.mark.anyio
async def test_work_is_of_the_project_that_is_named_else_of_the_folder_else_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(repository(tmp_path / "shop", "")))
    only = {"zone": "golden", "level": "pattern", "title": "Mine", "when": "", "lesson": "Only."}
    path = tmp_path / "library.db"
    async with connected(path) as client:
        work = {"task": TASK, "outcome": "success"}
        first = await answer(
            client,
            "record_trajectory",
            **work,
            lessons=[only | {"project": True}, only | {"lesson": "Any.", "project": False}],
        )
        second = await answer(client, "record_trajectory", **work, key="k", project="Billing")
        told = await answer(
            client, "save_lessons", lessons=[only | {"lesson": "Told.", "project": "true"}]
        )
        hidden = await answer(client, "search_experience", query="Told.", project="billing")
        shown = await answer(
            client, "search_experience", query="Told.", project="billing", all_projects=True
        )
    with open_library(path) as library:
        trajectories = library.trajectories([first["trajectory_id"], second["trajectory_id"]])
        assert [one.project for one in trajectories] == ["shop", "billing"]
        decided = [*first["decisions"], *told["decisions"]]
        made = library.get([one["experience_id"] for one in decided])
        assert [one.project for one in made] == ["shop", None, "shop"]
    assert "Told." not in json.dumps(hidden)
    assert "Told." in json.dumps(shown)


def test_the_same_work_in_two_projects_is_two(quick: Library) -> None:
    works = [
        Trajectory(task=TASK, outcome=Outcome.SUCCESS, project=name) for name in ("a", "b", "A")
    ]
    made = [quick.record(work, lessons=[a_lesson("x", project=True)]) for work in works]
    assert [one.new for one in made] == [True, True, False]
    ids = [decision.experience_id or "" for one in made for decision in one.decisions]
    assert [one.project for one in quick.get(ids)] == ["a", "b", "a"]


def test_a_lesson_of_this_project_needs_one(quick: Library) -> None:
    (decision,) = quick.apply([a_lesson("x", project=True)])
    assert decision.decision is DecisionKind.REFUSED
    assert decision.reason == (
        "project is true, and nobody said which project this is: give the project's name, or "
        "leave it out for a lesson that holds everywhere"
    )
    works = [Trajectory(task=TASK, outcome=Outcome.SUCCESS, project=name) for name in ("a", "b")]
    ids = [quick.record(work, key=str(work.project)).trajectory_id for work in works]
    (unsure,) = quick.apply([a_lesson("x", project=True)], evidence=ids)
    assert "its work is of a, b" in (unsure.reason or "")
    (sure,) = quick.apply([a_lesson("x", project=True, trajectory_ids=ids[:1])], evidence=ids)
    assert quick.get([sure.experience_id or ""])[0].project == "a"


def test_what_holds_in_one_project_takes_no_general_lessons_place(quick: Library) -> None:
    (general,) = add(quick, a_lesson("General."))
    instead = a_lesson("Mine.", action="supersede", into=general, reason="so", project="shop")
    (decision,) = quick.apply([instead])
    assert decision.decision is DecisionKind.REFUSED
    assert f"{general} holds elsewhere too, and this lesson only in shop" in (decision.reason or "")


@pytest.mark.parametrize("action", ["merge", "discard"])
def test_no_text_or_evidence_goes_to_another_project(quick: Library, action: str) -> None:
    ids = {
        project: add(quick, a_lesson(f"Of {project}.", project=project))[0]
        for project in (None, "shop", "billing")
    }
    into = {"shop": ("billing",) if action == "discard" else (None, "billing"), None: ("shop",)}
    for project, others in into.items():
        for other in others:
            text = a_lesson("Mine alone.", project=project, action=action, into=ids[other])
            (decision,) = quick.apply([text], project=project)
            assert decision.decision is DecisionKind.REFUSED, (project, other)
            assert "add it by itself" in (decision.reason or "")
    mine = a_lesson("Ours.", action=action, into=ids["shop"])
    (decision,) = quick.apply([mine], project="shop")
    assert decision.decision is not DecisionKind.REFUSED
    for gone, stays in (("shop", "billing"), (None, "shop")):
        with pytest.raises(InputError, match="are not of one project"):
            quick.merge(ids[gone], ids[stays], reason="so")
    with pytest.raises(InputError, match="are not of one project"):
        quick.merge(ids["shop"], ids[None], reason="so", fields=Fields(lesson="Of shop."))


def test_curating_moves_a_lesson_and_a_revert_takes_it_back(quick: Library) -> None:
    (id_,) = add(quick, a_lesson("Mine."))
    edits: list[str | bool] = ["Web Shop", False]
    moved = [
        quick.curate(id_, Curation.EDIT, reason="so", fields=Fields(project=project)).experience
        for project in edits
    ]
    assert [one.project for one in moved] == ["web shop", None]
    assert quick.curate(id_, Curation.REVERT, reason="no").experience.project == "web shop"
    with pytest.raises(InputError, match="project is true, and nobody said"):
        quick.curate(id_, Curation.EDIT, reason="so", fields=Fields(project=True))


# Distilling


@pytest.mark.anyio
async def test_a_brief_is_about_the_work_of_one_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        for project in (None, "shop", "billing", "shop"):
            key = f"{project} {len(library.statistics().by_state)}"
            work = Trajectory(task=f"{TASK} {key}", outcome=Outcome.FAILURE, project=project)
            library.record(work, key=f"{key} {os.urandom(4).hex()}")
    monkeypatch.setenv("FLEX_MCP_PROJECT", "shop")
    async with connected(path) as client:
        found = await answer(client, "search_experience", query=TASK)
        assert "3 " in found["notice"]
        briefs = [await answer(client, "distill") for _ in range(3)]
    about = [[one.get("project") for one in brief["trajectories"]] for brief in briefs]
    assert about == [[None], ["shop", "shop"], []]
    assert [brief["remaining"] for brief in briefs] == [2, 0, 0]  # what is another's is not counted


def test_a_model_says_which_lesson_holds_in_the_project_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    asked: list[str] = []
    with open_library(path) as library:
        stock(library)
        for project in ("shop", None):
            library.record(
                Trajectory(task=TASK, outcome=Outcome.FAILURE, project=project), key=f"{project}"
            )

    def critic(question: str) -> list[dict[str, Any]]:
        asked.append(question)
        of = "Shop" if "project shop" in question else "Other"
        said = {True: "Mine, and only mine.", False: "Everybody has this one."}
        return [lesson(f"{of}: {text}", project=project) for project, text in said.items()]

    def updater(question: str) -> list[dict[str, Any]]:
        asked.append(question)
        return adds(question)

    with messages_api(critic_and_updater(critic, updater)) as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        command("distill", "--all", path=path)
    with open_library(path) as library:
        made = {
            one.lesson: one.project
            for one in library.experiences()
            if one.lesson not in TEXTS.values()
        }
        assert not any(leaked(question, library) for question in asked)
    assert made == {
        "Shop: Mine, and only mine.": "shop",
        "Shop: Everybody has this one.": None,
        "Other: Mine, and only mine.": None,
        "Other: Everybody has this one.": None,
    }


# In, out and at the terminal


def command(*arguments: str, path: Path) -> str:
    run = CliRunner().invoke(main, [*arguments, "--library", str(path)])
    assert run.exit_code == 0, run.output
    return run.output


def test_the_terminal_shows_what_is_of_the_folders_project_and_the_others_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_PROJECT", "shop")
    path = tmp_path / "library.db"
    with open_library(path) as library:
        made = stock(library)
        assert leaked(command("log", "--all-projects", path=path), library)
        logged = leaked(command("log", path=path), library)
        assert logged == [made["billing"]]  # the id without its title
        for said in (("list",), ("search", TASK), ("stats",), ("trajectories",)):
            assert not leaked(command(*said, path=path), library), said
    by = {
        (): {made[None], made["shop"]},
        ("--project", "Billing"): {made["billing"]},
        ("--general",): {made[None]},
        ("--all-projects",): {*made.values()},
    }
    for chosen, ids in by.items():
        listed = json.loads(command("list", *chosen, "--json", path=path))["experiences"]
        assert {one["id"] for one in listed} == ids, chosen
    found = command("search", TASK, "--all-projects", "--json", path=path)
    assert made["billing"] in found
    nothing = CliRunner().invoke(main, ["curate", made["shop"], "--library", str(path)])
    assert nothing.exit_code == 2
    assert "say what to do: one of approve, quarantine" in nothing.stderr
    moved = command("curate", made["billing"], "edit", "--general", "--json", path=path)
    assert "project" not in json.loads(moved)["experience"]
    command("curate", made["billing"], "--project", "shop", path=path)
    assert made["billing"] in command("list", path=path)


def test_a_list_refuses_what_it_does_not_know(quick: Library) -> None:
    add(quick, a_lesson("Mine.", project="web shop"))
    assert len(quick.experiences(projects=["Web  Shop"])) == 1
    wrong: dict[str, Any] = {"project": "shop"}
    for verb in (quick.experiences, quick.count_experiences, quick.trajectories):
        with pytest.raises(
            InputError,
            match=r"no argument 'project' \(did you mean 'projects'\?\); it takes .*since",
        ):
            verb(**wrong)
    with pytest.raises(InputError, match="projects cannot be 'shop'; it must be a list"):
        quick.experiences(projects="shop")
    with pytest.raises(InputError, match="beyond the years"):
        quick.experiences(since=datetime.fromisoformat("9999-12-31T23:59:59-12:00"))


def test_a_bundle_brings_projects_along_or_is_of_some(tmp_path: Path) -> None:
    with open_library(tmp_path / "a.db") as here:
        stock(here)
        work = Trajectory(task=TASK, outcome=Outcome.SUCCESS, project="billing")
        recorded = here.record(work, lessons=[a_lesson("With evidence.", project=True)])
        whole = "".join(export_bundle(here))
        part = "".join(export_bundle(here, frozenset({"billing"})))

    def imported(name: str, text: str, **how: Any) -> Library:
        there = open_library(tmp_path / name)
        import_text(there, text, source="bundle", trust=True, **how)
        return there

    with imported("b.db", whole) as there:
        assert {one.project for one in there.experiences()} == {None, "shop", "billing"}
        assert there.trajectories([recorded.trajectory_id])[0].project == "billing"
    with imported("c.db", part) as there:
        assert {one.project for one in there.experiences()} == {"billing"}
        assert there.statistics().trajectories == 1
    with imported("d.db", whole, project="Web Shop") as there:
        assert {one.project for one in there.experiences()} == {"web shop"}
        assert there.trajectories([recorded.trajectory_id])[0].project == "web shop"
    with imported("e.db", whole, project=False) as there:
        assert {one.project for one in there.experiences()} == {None}
        assert there.statistics().by_project == {"": 4}


# Over HTTP, and by the client's roots


@pytest.mark.process
def test_over_http_a_header_names_the_project_and_the_servers_setting_none(tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        made = stock(library)
    params = {"name": "search_experience", "arguments": {"query": TASK}, "_meta": MODERN}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with served_over_http(
        tmp_path, settings={"CLAUDE_PROJECT_DIR": str(repository(tmp_path / "shop", ""))}
    ) as server:
        found: dict[str, str] = {}
        for project in (None, "Shop", "billing"):
            with server.asked(
                "/mcp",
                "POST",
                body,
                MCP_Protocol_Version="2026-07-28",
                Mcp_Method="tools/call",
                Mcp_Name="search_experience",
                Flex_MCP_Project=project,
            ) as said:
                found[project or ""] = said.read().decode()
    for project, text in found.items():
        expected = [project.lower() or None]
        assert [name for name, id_ in made.items() if id_ in text] == expected, text


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_where_our_folder_says_nothing_the_clients_roots_do(
    tmp_path: Path, era: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDE_PROJECT_DIR")
    monkeypatch.chdir(tmp_path)
    with open_library(tmp_path / "library.db") as library:
        made = stock(library)
    asked: list[object] = []
    roots = [repository(tmp_path / "plain").parent / "nothing", repository(tmp_path / "shop", "")]

    async def offered(context: ClientRequestContext) -> ListRootsResult:
        asked.append(context.request_id)
        return ListRootsResult(roots=[Root(uri=one.as_uri()) for one in roots])  # pyright: ignore[reportArgumentType]

    app = App(library=str(tmp_path / "library.db"))
    async with Client(build_server(app), mode=era, list_roots_callback=offered) as client:
        found = [await answer(client, "search_experience", query=TASK) for _ in range(2)]
    app.close()
    for each in found:
        assert [one["id"] for one in each["hits"]] == [made["shop"]]
    assert len(asked) == 1


@pytest.mark.process
def test_a_search_before_the_server_is_there_knows_the_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_library(tmp_path / "library.db") as library:
        made = stock(library)
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(repository(tmp_path / "shop", "")))
    with served_over_stdio(tmp_path / "library.db") as pipes:
        initialized(pipes)
        found = pipes.ask("tools/call", name="search_experience", arguments={"query": TASK})
    hits = found["result"]["structuredContent"]["hits"]
    assert [one["id"] for one in hits] == [made["shop"]]
