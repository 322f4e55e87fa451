"""flex-mcp in the clients' configuration: put in, taken out, and everything else as it was."""

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stdio_server import Pipes, initialized
from support.terminal import done, done_json, refused, run

from flex_mcp.clients import claude
from flex_mcp.clients.catalog import CLIENTS, ROOTS
from flex_mcp.clients.entries import Start, entry, shared_library, shared_start, start, started
from flex_mcp.clients.files import BACKUPS
from flex_mcp.clients.installing import Clients, Made
from flex_mcp.clients.jsonc import Json, SyntaxFaultError
from flex_mcp.clients.places import ClientName, Machine, Place, Scope, places
from flex_mcp.clients.programs import find
from flex_mcp.clients.toml import Toml
from flex_mcp.errors import ClientError
from flex_mcp.settings import environment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = ("mcpServers", "flex-mcp")
MODULE = ["-P", "-m", "flex_mcp"]
OURS = {"command": "/bin/python", "args": MODULE}
SERVERS = {
    "claude-desktop": "mcpServers",
    "claude-code": "mcpServers",
    "cursor": "mcpServers",
    "vscode": "servers",
    "codex": "mcp_servers",
    "gemini": "mcpServers",
    "opencode": "mcp",
    "windsurf": "mcpServers",
    "zed": "context_servers",
    "cline": "mcpServers",
    "junie": "mcpServers",
    "copilot-cli": "mcpServers",
}
NAMED = [*map(str, ClientName)]
SHARED = [one for one in NAMED if one not in {"claude-desktop", "windsurf", "zed", "cline"}]
VARIABLES = (
    *("CLAUDE_CONFIG_DIR", "CLINE_DATA_DIR", "CODEX_HOME", "COPILOT_HOME", "GEMINI_CLI_HOME"),
    *("PATHEXT", "PYTHONPATH", "UV", "UV_CACHE_DIR", "XDG_CONFIG_HOME"),
)
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX modes, links and scripts")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project that is worked in, with us alone on the PATH and no variables of clients set."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    program(tmp_path / "bin" / "flex-mcp")
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def the_file(client: str, *options: str) -> Path:
    (change,) = done_json("install", client, "--dry-run", *options)["changes"]
    return Path(change["file"])


def put(client: str, text: str | bytes) -> Path:
    """A configuration as the client's user has it."""
    path = the_file(client)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def made(client: str, *options: str, verb: str = "install") -> str:
    (change,) = done_json(verb, client, *options)["changes"]
    return change["made"]


def data(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8-sig")
    return tomllib.loads(text) if path.suffix == ".toml" else Json(comments=True).data(text)


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(path.name + ".flex-mcp-backup-*"))


# Where


LINUX = Machine(
    system="linux", home=PurePosixPath("/home/ada"), folder=PurePosixPath("/project"), variables={}
)
MAC = Machine(
    system="darwin",
    home=PurePosixPath("/Users/ada"),
    folder=PurePosixPath("/project"),
    variables={},
)
WINDOWS = Machine(
    system="windows",
    home=PureWindowsPath("C:/Users/Ada"),
    folder=PureWindowsPath("D:/project"),
    variables={},
)


def paths(machine: Machine, scope: Scope = Scope.USER) -> dict[str, list[str]]:
    def shown(place: Place) -> list[str]:
        return [str(place.folder / place.below / name) for name in place.names]

    return {
        str(client): [path for place in places(client, scope, machine) for path in shown(place)]
        for client in ClientName
    }


def with_variables(machine: Machine, **variables: str) -> Machine:
    return Machine(
        system=machine.system, home=machine.home, folder=machine.folder, variables=variables
    )


def test_the_places_on_linux() -> None:
    assert paths(LINUX) == {
        "claude-desktop": ["/home/ada/.config/Claude/claude_desktop_config.json"],
        "claude-code": ["/home/ada/.claude.json"],
        "cursor": ["/home/ada/.cursor/mcp.json"],
        "vscode": ["/home/ada/.config/Code/User/mcp.json"],
        "codex": ["/home/ada/.codex/config.toml"],
        "gemini": ["/home/ada/.gemini/settings.json"],
        "opencode": [
            "/home/ada/.config/opencode/opencode.jsonc",
            "/home/ada/.config/opencode/opencode.json",
        ],
        "windsurf": ["/home/ada/.codeium/windsurf/mcp_config.json"],
        "zed": ["/home/ada/.config/zed/settings.json"],
        "cline": ["/home/ada/.cline/data/settings/cline_mcp_settings.json"],
        "junie": ["/home/ada/.junie/mcp/mcp.json"],
        "copilot-cli": ["/home/ada/.copilot/mcp-config.json"],
    }


def test_the_places_on_macos() -> None:
    support = "/Users/ada/Library/Application Support"
    assert paths(MAC) == {
        "claude-desktop": [f"{support}/Claude/claude_desktop_config.json"],
        "claude-code": ["/Users/ada/.claude.json"],
        "cursor": ["/Users/ada/.cursor/mcp.json"],
        "vscode": [f"{support}/Code/User/mcp.json"],
        "codex": ["/Users/ada/.codex/config.toml"],
        "gemini": ["/Users/ada/.gemini/settings.json"],
        "opencode": [
            "/Users/ada/.config/opencode/opencode.jsonc",
            "/Users/ada/.config/opencode/opencode.json",
        ],
        "windsurf": ["/Users/ada/.codeium/windsurf/mcp_config.json"],
        "zed": ["/Users/ada/.config/zed/settings.json"],
        "cline": ["/Users/ada/.cline/data/settings/cline_mcp_settings.json"],
        "junie": ["/Users/ada/.junie/mcp/mcp.json"],
        "copilot-cli": ["/Users/ada/.copilot/mcp-config.json"],
    }


def test_the_places_on_windows() -> None:
    ada = r"C:\Users\Ada"
    file = "claude_desktop_config.json"
    assert paths(WINDOWS) == {
        "claude-desktop": [
            rf"{ada}\AppData\Local\Claude-Data\[Cc]laude_*\{file}",
            rf"{ada}\AppData\Local\Packages\Claude_*\LocalCache\Roaming\Claude\{file}",
            rf"{ada}\AppData\Roaming\Claude\{file}",
        ],
        "claude-code": [rf"{ada}\.claude.json"],
        "cursor": [rf"{ada}\.cursor\mcp.json"],
        "vscode": [rf"{ada}\AppData\Roaming\Code\User\mcp.json"],
        "codex": [rf"{ada}\.codex\config.toml"],
        "gemini": [rf"{ada}\.gemini\settings.json"],
        "opencode": [
            rf"{ada}\.config\opencode\opencode.jsonc",
            rf"{ada}\.config\opencode\opencode.json",
        ],
        "windsurf": [rf"{ada}\.codeium\windsurf\mcp_config.json"],
        "zed": [rf"{ada}\AppData\Roaming\Zed\settings.json"],
        "cline": [rf"{ada}\.cline\data\settings\cline_mcp_settings.json"],
        "junie": [rf"{ada}\.junie\mcp\mcp.json"],
        "copilot-cli": [rf"{ada}\.copilot\mcp-config.json"],
    }


