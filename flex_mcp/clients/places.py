"""Where each client keeps its configuration: pure, from the system, the home and the variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import NamedTuple


class ClientName(StrEnum):
    """The clients that can be configured."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"
    CODEX = "codex"
    GEMINI = "gemini"
    OPENCODE = "opencode"
    WINDSURF = "windsurf"
    ZED = "zed"
    CLINE = "cline"
    JUNIE = "junie"
    COPILOT_CLI = "copilot-cli"


class Scope(StrEnum):
    """For all projects of a user, or for the folder that is worked in."""

    USER = "user"
    PROJECT = "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the places depend on.

    Args:
        system: linux, darwin or windows.
        home: the user's.
        folder: the current one; its flavour of path, as the home's, is the system's.
        variables: the environment.
    """

    system: str
    home: PurePath
    folder: PurePath
    variables: Mapping[str, str]

    def variable(self, name: str) -> PurePath | None:
        """The absolute path that a variable names, if any."""
        value = self.variables.get(name)
        return self.folder / value if value else None

    @property
    def programs(self) -> PurePath:
        """Where desktop programs keep their settings."""
        if self.system == "darwin":
            return self.home / "Library" / "Application Support"
        if self.system == "windows":
            return self.variable("APPDATA") or self.home / "AppData" / "Roaming"
        return self.variable("XDG_CONFIG_HOME") or self.home / ".config"


class Place(NamedTuple):
    """A folder and the files in it that a client reads.

    `below` is a pattern of folders below it: such a place counts only where they are.
    Of the names, that which is there is taken, and the last is made where none is.
    """

    folder: PurePath
    names: tuple[str, ...]
    below: str = ""


class Places(NamedTuple):
    """Where a client looks; the first that counts is the one to write to."""

    user: tuple[Place, ...]
    project: tuple[Place, ...] = ()  # none has no such scope


def places(client: ClientName, scope: Scope, machine: Machine) -> tuple[Place, ...]:
    """Where a client looks in a scope; none is no such scope."""
    found = _table(machine)[client]
    return found.user if scope is Scope.USER else found.project


def _table(machine: Machine) -> Mapping[ClientName, Places]:
    home, here, named = machine.home, machine.folder, machine.variable
    config = named("XDG_CONFIG_HOME") or home / ".config"
    zed = {"darwin": home / ".config" / "zed", "windows": machine.programs / "Zed"}
    return {
        ClientName.CLAUDE_DESKTOP: Places(_claude_desktop(machine)),
        ClientName.CLAUDE_CODE: Places(
            _place(named("CLAUDE_CONFIG_DIR") or home, ".claude.json"), _place(here, ".mcp.json")
        ),
        ClientName.CURSOR: _alike(home, here, ".cursor", "mcp.json"),
        ClientName.VSCODE: Places(
            _place(machine.programs / "Code", "User/mcp.json"),
            _place(here / ".vscode", "mcp.json"),
        ),
        ClientName.CODEX: Places(
            _place(named("CODEX_HOME") or home / ".codex", "config.toml"),
            _place(here / ".codex", "config.toml"),
        ),
        ClientName.GEMINI: _alike(
            named("GEMINI_CLI_HOME") or home, here, ".gemini", "settings.json"
        ),
        ClientName.OPENCODE: Places(  # its user's lie there on every system
            _place(config / "opencode", "opencode.jsonc", "opencode.json"),
            _place(here, "opencode.jsonc", "opencode.json"),
        ),
        ClientName.WINDSURF: Places(_place(home / ".codeium" / "windsurf", "mcp_config.json")),
        ClientName.ZED: Places(_place(zed.get(machine.system, config / "zed"), "settings.json")),
        ClientName.CLINE: Places(
            _place(
                named("CLINE_DATA_DIR") or home / ".cline" / "data",
                "settings/cline_mcp_settings.json",
            )
        ),
        ClientName.JUNIE: _alike(home, here, ".junie", "mcp/mcp.json"),
        ClientName.COPILOT_CLI: Places(
            _place(named("COPILOT_HOME") or home / ".copilot", "mcp-config.json"),
            _place(here / ".github", "mcp.json"),
        ),
    }


def _place(folder: PurePath, *names: str) -> tuple[Place]:
    return (Place(folder, names),)


def _alike(home: PurePath, here: PurePath, folder: str, name: str) -> Places:
    """The same below the home and in a project."""
    return Places(_place(home / folder, name), _place(here / folder, name))


def _claude_desktop(machine: Machine) -> tuple[Place, ...]:
    names = ("claude_desktop_config.json",)
    usual = Place(machine.programs / "Claude", names)
    if machine.system != "windows":
        return (usual,)
    # As a Windows package (the usual download since 2026) it reads a copy of its own, and never
    # the usual file: first where newer packages keep it, then where all did.
    local = machine.variable("LOCALAPPDATA") or machine.home / "AppData" / "Local"
    return (
        Place(local / "Claude-Data", names, "[Cc]laude_*"),
        Place(local / "Packages", names, "Claude_*/LocalCache/Roaming/Claude"),
        usual,
    )
