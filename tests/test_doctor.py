"""The doctor: what it finds, how it says to mend it, and that it changes nothing."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner
from support.terminal import run

from flex_mcp import __version__, open_library
from flex_mcp.cli.main import main
from flex_mcp.clients.places import Machine
from flex_mcp.maintenance.doctor import Patient, examine
from flex_mcp.search import embedder
from flex_mcp.search.encoder import encoder
from flex_mcp.search.token_match import tokens

LONG = "/" + "x" * 300  # longer than a file's name can be
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX modes and scripts")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project that is worked in, with nothing on the PATH and no client's variables."""
    unset = "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "PYTHONPATH", "UV", "UV_CACHE_DIR"
    for name in (*unset, "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library, closed."""
    file = tmp_path / "own" / "library.db"
    monkeypatch.setenv("FLEX_MCP_LIBRARY", str(file))
    open_library(file).close()
    return file


def examined(*arguments: str) -> dict[str, Any]:
    result = run("doctor", *arguments, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["sound"] else 1)
    assert all(one["mend"] for one in answer["checks"] if one["state"] != "ok")
    return answer


def found(name: str, *arguments: str) -> tuple[str, str]:
    """The state of a check, and what it says with how to mend it; the worst of several."""
    checks = [one for one in examined(*arguments)["checks"] if one["name"] == name]
    worst = max(checks, key=lambda one: ["ok", "warning", "fault"].index(one["state"]))
    return worst["state"], f"{worst['says']} → {worst['mend']}"


def listing(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [one for one in folder.rglob("*") if one.is_file()]
    return {str(one): (one.read_bytes(), one.stat().st_mtime_ns) for one in files}


def configure(client_file: str, root: str, entry: object) -> Path:
    file = Path.home() / client_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({root: {"flex-mcp": entry}}), encoding="utf-8")
    return file


def test_a_fresh_installation_is_sound(tmp_path: Path) -> None:
    result = run("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        "library.db is not there yet: the first record, import or call of a client makes it"
        in result.stdout
    )
    assert "→ run `flex-mcp install CLIENT`" in result.stdout
    names = [one["name"] for one in examined()["checks"]]
    parts = ["interpreter", "sqlite", "sqlite-vec", "settings", "library", "embedder"]
    assert names == [*parts, "model", "clients"]
    assert listing(tmp_path) == {}
    assert listing(Path.home()) == {}


def test_it_says_what_the_parts_are(path: Path) -> None:
    assert __version__ in found("interpreter")[1]
    assert apsw.sqlite_lib_version() in found("sqlite")[1]
    assert str(path) in found("library")[1]
    assert found("embedder")[1].startswith("ours, version ")


@pytest.mark.process
@pytest.mark.parametrize("name", ["apsw", "sqlite_vec", "numpy", "tokenizers"])
def test_a_package_that_cannot_be_imported_is_a_fault_and_the_rest_is_looked_at(
    name: str, path: Path
) -> None:
    without = (
        f"import sys; sys.modules[{name!r}] = None; from flex_mcp.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", without, "doctor", "--library", str(path), "--json"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1, done.stderr
    checks = json.loads(done.stdout)["checks"]
    faults = [one for one in checks if one["state"] == "fault"]
    assert all("install flex-mcp again" in one["mend"] for one in faults)
    assert any(name in one["says"] for one in faults)
    assert {"model", "clients"} <= {one["name"] for one in checks}


def test_an_extension_that_does_not_load_is_a_fault_and_the_rest_is_looked_at(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flex_mcp.storage.sqlite.file.EXTENSION", str(tmp_path / "gone"))
    for name in ("sqlite-vec", "library"):
        state, says = found(name)
        assert (state, says.count("install flex-mcp again")) == ("fault", 1)
    assert found("embedder", "--library", str(path))[0] == "ok"
    assert found("model")[0] == "ok"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", None),
        ("vectors.safetensors", "short"),
        ("encoder.safetensors", "short"),
    ],
)
def test_broken_files_of_the_embedder_are_a_fault_and_the_rest_is_looked_at(
    name: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "vectors"
    shutil.copytree(Path(embedder.__file__).with_name("vectors"), copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_text(content, encoding="utf-8")

    def files(_: str) -> Path:
        return tmp_path

    for module in ("token_match", "encoder"):
        monkeypatch.setattr(f"flex_mcp.search.{module}.files", files)
    tokens.cache_clear()
    encoder.cache_clear()
    state, says = found("embedder")
    assert (state, says.count("install flex-mcp again")) == ("fault", 1)
    assert found("model")[0] == "ok"


# The library


def test_looking_at_a_library_leaves_every_byte_and_makes_no_file(path: Path) -> None:
    before = listing(path.parent)
    assert found("library")[0] == "ok"
    assert listing(path.parent) == before


def test_a_library_that_is_in_use_is_looked_at_as_it_is_now(path: Path) -> None:
    path.unlink()
    with open_library(path):  # what it holds is still in its -wal
        before = {
            name: content for name, content in listing(path.parent).items() if "shm" not in name
        }
        state, says = found("library")
        after = {
            name: content for name, content in listing(path.parent).items() if "shm" not in name
        }
    assert (state, after) == ("ok", before)
    assert "schema 0" not in says


def test_files_that_are_no_library_are_faults_and_stay(path: Path) -> None:
    path.write_bytes(b"no library at all")
    state, says = found("library")
    assert state == "fault"
    assert says.startswith(f"{path} is damaged or no library of flex-mcp; it was left as it is → ")
    path.write_bytes(b"x")
    assert found("library")[0] == "fault"
    path.unlink()
    with apsw.Connection(str(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()
    assert "another program" in found("library")[1]
    path.unlink()
    path.mkdir()
    assert found("library")[1].startswith(f"{path} is no file → name a file")


def test_an_empty_file_becomes_a_library_when_it_is_opened(path: Path) -> None:
    path.write_bytes(b"")
    state, says = found("library")
    assert state == "ok"
    assert "brought up to date when it is next opened" in says


def test_a_library_of_a_newer_version_is_a_fault(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    state, says = found("library")
    assert state == "fault"
    assert says.endswith("→ upgrade flex-mcp")


@posix
def test_a_place_where_no_library_can_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state, says = found("library", "--library", str(tmp_path / "file" / "library.db"))
    assert state == "fault"
    assert "cannot be made" in says
    (tmp_path / "link.db").symlink_to(tmp_path / "gone.db")
    assert "leads nowhere" in found("library", "--library", str(tmp_path / "link.db"))[1]


@posix
def test_a_library_that_cannot_be_reached_is_a_fault_and_the_rest_is_looked_at(
    tmp_path: Path,
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for unreachable in (loop / "library.db", Path(LONG)):
        state, says = found("library", "--library", str(unreachable))
        assert (state, says.startswith(f"{unreachable} cannot be reached (")) == ("fault", True)
    assert found("model", "--library", str(unreachable))[0] == "ok"


@posix
def test_files_and_folders_that_others_may_read_or_write_are_warned_of(path: Path) -> None:
    assert found("permissions")[0] == "ok"
    path.chmod(0o644)
    state, says = found("permissions")
    assert (state, says.endswith(f"→ chmod 600 {path}")) == ("warning", True)
    spaced = path.rename(path.with_name("it's mine.db"))
    words = shlex.split(found("permissions", "--library", str(spaced))[1].partition("→ ")[2])
    assert words == ["chmod", "600", str(spaced)]
    path = spaced.rename(path)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert "chmod go-w" in found("permissions")[1]


# Settings, embedder, model


def test_an_embedder_that_does_not_match_the_library_is_a_fault(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = apsw.Connection(str(path))
    made_by = {"embedder": "static", "version": "0", "dimension": 8}
    connection.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES ('vectors', ?)", (json.dumps(made_by),)
    )
    connection.close()
    state, says = found("embedder")
    assert state == "warning"
    assert says.endswith("→ run `flex-mcp reindex`")
    monkeypatch.setenv("FLEX_MCP_EMBEDDER", "fastembed:some/model")
    state, says = found("embedder")
    assert state == "fault"
    assert "run `flex-mcp reindex`" in says


@pytest.mark.parametrize(
    ("name", "value", "check", "says"),
    [
        ("FLEX_MCP_DISTILLER", "nobody", "settings", "FLEX_MCP_DISTILLER cannot be 'nobody'"),
        ("FLEX_MCP_PROMPTS", "/no/such/folder", "settings", "which is no folder → correct it"),
        ("FLEX_MCP_EMBEDDER_PATH", "/no/such/folder", "settings", "which is no folder"),
        ("FLEX_MCP_LIBRARY", "~nobody-of-this-name/l.db", "settings", "→ write it out"),
        ("ANTHROPIC_BASE_URL", "localhost:1", "settings", "begin it with https://"),
        ("FLEX_MCP_EMBEDDER", "magic", "embedder", "there is no embedder 'magic'"),
        ("FLEX_MCP_DISTILLER", "anthropic", "model", "ANTHROPIC_API_KEY is not set → set it"),
    ],
)
def test_a_setting_that_cannot_be_used_is_a_fault(
    name: str, value: str, check: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    state, sentence = found(check)
    assert state == "fault"
    assert says in sentence


def test_the_road_to_a_model_is_named_and_no_key_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert found("model")[1].startswith("the client's model, where it is lent, or your assistant")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://ada:secret@127.0.0.1:9/v1")
    said = run("doctor").stdout
    assert "claude-haiku-5-5 at 127.0.0.1 writes lessons; ANTHROPIC_API_KEY is set" in said
    assert "secret" not in said
    monkeypatch.setenv("FLEX_MCP_DISTILLER", "assistant")
    assert found("model")[1].startswith("your assistant writes lessons")


# Clients


def test_a_client_that_was_installed_is_sound(path: Path) -> None:
    CliRunner().invoke(main, ["install", "codex", "--library", str(path)])
    state, says = found("clients")
    assert state == "ok"
    assert f"-m flex_mcp, library {path}" in says


@posix
@pytest.mark.parametrize(
    ("entry", "state", "says"),
    [
        (
            {"command": "/no/such/python", "args": ["-P", "-m", "flex_mcp"]},
            "fault",
            "cannot be run",
        ),
        ({"command": "uvx", "args": ["flex-mcp"]}, "warning", "has no full path"),
        ({"command": "/bin/sh", "env": {"FLEX_MCP_LIBRARY": "/"}}, "warning", "is a folder"),
        ({"command": "/bin/sh", "env": {"FLEX_MCP_LIBRARY": "l.db"}}, "warning", "no full path"),
        ({"command": "/bin/sh", "env": {"FLEX_MCP_LIBRARY": LONG}}, "warning", "cannot be reached"),
        ({"url": "http://127.0.0.1:8765/mcp"}, "ok", "an address"),
        ({"command": 5}, "fault", "starts nothing"),
        (None, "fault", "starts nothing"),
    ],
)
def test_an_entry_that_would_not_start_is_found(entry: object, state: str, says: str) -> None:
    configure(".cursor/mcp.json", "mcpServers", entry)
    answer = found("clients")
    assert answer[0] == state
    assert says in answer[1]
    assert (state == "ok") or "run `flex-mcp install cursor" in answer[1]


@posix
def test_an_entry_whose_library_lies_nowhere_is_given_another_by_what_the_doctor_says(
    tmp_path: Path,
) -> None:
    lost = {"command": "/bin/sh", "env": {"FLEX_MCP_LIBRARY": str(tmp_path / "gone/library.db")}}
    configure(".cursor/mcp.json", "mcpServers", lost)
    assert f"{tmp_path / 'gone'}, is not there" in found("clients")[1]
    assert "run `flex-mcp install cursor --library PATH`" in found("clients")[1]


@posix
def test_an_entry_of_another_version_or_in_uvs_cache_is_warned_of(tmp_path: Path) -> None:
    def python(prefix: str) -> str:
        command = tmp_path / prefix / "bin" / "python"
        command.parent.mkdir(parents=True)
        command.touch(mode=0o755)
        return str(command)

    old = python("old")
    (tmp_path / "old/lib/python3.12/site-packages/flex_mcp-0.0.1.dist-info").mkdir(parents=True)
    configure(".cursor/mcp.json", "mcpServers", {"command": old, "args": ["-P", "-m", "flex_mcp"]})
    assert "it starts version 0.0.1" in found("clients")[1]
    cached = python("uv/archive-v0/xyz")
    configure(
        ".cursor/mcp.json", "mcpServers", {"command": cached, "args": ["-P", "-m", "flex_mcp"]}
    )
    assert "uv's cache" in found("clients")[1]
    cached = python("pipx/380b382ebd53531")
    (tmp_path / "pipx/380b382ebd53531/pipx_metadata.json").touch()
    configure(
        ".cursor/mcp.json", "mcpServers", {"command": cached, "args": ["-P", "-m", "flex_mcp"]}
    )
    assert "pipx's cache" in found("clients")[1]


@posix
@pytest.mark.parametrize(
    ("args", "is_stale"),
    [
        (["-m", "flex_mcp"], True),
        (["-X", "utf8", "-m", "flex_mcp", "serve"], True),
        (["-Wignore::ImportWarning", "-m", "flex_mcp"], True),
        (["-m", "flex_mcp", "-P"], True),
        (["-P", "-m", "flex_mcp"], False),
        (["-IB", "-m", "flex_mcp", "serve"], False),
        (["serve"], False),
        (["run", "-m", "512m", "flex_mcp"], False),
    ],
)
def test_an_entry_that_runs_code_of_the_open_folder_is_stale_and_installing_mends_it(
    *, args: list[str], is_stale: bool
) -> None:
    configure(".cursor/mcp.json", "mcpServers", {"command": sys.executable, "args": args})
    state, says = found("clients")
    assert (state, "it is stale: without -P" in says) == (
        ("warning", True) if is_stale else ("ok", False)
    )
    assert ("→ run `flex-mcp install cursor`" in says) == is_stale
    run("install", "cursor")
    assert found("clients")[0] == "ok"


def test_a_python_path_that_names_the_current_folder_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value in (".", "src", os.pathsep + "/x", "/x" + os.pathsep):
        monkeypatch.setenv("PYTHONPATH", value)
        state, says = found("interpreter")
        assert (state, f"PYTHONPATH={value} has Python run" in says) == ("warning", True)
    for value in ("", str(Path.home())):
        monkeypatch.setenv("PYTHONPATH", value)
        assert found("interpreter")[0] == "ok"


STARTED = {"command": sys.executable, "args": ["-P", "-m", "flex_mcp"]}


@pytest.mark.parametrize(
    ("entry", "state", "says"),
    [
        (STARTED | {"disabled": True}, "warning", "it is switched off there"),
        (STARTED | {"args": "-P -m flex_mcp"}, "fault", "our entry starts nothing"),
        (STARTED | {"env": {"PYTHONPATH": "."}}, "warning", "PYTHONPATH=. has Python run"),
        (
            STARTED | {"args": [*STARTED["args"], "--library", "./l.db"]},
            "warning",
            "no full path",
        ),
    ],
)
def test_an_entry_that_does_not_do_what_it_should_is_found(
    entry: object, state: str, says: str
) -> None:
    configure(".cursor/mcp.json", "mcpServers", entry)
    told, words = found("clients")
    assert (told, says in words) == (state, True)


def in_project(folder: Path, entry: object) -> None:
    (folder / ".cursor").mkdir(exist_ok=True)
    text = json.dumps({"mcpServers": {"flex-mcp": entry}})
    (folder / ".cursor" / "mcp.json").write_text(text, encoding="utf-8")


@posix
def test_a_projects_entry_names_what_is_on_the_path_and_no_path_of_this_machine(
    folder: Path, tmp_path: Path
) -> None:
    mend = "→ run `flex-mcp install cursor --scope project`"
    in_project(folder, {"command": "flex-mcp"})
    assert found("clients")[1].endswith(f"flex-mcp is not on the PATH here {mend}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "flex-mcp").touch(mode=0o755)
    (folder / "l.db").touch()
    for library in ("${workspaceFolder}/l.db", "~/l.db"):
        entry = {"command": "flex-mcp", "env": {"FLEX_MCP_LIBRARY": library}}
        in_project(folder, entry)
        assert found("clients")[0] == "ok"
    in_project(folder, {"command": sys.executable, "args": ["-P", "-m", "flex_mcp"]})
    state, says = found("clients")
    assert (state, "others who share the file lack" in says) == ("warning", True)
    assert says.endswith(mend)


def test_an_entry_under_another_clients_key_is_a_fault(folder: Path) -> None:
    (folder / ".vscode").mkdir()
    text = json.dumps({"mcpServers": {"flex-mcp": {"command": "flex-mcp"}}})
    (folder / ".vscode" / "mcp.json").write_text(text, encoding="utf-8")
    state, says = found("clients")
    assert state == "fault"
    assert "our entry is not under `servers`" in says
    assert says.endswith("→ run `flex-mcp install vscode --scope project`")


@pytest.mark.parametrize(
    ("client_file", "root", "is_read"),
    [
        (".gemini/settings.json", "mcpServers", False),
        (".claude.json", "mcpServers", False),
        (".codeium/windsurf/mcp_config.json", "mcpServers", False),
        (".config/Code/User/mcp.json", "servers", True),
    ],
)
def test_a_byte_order_mark_is_a_fault_where_the_client_does_not_read_it(
    *, client_file: str, root: str, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    entry = {"command": sys.executable, "args": ["-P", "-m", "flex_mcp"]}
    file = configure(client_file, root, entry)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    state, says = found("clients")
    assert (state, "byte order mark" in says) == (("ok", False) if is_read else ("fault", True))
    assert is_read or "which takes it away" in says
    file.write_bytes(b"\xef\xbb\xbf{}")
    assert (found("clients")[0] == "fault") == (not is_read)


def test_commas_that_a_client_does_not_read_are_a_fault() -> None:
    file = configure(".gemini/settings.json", "mcpServers", {})
    file.write_text('{"mcpServers": {"flex-mcp": {"command": "/bin/sh"},},} // x', "utf-8")
    state, says = found("clients")
    assert (state, "a comma at an end is not allowed here" in says) == ("fault", True)


def test_a_clients_file_that_cannot_be_read_is_a_fault_without_its_secrets() -> None:
    file = configure(".gemini/settings.json", "mcpServers", {})
    file.write_text('{"key": secret', encoding="utf-8")
    said = run("doctor").stdout
    assert "secret" not in said
    assert "→ mend it first" in said
    assert found("clients")[0] == "fault"


@posix
def test_run_by_uvx_it_says_what_clients_are_given(tmp_path: Path) -> None:
    uvx = tmp_path / "bin" / "uvx"
    uvx.parent.mkdir()
    uvx.touch(mode=0o755)

    def interpreter(search: str) -> tuple[str, str]:
        machine = Machine(
            system="linux", home=tmp_path, folder=tmp_path, variables={"PATH": search}
        )
        prefix = str(tmp_path / "uv" / "archive-v0" / "x")
        patient = Patient(machine=machine, executable="python", prefix=prefix, version="1")
        check = examine(patient)[0]
        return str(check.state), check.says

    state, says = interpreter(str(uvx.parent))
    assert (state, str(uvx) in says) == ("ok", True)
    assert interpreter("")[0] == "warning"


def test_faults_end_with_one_sentence_and_exit_code_1(path: Path) -> None:
    shutil.copy(__file__, path)
    result = run("doctor")
    assert (result.exit_code, result.stderr) == (1, "flex-mcp: the doctor found 1 fault\n")
    assert "fault    library" in result.stdout