@pytest.mark.parametrize(
    ("machine", "variable", "value", "client", "path"),
    [
        (LINUX, "XDG_CONFIG_HOME", "/x", "claude-desktop", "/x/Claude/claude_desktop_config.json"),
        (LINUX, "XDG_CONFIG_HOME", "/x", "vscode", "/x/Code/User/mcp.json"),
        (LINUX, "XDG_CONFIG_HOME", "/x", "opencode", "/x/opencode/opencode.json"),
        (MAC, "XDG_CONFIG_HOME", "/x", "opencode", "/x/opencode/opencode.json"),
        (MAC, "XDG_CONFIG_HOME", "/x", "codex", "/Users/ada/.codex/config.toml"),
        (LINUX, "CLAUDE_CONFIG_DIR", "/c", "claude-code", "/c/.claude.json"),
        (LINUX, "CODEX_HOME", "/c", "codex", "/c/config.toml"),
        (LINUX, "CODEX_HOME", "here", "codex", "/project/here/config.toml"),
        (LINUX, "CODEX_HOME", "", "codex", "/home/ada/.codex/config.toml"),
        (LINUX, "GEMINI_CLI_HOME", "/g", "gemini", "/g/.gemini/settings.json"),
        (LINUX, "XDG_CONFIG_HOME", "/x", "zed", "/x/zed/settings.json"),
        (MAC, "XDG_CONFIG_HOME", "/x", "zed", "/Users/ada/.config/zed/settings.json"),
        (LINUX, "CLINE_DATA_DIR", "/c", "cline", "/c/settings/cline_mcp_settings.json"),
        (MAC, "COPILOT_HOME", "/c", "copilot-cli", "/c/mcp-config.json"),
        (WINDOWS, "APPDATA", r"E:\R", "zed", r"E:\R\Zed\settings.json"),
        (WINDOWS, "APPDATA", r"E:\R", "vscode", r"E:\R\Code\User\mcp.json"),
        (WINDOWS, "APPDATA", r"E:\R", "claude-desktop", r"E:\R\Claude\claude_desktop_config.json"),
    ],
)
def test_the_variables_that_a_client_honours_move_its_file(
    machine: Machine, variable: str, value: str, client: str, path: str
) -> None:
    assert paths(with_variables(machine, **{variable: value}))[client][-1] == path


@pytest.mark.parametrize("machine", [LINUX, MAC, WINDOWS], ids=lambda one: one.system)
def test_a_projects_files_lie_in_the_current_folder(machine: Machine) -> None:
    assert {
        name: [file.replace("\\", "/").removeprefix("D:") for file in files]
        for name, files in paths(machine, Scope.PROJECT).items()
    } == {
        "claude-desktop": [],
        "claude-code": ["/project/.mcp.json"],
        "cursor": ["/project/.cursor/mcp.json"],
        "vscode": ["/project/.vscode/mcp.json"],
        "codex": ["/project/.codex/config.toml"],
        "gemini": ["/project/.gemini/settings.json"],
        "opencode": ["/project/opencode.jsonc", "/project/opencode.json"],
        "windsurf": [],
        "zed": [],
        "cline": [],
        "junie": ["/project/.junie/mcp/mcp.json"],
        "copilot-cli": ["/project/.github/mcp.json"],
    }


def test_a_scope_that_a_client_lacks_is_refused_with_those_it_has() -> None:
    for verb in ("install", "uninstall"):
        sentence = refused(verb, "claude-desktop", "--scope", "project")
        assert sentence == "Claude Desktop has no project scope: take --scope user"
    assert "claude-desktop" in refused("install", "notepad")
    assert "claude-desktop, claude-code, cursor" in refused("uninstall")


# What


@pytest.mark.parametrize(
    ("client", "form"),
    [
        (
            "claude-desktop",
            {"command": "/p", "args": ["-m", "f"], "env": {"FLEX_MCP_LIBRARY": "/l"}},
        ),
        (
            "vscode",
            {
                "type": "stdio",
                "command": "/p",
                "args": ["-m", "f"],
                "env": {"FLEX_MCP_LIBRARY": "/l"},
            },
        ),
        (
            "opencode",
            {
                "type": "local",
                "command": ["/p", "-m", "f"],
                "environment": {"FLEX_MCP_LIBRARY": "/l"},
            },
        ),
        ("zed", {"command": "/p", "args": ["-m", "f"], "env": {"FLEX_MCP_LIBRARY": "/l"}}),
        (
            "copilot-cli",
            {
                "type": "local",
                "command": "/p",
                "args": ["-m", "f"],
                "env": {"FLEX_MCP_LIBRARY": "/l"},
                "tools": ["*"],
            },
        ),
    ],
)
def test_the_entry_has_the_clients_form(client: str, form: dict[str, Any]) -> None:
    assert entry(ClientName(client), Start("/p", ("-m", "f"), "/l")) == form


@given(st.sampled_from(ClientName), st.text(min_size=1), st.lists(st.text()), st.none() | st.text())
def test_what_an_entry_starts_can_be_read_back(
    client: ClientName, command: str, args: list[str], library: str | None
) -> None:
    begun = Start(command, tuple(args), library)
    assert started(entry(client, begun)) == begun


def test_the_command_is_this_environments_python_even_where_that_is_a_link(tmp_path: Path) -> None:
    assert start(sys.executable, sys.prefix, {}).args == ("-P", "-m", "flex_mcp")
    link = tmp_path / "venv" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(sys.executable)
    assert start(str(link), str(tmp_path / "venv"), {}).command == str(link)


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


@posix
@pytest.mark.parametrize(
    ("prefix", "variables"),
    [
        ("cache/uv/archive-v0/xB3k", {}),
        ("cache/uv/environments-v2/flex-1a2b", {}),
        ("tmp/.tmpqNPPtC/builds-v0/.tmp1", {}),
        ("elsewhere/xB3k", {"UV_CACHE_DIR": "elsewhere"}),
    ],
)
def test_run_by_uvx_the_command_is_uvx_itself(
    prefix: str, variables: dict[str, str], tmp_path: Path
) -> None:
    uvx = program(tmp_path / "home" / ".local" / "bin" / "uvx")
    variables = {name: str(tmp_path / value) for name, value in variables.items()}
    inside = str(tmp_path / prefix)
    for found_by in ({"PATH": str(uvx.parent)}, {"PATH": "", "UV": str(uvx.with_name("uv"))}):
        begun = start(f"{inside}/bin/python", inside, variables | found_by)
        assert begun == Start(str(uvx), ("flex-mcp",))
    with pytest.raises(ClientError, match="put uvx, which is not found, on the PATH"):
        start(f"{inside}/bin/python", inside, variables | {"PATH": ""})


def test_run_by_pipx_without_an_installation_it_is_refused(tmp_path: Path) -> None:
    cached, installed = tmp_path / "pipx" / "380b382ebd53531", tmp_path / "venvs" / "flex-mcp"
    for folder in (cached, installed):
        folder.mkdir(parents=True)
        (folder / "pipx_metadata.json").touch()
    with pytest.raises(ClientError, match="does not last: run `pipx install flex-mcp`"):
        start(str(cached / "bin" / "python"), str(cached), {})
    python = str(installed / "bin" / "python")
    assert start(python, str(installed), {}).command == python


def test_a_tool_that_uv_installed_lasts_and_starts_itself(tmp_path: Path) -> None:
    tool = tmp_path / ".local" / "share" / "uv" / "tools" / "flex-mcp"
    begun = start(str(tool / "bin" / "python"), str(tool), {"UV_CACHE_DIR": str(tmp_path / "c")})
    assert begun == Start(str(tool / "bin" / "python"), ("-P", "-m", "flex_mcp"))


