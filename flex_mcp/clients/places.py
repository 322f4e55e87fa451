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


def places(client: ClientName, scope: Scope, machine: Machine) -> tuple[Place, ...]:
    """Where a client looks; the first that counts is the one to write to, none is no such scope."""
    if client is ClientName.CLAUDE_DESKTOP:
        return _claude_desktop(machine) if scope is Scope.USER else ()
    if client is ClientName.CLAUDE_CODE and scope is Scope.PROJECT:
        return (Place(machine.folder, (".mcp.json",)),)
    home, named = machine.home, machine.variable
    gemini = (named("GEMINI_CLI_HOME") or home) / ".gemini"
    opencode = (named("XDG_CONFIG_HOME") or home / ".config") / "opencode"  # on every system
    of_user, in_project, *names = {
        ClientName.CLAUDE_CODE: (named("CLAUDE_CONFIG_DIR") or home, "", ".claude.json"),
        ClientName.CURSOR: (home / ".cursor", ".cursor", "mcp.json"),
        ClientName.VSCODE: (machine.programs / "Code" / "User", ".vscode", "mcp.json"),
        ClientName.CODEX: (named("CODEX_HOME") or home / ".codex", ".codex", "config.toml"),
        ClientName.GEMINI: (gemini, ".gemini", "settings.json"),
        ClientName.OPENCODE: (opencode, "", "opencode.jsonc", "opencode.json"),
    }[client]
    folder = of_user if scope is Scope.USER else machine.folder / in_project
    return (Place(folder, tuple(names)),)


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
