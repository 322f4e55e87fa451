"""`flex-mcp embedder`: which embedders there are, and going over to one and back."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mcp import Client
from support.fakes import LESSONS, a_lesson
from support.processes import Worker
from support.small_models import SMALL, WIDE, hub, write_model
from support.terminal import process, run
from test_cli import locked

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.cli import commands
from flex_mcp.models import Action
from flex_mcp.server.server import build_server

MINILM = "fastembed:sentence-transformers/all-MiniLM-L6-v2"
QUERY = "pin the compiler version in the build image"
MANY = 150  # three batches


def done(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(*arguments: str) -> str:
    """The sentence that ends it, with exit code 2 and nothing on stdout."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr.splitlines()[-1].removeprefix("flex-mcp: ")


def serving(path: Path) -> str:
    """The embedder of a library, which must answer without a notice."""
    with open_library(path) as library:
        found = library.search(QUERY)
        assert found.hits[0].experience.lesson == LESSONS[0]
        assert found.notices == ()
        made_by = library.statistics().vectors
        assert made_by
        return made_by.embedder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A library of an older version, which has the static vectors."""
    file = tmp_path / "library.db"
    with open_library(file, embedder="static") as library:
        library.apply([a_lesson(text) for text in LESSONS])
        for start in range(len(LESSONS), MANY, 50):  # as many lessons as a call takes
            numbers = range(start, min(start + 50, MANY))
            library.apply([a_lesson(f"number {one}", action=Action.ADD) for one in numbers])
    return file


@pytest.fixture
def at(path: Path) -> tuple[str, str]:
    return "--library", str(path)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(write_model(tmp_path / "from a friend"))


@pytest.fixture
def kept(nobodys_machine: Path) -> Path:
    return nobodys_machine / "cache" / "flex-mcp" / "models"


def until(worker: Worker, count: int) -> None:
    """Let a worker go over until so many texts are embedded; it waits then."""
    while (line := worker.line()).get("done") != count:
        if "done" in line:
            worker.go()


def finish(worker: Worker) -> dict[str, Any]:
    worker.go()
    while "done" in (line := worker.line()):
        worker.go()
    return line


# What there is


def test_the_list_says_what_is_here_what_it_costs_and_gives_and_what_serves(
    at: tuple[str, str], path: Path
) -> None:
    listed = done("embedder", "list", *at)
    assert listed["library"] == str(path)
    ours, static, minilm, bge = listed["embedders"]
    assert (ours["name"], ours["where"], ours["used"]) == ("ours", "built in", False)
    assert static["ndcg"] < ours["ndcg"] < minilm["ndcg"]
    assert (static["name"], static["where"], static["used"]) == ("static", "built in", True)
    assert static["query_ms"] < ours["query_ms"] < minilm["query_ms"]
    assert (minilm["name"], minilm["where"], minilm["used"]) == (MINILM, "to be fetched", False)
    assert bge["ndcg"] is None
    text = run("embedder", "list", *at).stdout
    assert "* static " in text
    assert f"  {MINILM} " in text


def test_the_list_makes_no_library_and_needs_no_fastembed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)
    at = "--library", str(tmp_path / "new.db")
    assert done("embedder", "list", *at)["embedders"][0]["used"]
    assert not (tmp_path / "new.db").exists()
    for command in (["list", "--all"], ["use", SMALL]):
        assert refused("embedder", *command, *at).startswith("fastembed cannot be imported here")


@pytest.mark.process
def test_all_that_fastembed_knows_can_be_listed_and_nobody_is_told(
    at: tuple[str, str], nobodys_machine: Path
) -> None:
    result = process("embedder", "list", "--all", "--json", *at)
    assert (result.returncode, result.stderr) == (0, "")
    names = [one["name"] for one in json.loads(result.stdout)["embedders"]]
    assert len(names) == len(set(names)) > 30
    assert f"fastembed:{SMALL}" in names
    left = [one.name for one in nobodys_machine.rglob("*") if "onnx" in one.name.casefold()]
    assert left == []  # ONNX Runtime keeps what it tells its maker in the cache folder


def test_the_list_of_what_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no library at all, but long enough to be looked at")
    assert "notes.txt" in refused("embedder", "list", "--library", str(tmp_path / "notes.txt"))


# There and back


def test_a_library_of_the_static_vectors_goes_over_to_ours_and_back(
    at: tuple[str, str], path: Path
) -> None:
    over = done("embedder", "use", "ours", *at)
    assert (over["embedder"], over["previous"]) == ("ours", "static")
    assert serving(path) == "ours"
    assert done("embedder", "use", "static", *at)["embedded"]
    assert serving(path) == "static"


def test_a_library_of_the_static_vectors_is_told_of_better_ones(
    at: tuple[str, str], path: Path
) -> None:
    said = f"`flex-mcp embedder use ours --library {path}` would find more"
    assert said in run("stats", *at).stdout
    assert said in run("doctor", *at).stdout
    assert said in run("install", "cursor", *at, "--dry-run").stderr
    assert serving(path) == "static"
    done("embedder", "use", "ours", *at)
    for command in (["stats"], ["doctor"], ["install", "cursor", "--dry-run"]):
        result = run(*command, *at)
        assert said not in result.stdout + result.stderr


@pytest.mark.process
def test_a_library_goes_over_to_a_model_from_a_folder_that_may_go_then(
    at: tuple[str, str], path: Path, folder: str, kept: Path
) -> None:
    over = done("embedder", "use", SMALL, "--path", folder, *at)
    assert over == {
        "embedder": f"fastembed:{SMALL}",
        "version": "1",
        "dimension": 256,
        "previous": "static",
        "experiences": MANY,
        "embedded": True,
        "folder": str(kept / "minishlab--potion-base-8M"),
    }
    shutil.rmtree(folder)
    assert serving(path) == f"fastembed:{SMALL}"
    found = process("search", QUERY, "--json", *at)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert (answer["hits"][0]["lesson"], answer.get("notice")) == (LESSONS[0], None)
    here = [one for one in done("embedder", "list", *at)["embedders"] if one["used"]]
    assert [(one["name"], one["where"]) for one in here] == [(f"fastembed:{SMALL}", "here")]


def test_the_way_back_is_the_same(at: tuple[str, str], path: Path, folder: str) -> None:
    done("embedder", "use", WIDE, "--path", str(write_model(Path(folder), WIDE)), *at)
    back = done("embedder", "use", "static", *at)
    assert (back["embedder"], back["previous"]) == ("static", f"fastembed:{WIDE}")
    assert serving(path) == "static"
    again = done("embedder", "use", WIDE, *at)
    assert (again["dimension"], again["embedded"]) == (512, True)
    assert serving(path) == f"fastembed:{WIDE}"


def test_a_new_library_begins_with_what_is_chosen(tmp_path: Path, folder: str) -> None:
    at = "--library", str(tmp_path / "new.db")
    result = run("embedder", "use", SMALL, "--path", folder, *at)
    assert result.exit_code == 0
    assert result.stderr == f"flex-mcp: loading fastembed:{SMALL}\n"
    with open_library(tmp_path / "new.db") as library:
        library.apply([a_lesson(text) for text in LESSONS])
    assert serving(tmp_path / "new.db") == f"fastembed:{SMALL}"


def test_what_serves_already_is_not_embedded_again(at: tuple[str, str], folder: str) -> None:
    assert done("embedder", "use", "static", *at)["embedded"] is False
    done("embedder", "use", SMALL, "--path", folder, *at)
    assert done("embedder", "use", SMALL, *at)["embedded"] is False
    assert done("embedder", "use", SMALL, "--path", folder, *at)["embedded"] is False


def test_a_name_stands_for_one_model_on_a_machine(
    at: tuple[str, str], path: Path, folder: str, kept: Path, tmp_path: Path
) -> None:
    done("embedder", "use", SMALL, "--path", folder, *at)
    other = write_model(tmp_path / "other", seed=2)
    says = refused("embedder", "use", SMALL, "--path", str(other), *at)
    home = kept / "minishlab--potion-base-8M"
    assert says.startswith(f"{home} holds another model of this name")
    assert serving(path) == f"fastembed:{SMALL}"
    shutil.rmtree(home)
    assert "is not on this machine" in refused("search", QUERY, *at)
    assert done("embedder", "use", SMALL, "--path", str(other), *at)["embedded"] is True
    (home / "model.safetensors").write_bytes(b"cut off")
    assert "its files are damaged" in refused("search", QUERY, *at)
    assert done("embedder", "use", SMALL, "--path", str(other), *at)["embedded"] is False
    assert serving(path) == f"fastembed:{SMALL}"


def test_the_way_back_needs_no_fastembed(
    at: tuple[str, str], path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("embedder", "use", SMALL, "--path", folder, *at)
    monkeypatch.setitem(sys.modules, "fastembed", None)
    assert refused("search", QUERY, *at).startswith("fastembed cannot be imported here")
    assert done("embedder", "use", "static", *at)["embedded"]
    assert serving(path) == "static"


@pytest.mark.parametrize(
    "name", [SMALL, f"fastembed:{SMALL}", "potion-base-8M", "fastembed:POTION-base-8m"]
)
def test_a_model_is_known_by_its_name_or_the_last_part_of_it(
    at: tuple[str, str], folder: str, name: str
) -> None:
    over = done("embedder", "use", name, "--path", folder, *at)
    assert over["embedder"] == f"fastembed:{SMALL}"


def test_progress_goes_to_stderr_and_the_time_is_said_before(
    at: tuple[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "QUIET_SECONDS", 0)
    result = run("embedder", "use", SMALL, "--path", folder, *at)
    loading, works, *lines = result.stderr.splitlines()
    assert loading == f"flex-mcp: loading fastembed:{SMALL}"
    assert f"works: it takes about 1 s for {MANY} experiences" in works
    assert lines == [f"Embedding {count} of {MANY}" for count in (0, 64, 128, MANY)]
    assert result.stdout.startswith(f"The library uses fastembed:{SMALL} (version 1, 256 dim")
    assert "`flex-mcp embedder use static` goes back" in result.stdout


def test_a_real_model_finds_what_shares_no_word(
    at: tuple[str, str], path: Path, shared: Path
) -> None:
    folder = shared / "data" / "models" / "all-MiniLM-L6-v2"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    over = done("embedder", "use", "all-minilm-l6-v2", "--path", str(folder), *at)
    assert (over["embedder"], over["dimension"]) == (MINILM, 384)
    with open_library(path) as library:
        best = library.search("cooking legumes", abstain=False, limit=1).hits[0]
        assert "beans" in best.experience.lesson
    assert done("embedder", "use", "static", *at)["embedded"]
    assert serving(path) == "static"


# What is refused, and changes nothing


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("all-MiniLM-L6", "sentence-transformers/all-MiniLM-L6-v2"),
        ("fastembed:bge-smal-en-v1.5", "BAAI/bge-small-en-v1.5"),
        ("potion", "minishlab/potion-base-8M"),
        ("openai", "BAAI/bge-small-en-v1.5"),
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest(
    at: tuple[str, str], name: str, near: str
) -> None:
    says = refused("embedder", "use", name, *at)
    assert says.startswith(f"fastembed knows no model {name.removeprefix('fastembed:')!r}: take ")
    assert near in says


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def damaged(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"half a file")


def all_alike(folder: Path) -> None:
    write_model(folder, rows=np.ones_like)


def not_a_number(folder: Path) -> None:
    write_model(folder, rows=lambda values: values * np.float32(np.nan))


def all_zero(folder: Path) -> None:
    write_model(folder, rows=np.zeros_like)


def too_wide(folder: Path) -> None:
    write_model(folder, rows=lambda values: np.tile(values, 33))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_folder, "lacks tokenizer.json, model.safetensors"),
        (no_weights, "lacks model.safetensors"),
        (damaged, "its files are damaged or of another model"),
        (all_alike, "does not tell a related sentence from an unrelated one"),
        (not_a_number, "makes no unit vectors of 256 dimensions"),
        (all_zero, "makes no unit vectors of 256 dimensions"),
        (too_wide, "makes vectors of 8,448 dimensions and a library takes 8,192"),
    ],
)
def test_a_model_of_no_use_is_refused_before_anything_changes(
    at: tuple[str, str],
    path: Path,
    folder: str,
    kept: Path,
    spoil: Callable[[Path], None],
    says: str,
) -> None:
    spoil(Path(folder))
    assert says in refused("embedder", "use", SMALL, "--path", folder, *at)
    assert serving(path) == "static"
    assert not kept.exists()


def test_where_there_is_no_room_nothing_is_begun(
    at: tuple[str, str], path: Path, folder: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=1_000)

    monkeypatch.setattr("flex_mcp.search.model_files.shutil.disk_usage", full)
    says = refused("embedder", "use", SMALL, "--path", folder, *at)
    assert says.endswith("0 MB are free: make room, and try again")
    assert not kept.exists()
    monkeypatch.undo()
    assert serving(path) == "static"


def test_settings_that_would_refuse_the_embedder_afterwards_are_named(
    at: tuple[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused("embedder", "use", "static", "--path", folder, *at) == (
        "static is built in: leave --path out"
    )
    monkeypatch.setenv("FLEX_MCP_EMBEDDER_PATH", folder)
    says = refused("embedder", "use", SMALL, "--path", f"{folder}/other", *at)
    assert says.startswith(f"FLEX_MCP_EMBEDDER_PATH names {folder}, and --path another")
    monkeypatch.setenv("FLEX_MCP_EMBEDDER", "static")
    assert refused("embedder", "use", SMALL, *at) == (
        f"FLEX_MCP_EMBEDDER asks for 'static', so 'fastembed:{SMALL}' would be refused "
        f"afterwards: unset it, or set it to fastembed:{SMALL}"
    )
    monkeypatch.setenv("FLEX_MCP_EMBEDDER", f"fastembed:{SMALL}")
    assert done("embedder", "use", SMALL, *at)["embedded"]


def test_a_locked_library_is_refused_before_the_model_is_looked_for(
    at: tuple[str, str], path: Path, folder: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flex_mcp.storage.sqlite.file.BUSY_SECONDS", 0)
    with locked(path):
        assert "locked" in refused("embedder", "use", SMALL, "--path", folder, *at)
    assert not kept.exists()


# Over the network


@pytest.mark.process
def test_a_model_is_fetched_once_and_needs_no_network_afterwards(
    at: tuple[str, str], path: Path, folder: str, kept: Path
) -> None:
    with hub(Path(folder)) as address:
        result = process("embedder", "use", SMALL, *at, HF_ENDPOINT=address)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith(f"flex-mcp: fetching fastembed:{SMALL}, about 30 MB\n")
    assert sorted(one.name for one in (kept / "minishlab--potion-base-8M").glob("*.*")) == [
        ".cache",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert serving(path) == f"fastembed:{SMALL}"
    assert done("embedder", "use", "static", *at)["embedded"]
    assert done("embedder", "use", SMALL, *at)["embedded"]


@pytest.mark.process
def test_without_a_network_it_says_how_to_do_without(at: tuple[str, str], path: Path) -> None:
    result = process("embedder", "use", SMALL, *at, HF_ENDPOINT="http://127.0.0.1:9")
    assert (result.returncode, result.stdout) == (2, "")
    fetching, says = result.stderr.splitlines()
    assert fetching == f"flex-mcp: fetching fastembed:{SMALL}, about 30 MB"
    assert says == (
        f"flex-mcp: the model '{SMALL}' cannot be fetched (ConnectError): check the network and "
        f"try again, or bring its files in a folder and run "
        f"`flex-mcp embedder use {SMALL} --path FOLDER`"
    )
    assert serving(path) == "static"


# Killed, and beside others


@pytest.mark.process
def test_killed_in_the_middle_the_old_one_serves_and_the_next_run_goes_on(
    at: tuple[str, str],
    path: Path,
    folder: str,
    begin: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "QUIET_SECONDS", 0)
    worker = begin("go-over", path, WIDE, str(write_model(Path(folder), WIDE)))
    until(worker, 64)
    worker.process.kill()
    worker.process.communicate()
    assert serving(path) == "static"
    assert run("doctor", *at).exit_code in {0, 1}
    result = run("embedder", "use", WIDE, *at)
    assert result.exit_code == 0
    counts = [line for line in result.stderr.splitlines() if line.startswith("Embedding")]
    assert counts == [f"Embedding {count} of {MANY}" for count in (64, 128, MANY)]
    assert serving(path) == f"fastembed:{WIDE}"


@pytest.mark.process
def test_who_changes_their_mind_leaves_nothing_behind(
    at: tuple[str, str], path: Path, folder: str, begin: Callable[..., Worker]
) -> None:
    worker = begin("go-over", path, SMALL, folder)
    until(worker, 64)
    worker.process.kill()
    worker.process.communicate()
    assert done("embedder", "use", "static", *at)["embedded"] is False
    with open_library(path) as library, library.reading() as reading:
        assert reading.reindexing.count_missing() == MANY


@pytest.mark.process
@pytest.mark.anyio
async def test_a_running_server_goes_on_and_then_uses_the_new_one(
    path: Path, folder: str, begin: Callable[..., Worker]
) -> None:
    app = App(library=str(path))

    async def search(client: Client) -> Any:
        answer = await client.call_tool("search_experience", {"query": QUERY})
        assert not answer.is_error
        content = answer.structured_content
        assert content
        assert content["hits"][0]["lesson"] == LESSONS[0]
        return content.get("notice")

    async with Client(build_server(app)) as client:
        assert await search(client) is None
        worker = begin("go-over", path, WIDE, str(write_model(Path(folder), WIDE)))
        until(worker, 64)
        assert await search(client) is None
        recorded: dict[str, Any] = {"task": "Repair the bicycle", "outcome": "success"}
        assert not (await client.call_tool("record_trajectory", recorded)).is_error
        assert finish(worker) == {"over": True}
        assert await search(client) == "1 recorded trajectory has no lessons yet: distill."
        lesson = {
            "zone": "golden",
            "level": "pattern",
            "title": "T",
            "when": "",
            "lesson": "oil it",
        }
        recorded = {"task": "Oil the chain", "outcome": "success", "lessons": [lesson]}
        answer = await client.call_tool("record_trajectory", recorded)
        assert answer.structured_content
        assert answer.structured_content["decisions"][0]["decision"] == "add"
    app.close()
    assert serving(path) == f"fastembed:{WIDE}"


@pytest.mark.process
def test_of_two_that_go_different_ways_the_later_goes_on(
    path: Path, folder: str, tmp_path: Path, begin: Callable[..., Worker]
) -> None:
    earlier = begin("go-over", path, SMALL, folder)
    until(earlier, 64)
    later = begin("go-over", path, WIDE, str(write_model(tmp_path / "wide", WIDE)))
    until(later, 64)
    assert "another reindex of this library is under way" in finish(earlier)["error"]
    assert serving(path) == "static"
    assert finish(later) == {"over": True}
    assert serving(path) == f"fastembed:{WIDE}"