def test_the_library_of_an_entry_has_its_full_path(folder: Path) -> None:
    path = Path(done_json("install", "cursor", "--library", "mine.db")["changes"][0]["file"])
    server = data(path)["mcpServers"]["flex-mcp"]
    assert server["env"] == {"FLEX_MCP_LIBRARY": str(folder / "mine.db")}
    assert made("cursor", "--library", "~/yours.db") == "replaced"
    server = data(path)["mcpServers"]["flex-mcp"]
    assert server["env"] == {"FLEX_MCP_LIBRARY": str(Path.home() / "yours.db")}
    assert "name a file in it" in refused("install", "cursor", "--library", str(folder))


def test_what_a_user_added_to_our_entry_stays_and_is_not_shown() -> None:
    own = {
        "command": "/old/python",
        "args": ["-m", "flex_mcp"],
        "timeout": 90,
        "env": {"ANTHROPIC_API_KEY": "sk-secret", "FLEX_MCP_LIBRARY": "/my.db"},
    }
    path = put("gemini", json.dumps({"mcpServers": {"flex-mcp": own}}))
    result = run("install", "gemini")
    assert "sk-secret" not in result.output
    assert "/my.db" in result.output
    now = data(path)["mcpServers"]["flex-mcp"]
    assert now == own | {"command": str(Path(sys.executable).absolute()), "args": MODULE}


@pytest.mark.parametrize(
    ("client", "switch"),
    [
        ("opencode", {"enabled": False}),
        ("codex", {"enabled": False}),
        ("cursor", {"disabled": True}),
        ("copilot-cli", {"tools": ["search_experience"]}),
    ],
)
def test_an_entry_that_was_switched_off_stays_so(client: str, switch: dict[str, Any]) -> None:
    keys = (SERVERS[client], "flex-mcp")
    path = put(client, CLIENTS[ClientName(client)].format.put("", keys, switch))
    assert made(client) == "replaced"
    server = data(path)[SERVERS[client]]["flex-mcp"]
    assert started(server) is not None
    assert server == server | switch


@pytest.mark.parametrize("value", [None, [], 3])
def test_variables_that_no_client_can_read_go(value: object) -> None:
    path = put("cursor", json.dumps({"mcpServers": {"flex-mcp": {"env": value}}}))
    done_json("install", "cursor")
    assert "env" not in data(path)["mcpServers"]["flex-mcp"]


def test_an_entry_that_named_an_address_is_made_anew() -> None:
    remote = {"type": "http", "url": "http://127.0.0.1:8765/mcp", "headers": {"A": "Bearer x"}}
    path = put("vscode", json.dumps({"servers": {"flex-mcp": remote}}))
    assert made("vscode") == "replaced"
    assert data(path)["servers"]["flex-mcp"].keys() == {"type", "command", "args"}


# What others share


def test_a_projects_file_starts_us_by_name_and_holds_no_path_of_this_person(folder: Path) -> None:
    home = str(Path.home())
    for client in SHARED:
        (change,) = done_json("install", client, "--scope", "project")["changes"]
        path = Path(change["file"])
        begun = started(data(path)[SERVERS[client]]["flex-mcp"])
        assert begun == Start("flex-mcp", ())
        assert change["notes"] == ["Whoever shares this project needs `flex-mcp` on the PATH."]
        assert made(client, "--scope", "project", "--library", "~/a/l.db") == "replaced"
        begun = started(data(path)[SERVERS[client]]["flex-mcp"])
        assert begun == Start("flex-mcp", (), "~/a/l.db")
        texts = [one.read_text("utf-8") for one in folder.rglob("*") if one.is_file()]
        assert not [text for text in texts if home in text or sys.prefix in text]


@pytest.mark.parametrize("client", SHARED)
def test_a_project_gets_no_copies_of_its_files(client: str, folder: Path) -> None:
    path = the_file(client, "--scope", "project")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(KEPT[client], encoding="utf-8")
    for verb in ("install", "uninstall"):
        (change,) = done_json(verb, client, "--scope", "project")["changes"]
        assert "backup" not in change
        assert [one for one in folder.rglob("*") if one.is_file()] == [Path(change["file"])]
    path = Path(change["file"])
    assert path.read_bytes().decode() == KEPT[client]


@posix
def test_a_link_in_the_place_of_a_projects_file_is_not_written_through(folder: Path) -> None:
    own = Path.home() / "own.json"
    own.write_text("{}", encoding="utf-8")
    (folder / ".mcp.json").symlink_to(own)
    assert f"is a link to {own.resolve()}" in refused(
        "install", "claude-code", "--scope", "project"
    )
    assert own.read_text("utf-8") == "{}"


def test_in_the_home_a_projects_file_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    path = the_file("cursor")
    done_json("install", "cursor")
    before = path.read_bytes()
    monkeypatch.chdir(Path.home())
    assert "leave out --scope project" in refused("install", "cursor", "--scope", "project")
    assert path.read_bytes() == before


def test_by_name_is_what_the_path_has_and_lasts(tmp_path: Path) -> None:
    def begun(*folders: Path, **variables: str) -> Start:
        search = os.pathsep.join(map(str, folders))
        machine = Machine(
            system="linux", home=tmp_path, folder=tmp_path, variables={"PATH": search} | variables
        )
        return shared_start(machine)

    cached = program(tmp_path / "cache" / "archive-v0" / "x" / "bin" / "flex-mcp").parent
    uvx = program(tmp_path / "uv" / "uvx").parent
    assert begun(uvx) == begun(cached, uvx) == Start("uvx", ("flex-mcp",))
    assert begun(tmp_path / "bin", uvx) == Start("flex-mcp", ())
    for folders in ([], [cached], [Path()]):
        with pytest.raises(ClientError, match=r"neither .* is on the PATH.*: run `uv tool install"):
            begun(*folders)


def test_without_a_name_that_others_have_a_projects_file_is_not_made(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    assert refused("install", "cursor", "--scope", "project") == (
        "neither flex-mcp nor uvx is on the PATH, and a file that others share is given no path of "
        "yours: run `uv tool install flex-mcp` or `pipx install flex-mcp` and then this again, or "
        "leave out --scope project"
    )
    assert [*folder.iterdir()] == []


def test_a_shared_library_is_named_as_all_can_read_it() -> None:
    cursor, codex = CLIENTS[ClientName.CURSOR], CLIENTS[ClientName.CODEX]

    def named(path: str, client: str = "cursor") -> str:
        library = cast("Path", PurePosixPath(path))
        return shared_library(library, CLIENTS[ClientName(client)], LINUX)

    assert named("/project/.flex/l.db") == "${workspaceFolder}/.flex/l.db"
    assert named("/home/ada/l.db") == named("/home/ada/l.db", "codex") == "~/l.db"
    assert named("/srv/team/l.db", "codex") == "/srv/team/l.db"
    assert (cursor.folder, codex.folder) == ("${workspaceFolder}", "")
    with pytest.raises(ClientError, match="name a library outside of it"):
        named("/project/l.db", "codex")


def test_what_an_older_entry_of_a_project_says_of_this_person_goes(folder: Path) -> None:
    path = the_file("cursor", "--scope", "project")
    path.parent.mkdir()
    own = {"FLEX_MCP_LIBRARY": str(folder / "l.db"), "FLEX_MCP_REDACT": "strict"}
    older = {"command": sys.executable, "args": ["-m", "flex_mcp"], "env": own}
    path.write_text(json.dumps({"mcpServers": {"flex-mcp": older}}), encoding="utf-8")
    assert made("cursor", "--scope", "project") == "replaced"
    assert data(path)["mcpServers"]["flex-mcp"] == {
        "type": "stdio",
        "command": "flex-mcp",
        "args": [],
        "env": own | {"FLEX_MCP_LIBRARY": "${workspaceFolder}/l.db"},
    }
    assert made("cursor", "--scope", "project") == "unchanged"


# Which, and for any other


def test_without_a_client_those_of_this_machine_are_listed_and_nothing_changes(
    tmp_path: Path,
) -> None:
    assert done("install").splitlines()[0] == "No client that flex-mcp knows is on this machine."
    put("windsurf", "{}")
    put("gemini", '{"mcpServers": secret}')
    put("cline", "\ufeff{}")
    put("vscode", "{}")
    done_json("install", "vscode")
    (Path.home() / ".cursor").mkdir()
    program(tmp_path / "bin" / "codex")
    before = {one: one.read_bytes() for one in Path.home().rglob("*") if one.is_file()}
    listed = done_json("install")
    rows = {one["client"]: (one["state"], one.get("next")) for one in listed["clients"]}
    assert rows == {
        "cursor": ("not installed", "flex-mcp install cursor"),
        "vscode": ("installed", "flex-mcp doctor"),
        "codex": ("not installed", "flex-mcp install codex"),
        "gemini": ("cannot be read", None),
        "windsurf": ("not installed", "flex-mcp install windsurf"),
        "cline": ("cannot be read", "flex-mcp install cline"),
    }
    assert set(rows) | set(listed["others"]) == set(NAMED)
    text = done("install")
    first, cursor, *_ = text.splitlines()
    assert first.split() == ["client", "flex-mcp", "file", "next"]
    place = str(Path("~", ".cursor", "mcp.json"))
    expected = ["cursor", "not", "installed", place, "flex-mcp", "install", "cursor"]
    assert cursor.split() == expected
    assert "line 1, column 16" in text
    assert "byte order mark" in text
    assert "secret" not in text
    assert before == {one: one.read_bytes() for one in Path.home().rglob("*") if one.is_file()}


def test_the_entry_for_any_other_client_is_printed_and_nothing_is_read() -> None:
    path = put("codex", "no TOML")
    python = str(Path(sys.executable).absolute())
    usual = {"mcpServers": {"flex-mcp": {"command": python, "args": MODULE}}}
    assert json.loads(done("install", "--print")) == usual == done_json("install", "--print")
    codex = tomllib.loads(done("install", "codex", "--print", "--library", "l.db"))
    env = {"FLEX_MCP_LIBRARY": str(Path("l.db").absolute())}
    assert codex == {"mcp_servers": {"flex-mcp": {"command": python, "args": MODULE, "env": env}}}
    shared = done_json("install", "--print", "--scope", "project")
    assert shared["mcpServers"]["flex-mcp"]["command"] == "flex-mcp"
    assert path.read_text(encoding="utf-8") == "no TOML"


def test_a_program_is_taken_from_the_path_and_never_from_the_current_folder(
    folder: Path, tmp_path: Path
) -> None:
    program(folder / "claude")
    program(folder / "tools" / "claude")
    for search in ("", ".", "tools", os.pathsep):
        assert find("claude", {"PATH": search}) is None
    assert find("claude", {}) is None
    usual = program(tmp_path / "bin" / "claude")
    assert find("claude", {"PATH": os.pathsep.join(["", ".", str(usual.parent)])}) == str(usual)
    program(tmp_path / "bin" / "claude.CMD")
    windows = {"PATH": str(usual.parent), "PATHEXT": ".EXE;.CMD"}
    assert find("claude", windows) == str(tmp_path / "bin" / "claude.CMD")
    assert find("claude", windows | {"PATHEXT": ".EXE"}) is None


# What stays


VSCODE = """\
// My servers
{
\t"inputs": [
\t\t{ "id": "token", "type": "promptString", }, // asked once
\t],
\t"servers": {
\t\t/* the first */
\t\t"github": { "type": "http", "url": "https://example.org/mcp", "headers": { "A": "secret" } }, // kept
\t\t// "old": { "command": "gone" }
\t},
}
"""
OPENCODE = """\
{
    "$schema": "https://example.org/config.json",
    "mcp": {
        "one": {"type": "local", "command": ["a"]} // no comma here
        // the end
    }, "theme": "dark" }"""
CODEX = """\
model = "o9" # best

[mcp_servers.docs]
command = "npx"
args = [
  "-y",  # yes
  "docs",
]

[mcp_servers.docs.env]
TOKEN = "secret"

# what I trust
[projects."/home/ada"]
trust_level = "trusted"
"""
KEPT = {
    "vscode": VSCODE,
    "opencode": OPENCODE,
    "codex": CODEX,
    "cursor": '{"mcpServers": {"a": {"command": "b"}}, "z": [1.50, 1e3, "\\u00e9"]}',
    "gemini": '{\r\n  "mcpServers": {\r\n    "a": { "command": "b" }\r\n  }\r\n}\r\n',
    "claude-desktop": '{\n  "mcpServers": {},\n  "preferences": {"a": 1}\n}',
    "claude-code": '{\n  "numStartups": 3,\n  "mcpServers": {\n    "a": {}\n  }\n}',
    "windsurf": '{"mcpServers": {"a": {"serverUrl": "https://example.org/mcp"}}}',
    "zed": '// Zed\n{\n  "theme": "One Dark",\n  "context_servers": {\n    "a": {},\n  },\n}\n',
    "cline": '{\n  "mcpServers": {\n    "a": { "disabled": true }\n  }\n}\n',
    "junie": '{\n    "mcpServers": {}\n}\n',
    "copilot-cli": '{\n  "mcpServers": {\n    "a": { "type": "local", "tools": ["*"] }\n  }\n}\n',
}


@pytest.mark.parametrize("client", NAMED)
def test_all_else_in_the_file_stays_and_taking_us_out_brings_back_every_character(
    client: str,
) -> None:
    path = put(client, KEPT[client])
    before, text = data(path), path.read_bytes().decode()
    assert made(client) == "added"
    after = data(path)
    assert "flex-mcp" in after[SERVERS[client]]
    del after[SERVERS[client]]["flex-mcp"]
    assert after == before
    lines = iter(path.read_bytes().decode().replace(",", "").splitlines())
    kept = (line for line in text.replace(",", "").replace("}}", "").splitlines())
    one_line = {"cursor", "opencode", "claude-desktop", "windsurf", "junie"}
    assert client in one_line or all(one in lines for one in kept)
    assert ("\r\n" in text) == ("\r\n" in path.read_bytes().decode())
    assert made(client, verb="uninstall") == "removed"
    assert path.read_bytes().decode() == text


def test_what_is_added_looks_like_what_is_there() -> None:
    path = put("vscode", VSCODE)
    done_json("install", "vscode")
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines.index('\t\t"flex-mcp": {')
    assert lines[place - 1].endswith("}, // kept")
    assert lines[place + 1].startswith('\t\t\t"type"')
    assert lines[place + 9] == '\t\t// "old": { "command": "gone" }'


@pytest.mark.parametrize("client", NAMED)
def test_installing_twice_changes_nothing(client: str) -> None:
    path = put(client, KEPT[client])
    done_json("install", client)
    content, copies = path.read_bytes(), backups(path)
    assert [copy.read_bytes().decode() for copy in copies] == [KEPT[client]]
    os.utime(path, ns=(1, 1))
    assert made(client) == "unchanged"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, 1)
    assert backups(path) == copies
    assert "is there already" in run("install", client).stdout


@pytest.mark.parametrize("client", NAMED)
def test_a_missing_file_is_made_with_its_folders_and_nothing_to_take_out_is_fine(
    client: str,
) -> None:
    path = the_file(client)
    assert made(client, verb="uninstall") == "absent"
    assert not path.exists()
    assert made(client) == "added"
    assert data(path).keys() == {SERVERS[client]}
    assert [one.name for one in path.parent.iterdir() if one.is_file()] == [path.name]
    assert made(client, verb="uninstall") == "removed"
    assert made(client, verb="uninstall") == "absent"


@pytest.mark.parametrize("client", SHARED)
def test_a_project_has_its_own_file(client: str, folder: Path) -> None:
    path = the_file(client, "--scope", "project")
    assert path.is_relative_to(folder)
    assert made(client, "--scope", "project") == "added"
    assert made(client, verb="uninstall") == "absent"  # the user's
    assert made(client, "--scope", "project", verb="uninstall") == "removed"


@pytest.mark.parametrize("client", NAMED)
def test_a_dry_run_shows_our_entry_and_no_others_and_changes_nothing(client: str) -> None:
    path = put(client, KEPT[client])
    said = run("install", client, "--dry-run").stdout
    assert said.startswith("Dry run, nothing is changed.\n")
    assert {str(path), sys.executable} <= set(said.replace('"', " ").replace(",", " ").split())
    assert "secret" not in said
    assert path.read_bytes().decode() == KEPT[client]
    done_json("install", client)
    content = path.read_bytes()
    assert "taken out" in run("uninstall", client, "--dry-run").stdout
    assert path.read_bytes() == content


def test_every_client_says_how_to_check() -> None:
    checks = {client: done_json("install", client, "--dry-run")["check"] for client in NAMED}
    assert "quit Claude Desktop" in checks["claude-desktop"]
    assert "MCP: List Servers" in checks["vscode"]
    for client in ("claude", "codex", "gemini", "opencode"):
        assert any(f"`{client} mcp list`" in check for check in checks.values())
    assert "trust" in done_json("install", "codex", "--scope", "project")["check"]


def test_the_file_that_opencode_has_is_taken_whichever_it_is() -> None:
    usual = the_file("opencode")
    assert usual.name == "opencode.json"
    commented = put("opencode", "{}").with_suffix(".jsonc")
    commented.write_text("{ /* mine */ }", encoding="utf-8")
    usual.unlink()
    assert the_file("opencode") == commented
    usual.write_text("{}", encoding="utf-8")
    assert the_file("opencode") == commented
    done_json("install", "opencode")
    assert "/* mine */" in commented.read_text(encoding="utf-8")
    usual.write_text('{"mcp": {"flex-mcp": {}}}', encoding="utf-8")
    changes = done_json("uninstall", "opencode")["changes"]
    assert [one["file"] for one in changes] == [str(commented), str(usual)]


def test_opencode_2_has_its_servers_a_level_deeper() -> None:
    path = put("opencode", '{"mcp": {"servers": {"a": {"type": "local", "command": ["b"]}}}}')
    done_json("install", "opencode")
    assert data(path)["mcp"]["servers"]["flex-mcp"]["type"] == "local"
    assert made("opencode") == "unchanged"
    assert made("opencode", verb="uninstall") == "removed"


def test_claude_desktop_as_a_windows_package_reads_its_own_file(tmp_path: Path) -> None:
    machine = Machine(
        system="windows",
        home=tmp_path,
        folder=tmp_path,
        variables={"LOCALAPPDATA": str(tmp_path / "Local"), "APPDATA": str(tmp_path / "Roaming")},
    )
    clients = Clients(machine, NOW)

    def file() -> Path:
        report = clients.install(ClientName.CLAUDE_DESKTOP, Scope.USER, Start("/p", ()))
        return report.changes[0].file.relative_to(tmp_path)

    name = "claude_desktop_config.json"
    assert file() == Path("Roaming/Claude", name)
    package = Path("Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude")
    (tmp_path / package).mkdir(parents=True)
    assert file() == package / name
    newer = Path("Local/Claude-Data/claude_pzs8sxrjxfjjc")
    (tmp_path / newer).mkdir(parents=True)
    assert file() == newer / name
    report = clients.uninstall(ClientName.CLAUDE_DESKTOP, Scope.USER)
    assert [one.made for one in report.changes] == [Made.REMOVED] * 3


# What is refused


@pytest.mark.parametrize(
    ("client", "text", "why"),
    [
        ("cursor", '{\n  "mcpServers": {\n    "a": {"command": secret}\n', "line 3, column 22"),
        ("cursor", '{"mcpServers": {} "b": 1}', "line 1, column 19: a comma"),
        ("cursor", "{} {}", "nothing may follow here"),
        ("cursor", '{"a": NaN}', "a value is missing or malformed"),
        ("cursor", "// nothing", "a value is missing"),
        ("cursor", "[" * 100_000, "nested too deeply"),
        ("codex", "model = \n", "line 1, column 9"),
        ("claude-desktop", '{\n  // note\n  "mcpServers": {}\n}', "line 2, column 3: comments"),
        ("claude-code", '{"mcpServers": {},}', "line 1, column 19: comments and commas"),
        ("gemini", '{\n  // mine\n  "mcpServers": {},\n}', "a comma at an end is not allowed"),
        ("cursor", '{"mcpServers": {"a": {"args": ["b", /* c */]}}}', "a comma at an end"),
        ("windsurf", '{"mcpServers": {} /* mine */}', "comments and commas at an end"),
        ("cline", '{"mcpServers": {},}', "comments and commas at an end"),
        ("junie", '// mine\n{"mcpServers": {}}', "comments and commas at an end"),
        ("copilot-cli", '{"mcpServers": {}} // mine', "comments and commas at an end"),
        ("zed", '{"context_servers": "none"}', "context_servers is no object"),
        ("codex", "[mcp_servers.a]\n[mcp_servers.a]\n", "line 2"),
        ("cursor", "[]", "what it holds is no object"),
        ("cursor", '{"mcpServers": []}', "mcpServers is no object"),
        ("cursor", '{"mcpServers": null}', "mcpServers is no object"),
        ("codex", "mcp_servers = 3\n", "mcp_servers is no object"),
        ("opencode", '{"mcp": {"servers": {}, "flex-mcp": 1}, "mcp": 3}', "mcp is no object"),
        ("cursor", b'{"\xff": 1}', "not written in UTF-8"),
        ("cursor", '{"a": 1}'.encode("utf-16"), "not written in UTF-8"),
        ("vscode", '{"a": 1}'.encode("utf-16-le"), "not written in UTF-8"),
        ("codex", "a = 1".encode("utf-32-be"), "not written in UTF-8"),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_is_and_shown_where(
    client: str, text: str | bytes, why: str
) -> None:
    path = put(client, "" if client != "opencode" else "{}")
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(content)
    for verb in ("install", "uninstall"):
        sentence = refused(verb, client)
        assert str(path) in sentence
        assert why in sentence
        assert "secret" not in sentence
    assert path.read_bytes() == content
    assert backups(path) == []


READS_MARK = {"vscode", "codex"}


@pytest.mark.parametrize("client", NAMED)
def test_a_byte_order_mark_goes_and_that_is_said(client: str) -> None:
    path = put(client, "\ufeff" + KEPT[client].removeprefix("\ufeff"))
    done_json("install", client, "--dry-run")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    (change,) = done_json("install", client)["changes"]
    assert [note for note in change["notes"] if "byte order mark" in note]
    written = path.read_bytes().decode()
    assert not written.startswith("\ufeff")
    path.write_text("\ufeff" + written, encoding="utf-8", newline="")
    again = "unchanged" if client in READS_MARK else "replaced"
    assert made(client) == again
    assert path.read_bytes().decode().removeprefix("\ufeff") == written
    assert made(client) == "unchanged"


def test_comments_pass_where_the_client_reads_them_and_commas_at_an_end_by_client() -> None:
    for client in ("cursor", "gemini", "vscode", "opencode", "zed"):
        path = put(client, "{ // mine, }\n" + f'  "{SERVERS[client]}": {{}}\n}}')
        assert made(client) == "added"
        assert "// mine, }" in path.read_text(encoding="utf-8")
    for client in ("vscode", "opencode", "zed"):
        put(client, '{"a": [1,], /* , */ }')
        assert made(client) == "added"


@pytest.mark.parametrize("client", NAMED)
def test_servers_under_another_clients_key_are_told_of(client: str) -> None:
    (other, *_) = sorted(ROOTS - {SERVERS[client]})
    title, form = CLIENTS[ClientName(client)].title, CLIENTS[ClientName(client)].format
    put(client, form.put("", (other, "a"), {"command": "b"}))
    (change,) = done_json("install", client)["changes"]
    assert change["made"] == "added"
    (note,) = change["notes"]
    assert note.startswith(f"It also has servers under `{other}`, which {title} does not read: ")
    assert note.endswith(f" under `{SERVERS[client]}`.")
    assert f"under `{other}`" in run("install", client).stdout


def test_an_empty_file_is_filled() -> None:
    for client, text in (("vscode", "\n"), ("codex", ""), ("zed", "\ufeff"), ("cline", "  ")):
        path = put(client, text)
        assert made(client) == "added"
        assert "flex-mcp" in data(path)[SERVERS[client]]


@posix
def test_what_is_no_file_or_cannot_be_written_is_refused() -> None:
    path = put("cursor", "{}")
    path.chmod(0o444)
    assert "is read-only: make it writable" in refused("install", "cursor")
    path.unlink()
    path.mkdir()
    assert "is no file" in refused("install", "cursor")
    path.rmdir()
    os.mkfifo(path)
    assert "is no file" in refused("install", "cursor")
    path.unlink()
    path.symlink_to(path)
    assert "cannot be read" in refused("install", "cursor")
    path.unlink()
    path.parent.rmdir()
    path.parent.touch()
    assert "cannot be" in refused("install", "cursor")


@posix
def test_a_link_stays_and_what_it_leads_to_is_changed(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "mcp.json"
    path = put("cursor", "{}")
    path.unlink()
    path.symlink_to(real)
    assert made("cursor") == "added"  # a link that leads nowhere yet
    real.write_text("{}", encoding="utf-8")
    real.chmod(0o640)
    assert made("cursor") == "added"
    assert path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    (copy,) = backups(real)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640


@posix
def test_a_new_file_of_the_users_is_private_and_one_of_a_project_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = os.umask(0o022)
    try:
        done_json("install", "cursor")
        done_json("install", "cursor", "--scope", "project")
    finally:
        os.umask(before)
    assert stat.S_IMODE(the_file("cursor").stat().st_mode) == 0o600
    assert stat.S_IMODE(the_file("cursor", "--scope", "project").stat().st_mode) == 0o644
    monkeypatch.undo()


def test_a_few_copies_are_kept_and_no_other_file_is_touched() -> None:
    path = put("cursor", "{}")
    foreign = path.with_name(path.name + ".flex-mcp-backup-mine")
    foreign.touch()
    for count in range(BACKUPS + 3):
        made("cursor", "--library", f"{count}.db")
    assert len(backups(path)) == BACKUPS + 1
    assert foreign.exists()


def test_a_failure_while_writing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("vscode", VSCODE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left on device" in refused("install", "vscode")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert "No space left on device" in refused("install", "vscode")
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert path.read_text(encoding="utf-8") == VSCODE


def test_a_change_by_the_client_in_between_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = put("cursor", "{}")
    flush = os.fsync

    def meanwhile(descriptor: int) -> None:
        flush(descriptor)
        path.write_text('{"theirs": 1}', encoding="utf-8")

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert "was changed by another program" in refused("install", "cursor")
    assert data(path) == {"theirs": 1}


# Any file


NAMES = st.sampled_from(["a", "b", "é", 'q"', "mcpServers", "flex-mcp", "//", "/*", "{"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
GAPS = ["", " ", "\n", "\r\n\t", "  \n  ", "/* c1 */", "// c2 \n", " // c3, }\n  ", "/*c4\n*/ "]


@st.composite
def commented(draw: st.DrawFn, value: object) -> str:
    """A value written with spaces, lines, comments and commas where they may be."""

    def gap() -> str:
        return draw(st.sampled_from(GAPS))

    if isinstance(value, (dict, list)):
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        whole = cast("dict[str, Any] | list[Any]", value)
        pairs = whole.items() if isinstance(whole, dict) else ((None, one) for one in whole)
        parts = [
            gap()
            + ("" if key is None else f"{json.dumps(key)}{gap()}:{gap()}")
            + draw(commented(one))
            + gap()
            for key, one in pairs
        ]
        last = "," + gap() if parts and draw(st.booleans()) else ""
        return opening + (",".join(parts) or gap()) + last + closing
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def json_files(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    whole: dict[str, Any] = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    if draw(st.booleans()):
        whole["mcpServers"] = draw(st.dictionaries(NAMES, VALUES, max_size=3))
    elif not isinstance(whole.get("mcpServers", {}), dict):
        del whole["mcpServers"]
    gaps = st.sampled_from(GAPS)
    return whole, draw(gaps) + draw(commented(whole)) + draw(gaps)


def comments(text: str) -> list[str]:
    """The marks of the comments, in their order; those in names do not count."""
    return [mark for mark in ("c1", "c2", "c3", "c4") for _ in range(text.count(mark))]


@given(json_files())
def test_any_json_with_comments_keeps_all_else(example: tuple[dict[str, Any], str]) -> None:
    before, text = example
    form = Json(comments=True)
    assert form.data(text) == before
    servers = before.get("mcpServers", {})
    new = form.put(text, KEYS, OURS)
    assert form.data(new) == before | {"mcpServers": servers | {"flex-mcp": OURS}}
    if "flex-mcp" not in servers:
        assert comments(new) == comments(text)
    rest = {name: value for name, value in servers.items() if name != "flex-mcp"}
    out = form.drop(new, KEYS)
    assert form.data(out) == before | {"mcpServers": rest}
    assert form.drop(text, KEYS) == text or "flex-mcp" in servers
    if "mcpServers" in before and "flex-mcp" not in servers:
        assert "".join(out.split()) == "".join(text.split())  # in odd layouts white space may go
    form.data(form.put(out, KEYS, OURS))


@given(st.text(alphabet='{}[]",:/*a1 \n\\', max_size=40))
def test_what_is_plain_json_is_read_as_python_reads_it(text: str) -> None:
    expected: object = SyntaxFaultError
    with contextlib.suppress(ValueError):
        expected = json.loads(text)
    try:
        found = Json(comments=False).data(text)
    except SyntaxFaultError:
        found = SyntaxFaultError
    assert found == expected or not text.strip()


def test_of_two_entries_with_one_name_the_last_counts_and_both_go() -> None:
    text = '{"mcpServers": {"flex-mcp": 1, "a": 2, "flex-mcp": {}}}'
    form = Json(comments=True)
    assert form.data(form.put(text, KEYS, OURS))["mcpServers"]["flex-mcp"] == OURS
    assert form.drop(text, KEYS) == '{"mcpServers": {"a": 2}}'


TABLES = [
    'model = "x" # m\n',
    'text = """\n[mcp_servers.flex-mcp]\n# no table\n"""\n',
    "[mcp_servers.a]\ncommand = 'b' # a\n\n",
    "# before\n[mcp_servers.flex-mcp-2]\ncommand = 'b'\n",
    "\n[ mcp_servers . 'flex-mcp' ] # ours\ncommand = 'old'\nargs = [\n  'x',\n]\n",
    "[mcp_servers.flex-mcp.env]\nA = '1'\n\n# after ours\n\n",
    "[[list]]\nx = 1\n",
    "[projects.'/a.b']\ntrust = true # t",
]


@given(st.lists(st.sampled_from(TABLES), unique=True), st.sampled_from(["\n", "\r\n"]))
def test_any_toml_keeps_all_else(parts: Sequence[str], newline: str) -> None:
    ordered = sorted(parts, key=lambda part: part.lstrip("\n# ").startswith("["))
    text = "\n".join(ordered).replace("\n", newline)
    form, keys = Toml(), ("mcp_servers", "flex-mcp")
    before = tomllib.loads(text)
    servers = before.get("mcp_servers", {})
    others = {name: value for name, value in servers.items() if name != "flex-mcp"}
    new = form.put(text, keys, OURS)
    assert tomllib.loads(new) == before | {"mcp_servers": others | {"flex-mcp": OURS}}
    out = form.drop(new, keys)
    assert out == text or "flex-mcp" in servers
    expected = {name: value for name, value in before.items() if name != "mcp_servers"}
    assert tomllib.loads(out) == expected | ({"mcp_servers": others} if others else {})
    for part in ordered:
        kept = [line for line in part.splitlines() if line and not line.startswith(("[", " "))]
        if "ours" not in part and "A =" not in part:
            assert all(line in out for line in kept)
    assert ("# after ours" in text) == ("# after ours" in out)
    assert newline not in text or newline == "\n" or "\n" not in new.replace("\r\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "mcp_servers = { a = {x = 1} } # c\nb = 1\n",
        "mcp_servers.a.x = 1 # c\nb = 1\n",
        "b = 1\n[mcp_servers]\na.x = 1 # c\n",
        'mcp_servers = { a = {x = 1}, flex-mcp = {command = "q"} } # c\nb = 1\n',
        'mcp_servers.a.x = 1\nmcp_servers.flex-mcp.command = "q" # c\nb = 1\n',
        'b = 1\n[mcp_servers]\na.x = 1\nflex-mcp = {command = "q"} # c\n',
    ],
)
def test_tables_in_one_line_and_dotted_ones_are_changed_as_well(text: str) -> None:
    path = put("codex", text)
    done_json("install", "codex")
    assert started(data(path)["mcp_servers"]["flex-mcp"]) is not None
    assert made("codex") == "unchanged"
    done_json("uninstall", "codex")
    assert data(path) == {"b": 1, "mcp_servers": {"a": {"x": 1}}}
    assert "# c" in path.read_text(encoding="utf-8") or "flex-mcp" in text


def test_toml_whose_tables_would_change_places_is_left_as_it_is() -> None:
    tables = "[mcp_servers.a]\n[[list]]\n[mcp_servers.b]\n"
    text = tables + "[mcp_servers]\nflex-mcp = {command = 'q'}\n"
    path = put("codex", text)
    assert "cannot change safely" in refused("uninstall", "codex")
    assert path.read_text(encoding="utf-8") == text


# Claude Code's own command


CLAUDE = """\
#!{python}
import json, os, pathlib, sys

words = sys.argv[1:]
assert pathlib.Path.cwd() == pathlib.Path.home()
folder = pathlib.Path(os.environ.get("CLAUDE_CONFIG_DIR") or pathlib.Path.home())
with open(os.environ["SAID"], "a") as said:
    said.write(json.dumps(words) + "\\n")
mood = os.environ.get("MOOD")
if mood == "fails" or (mood == "cannot add" and "remove" not in words):
    sys.exit("no server may be added here")
if mood == "lies":
    sys.exit()
file = folder / ".claude.json"
whole = json.loads(file.read_text()) if file.exists() else {{}}
servers = whole.setdefault("mcpServers", {{}})
assert words[:1] + words[2:5] == ["mcp", "--scope", "user", "flex-mcp"], words
if words[1] == "remove":
    del servers["flex-mcp"]
elif "flex-mcp" in servers:
    sys.exit("it is there already")
elif words[1] == "add-json":
    known = "type", "command", "args", "env", "timeout"
    entry = json.loads(words[5])
    servers["flex-mcp"] = {{name: entry[name] for name in known if name in entry}}
else:
    dash = words.index("--")
    env = dict(one.split("=", 1) for flag, one in zip(words[5:dash:2], words[6:dash:2]))
    command, *args = words[dash + 1 :]
    servers["flex-mcp"] = dict(type="stdio", command=command, args=args, env=env)
file.write_text(json.dumps(whole, indent=2))
"""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Claude Code's command is here, and writes down what it is told."""
    if os.name != "posix":
        pytest.skip("the stand-in is a POSIX script")
    program = tmp_path / "bin" / "claude"
    program.write_text(CLAUDE.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    (tmp_path / "said").touch()
    return tmp_path / "said"


def heard(said: Path) -> list[list[str]]:
    return [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]


@pytest.mark.process
def test_claude_codes_user_file_is_changed_by_its_own_command(
    said: Path, folder: Path, tmp_path: Path
) -> None:
    path = put("claude-code", '{"numStartups": 3, "mcpServers": {"a": {"env": {"K": "secret"}}}}')
    assert heard(said) == []  # a dry run asks nobody
    adding = ["mcp", "add", "--scope", "user", "flex-mcp"]
    command = ["--", str(Path(sys.executable).absolute()), *MODULE]
    (change,) = done_json("install", "claude-code")["changes"]
    assert change["commands"] == [[str(tmp_path / "bin" / "claude"), *adding, *command]]
    assert heard(said) == [[*adding, *command]]
    assert len(backups(path)) == 1
    assert made("claude-code") == "unchanged"
    assert made("claude-code", "--library", "b.db") == "replaced"
    removing = ["mcp", "remove", "--scope", "user", "flex-mcp"]
    named = ["-e", f"FLEX_MCP_LIBRARY={folder / 'b.db'}"]
    assert heard(said)[1:] == [removing, [*adding, *named, *command]]
    assert made("claude-code", verb="uninstall") == "removed"
    assert made("claude-code", verb="uninstall") == "absent"
    assert heard(said)[3:] == [removing]
    assert data(path)["mcpServers"] == {"a": {"env": {"K": "secret"}}}
    assert len(backups(path)) == 3


@pytest.mark.process
def test_a_folder_of_claude_codes_own_may_be_named_from_the_current_one(
    said: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "mine")
    (folder / "mine").mkdir()
    assert made("claude-code") == "added"
    assert heard(said) != []
    assert data(folder / "mine" / ".claude.json")["mcpServers"]["flex-mcp"]["args"] == MODULE


@pytest.mark.process
def test_what_was_added_to_claude_codes_entry_goes_the_same_way(said: Path) -> None:
    own: dict[str, Any] = {"type": "stdio", "command": "/old", "env": {"K": "secret"}, "timeout": 9}
    path = put("claude-code", json.dumps({"mcpServers": {"flex-mcp": own}}))
    assert "secret" not in run("install", "claude-code").output
    server = data(path)["mcpServers"]["flex-mcp"]
    assert (server["timeout"], server["env"]) == (9, {"K": "secret"})
    assert [words[1] for words in heard(said)] == ["remove", "add-json"]
    del own["timeout"]
    path.write_text(json.dumps({"mcpServers": {"flex-mcp": own}}), encoding="utf-8")
    result = run("install", "claude-code")
    assert ("secret" in result.output, "'K=…'" in result.output) == (False, True)
    assert data(path)["mcpServers"]["flex-mcp"]["env"] == {"K": "secret"}


@pytest.mark.process
def test_what_claude_code_does_not_know_of_our_entry_stays_as_well(said: Path) -> None:
    own = {"type": "stdio", "command": "/old", "args": [], "disabled": True, "note": [1]}
    path = put("claude-code", json.dumps({"mcpServers": {"flex-mcp": own}, "theme": 1}))
    assert made("claude-code") == "replaced"
    server = {"command": str(Path(sys.executable).absolute()), "args": MODULE}
    assert data(path) == {"mcpServers": {"flex-mcp": own | server}, "theme": 1}
    assert [words[1] for words in heard(said)] == ["remove", "add-json"]
    assert made("claude-code") == "unchanged"
    assert len(backups(path)) == 1


@pytest.mark.process
@pytest.mark.parametrize("mood", ["fails", "cannot add", "lies"])
def test_where_claude_code_does_not_do_it_our_entry_is_as_before(
    said: Path, mood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOOD", mood)
    before = {"theme": 1, "mcpServers": {"flex-mcp": {"type": "stdio", "command": "/old"}}}
    path = put("claude-code", json.dumps(before))
    result = run("install", "claude-code")
    assert (result.exit_code, result.stdout) == (1, "")
    assert ("no server may be added" in result.stderr) == (mood != "lies")
    assert "check that `claude mcp list` works" in result.stderr
    assert data(path) == before
    assert len(heard(said)) == (1 if mood == "fails" else 2)


@pytest.mark.process
def test_stopped_between_its_commands_our_entry_is_as_before(
    said: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"mcpServers": {"flex-mcp": {"type": "stdio", "command": "/old"}}}
    path = put("claude-code", json.dumps(before))
    go_on = claude.run

    def stopped(own: str, words: Sequence[str], machine: Machine) -> None:
        if "add" in words:
            raise KeyboardInterrupt
        go_on(own, words, machine)

    monkeypatch.setattr(claude, "run", stopped)
    assert run("install", "claude-code").exit_code == 1
    assert [words[1] for words in heard(said)] == ["remove"]
    assert data(path) == before


@pytest.mark.process
def test_a_claude_that_cannot_be_started_is_named(tmp_path: Path, said: Path) -> None:
    (tmp_path / "bin" / "claude").write_text("#!/no/such/interpreter\n", encoding="utf-8")
    result = run("install", "claude-code")
    assert result.exit_code == 1
    assert "cannot be started" in result.stderr
    assert heard(said) == []


@pytest.mark.process
def test_a_file_with_a_byte_order_mark_is_not_left_to_claude_code(said: Path) -> None:
    path = put("claude-code", "\ufeff{}")
    (change,) = done_json("install", "claude-code")["changes"]
    assert (change["made"], change["commands"], heard(said)) == ("added", [], [])
    assert not path.read_bytes().startswith(b"\xef")


def test_a_projects_file_of_claude_code_is_changed_by_us(said: Path, folder: Path) -> None:
    done_json("install", "claude-code", "--scope", "project")
    assert data(folder / ".mcp.json")["mcpServers"]["flex-mcp"]["type"] == "stdio"
    assert heard(said) == []


def test_a_batch_file_is_not_given_words_that_its_shell_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "claude.cmd")
    monkeypatch.setenv("PATHEXT", ".exe;.cmd")  # as on Windows
    assert done_json("install", "claude-code", "--dry-run")["changes"][0]["commands"]
    (change,) = done_json("install", "claude-code", "--library", "a&b.db")["changes"]
    assert (change["made"], change["commands"]) == ("added", [])


# Real processes


MODULES = (
    *("types", "json", "logging", "random", "secrets", "token", "queue", "platform", "select"),
    *("signal", "string", "uuid", "copy", "email", "http", "calendar", "inspect", "sitecustomize"),
    *(
        "mcp",
        "click",
        "anyio",
        "pydantic",
        "numpy",
        "tokenizers",
        "apsw",
        "flex_mcp",
        "usercustomize",
    ),
)
RUN = "open(r'{}', 'a').write(__name__ + ' ')\nraise SystemExit(3)\n"


@pytest.mark.process
@pytest.mark.parametrize("fast", ["0", "1"])
def test_installed_the_server_starts_as_the_entry_says_and_runs_nothing_of_the_project(
    tmp_path: Path, folder: Path, fast: str
) -> None:
    ran = tmp_path / "ran"
    for name in MODULES:
        (folder / f"{name}.py").write_text(RUN.format(ran), encoding="utf-8")
    (folder / "prompts").mkdir()
    (folder / ".env").write_text("FLEX_MCP_LIBRARY=stolen.db\nPYTHONPATH=.\n", encoding="utf-8")
    before = sorted(folder.rglob("*"))
    library = tmp_path / "a library.db"
    path = Path(done_json("install", "cursor", "--library", str(library))["changes"][0]["file"])
    begun = started(data(path)["mcpServers"]["flex-mcp"])
    assert begun is not None
    assert begun.library == str(library)
    variables = {"FLEX_MCP_LIBRARY": str(library), "FLEX_MCP_FAST_START": fast}
    with subprocess.Popen(
        (begun.command, *begun.args),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**environment(), **variables},
    ) as process:
        pipes = Pipes(process)
        assert initialized(pipes)["serverInfo"]["name"] == "flex-mcp"
        arguments = {"task": "Build the wheel", "outcome": "success"}
        answer = pipes.ask("tools/call", name="record_trajectory", arguments=arguments)["result"]
        assert answer["structuredContent"]["trajectory_id"].startswith("t_")
        pipes.ask("tools/call", name="search_experience", arguments={"query": "build a wheel"})
        process.kill()
    assert not ran.exists()
    assert sorted(folder.rglob("*")) == before


def test_copies_made_at_one_moment_do_not_overwrite_each_other(tmp_path: Path) -> None:
    machine = Machine(system="linux", home=tmp_path, folder=tmp_path, variables={})
    file = tmp_path / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text("{}", encoding="utf-8")
    clients = Clients(machine, NOW)
    clients.install(ClientName.CURSOR, Scope.USER, Start("/p", ()))
    with pytest.raises(ClientError, match="backed up"):
        clients.install(ClientName.CURSOR, Scope.USER, Start("/q", ()))
    later = Clients(machine, NOW + timedelta(microseconds=1))
    later.install(ClientName.CURSOR, Scope.USER, Start("/q", ()))
    assert len(backups(file)) == 2


def test_the_page_on_clients_names_each_and_what_is_written() -> None:
    page = (Path(__file__).parent.parent / "docs" / "clients.md").read_text(encoding="utf-8")
    blocks = page.split("```json\n")[1:]
    (first, *addresses) = (json.loads(block.partition("```")[0]) for block in blocks)
    shown = entry(
        ClientName.CLAUDE_DESKTOP,
        Start(
            "/home/you/flex-mcp/.venv/bin/python", ("-P", "-m", "flex_mcp"), "/home/you/lessons.db"
        ),
    )
    assert first == {"mcpServers": {"flex-mcp": shown}}
    assert {"**Goose**", "**JetBrains AI Assistant**"} <= set(re.findall(r"\*\*.+?\*\*", page))
    assert all(started(one["flex-mcp"]) is None for one in addresses)
    for client, root in SERVERS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{client}` |"))
        assert row.endswith(f"`{root}` |")
        assert the_file(client).name in row
