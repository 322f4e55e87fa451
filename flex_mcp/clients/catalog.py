"""What is particular to each client, beside where its files are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flex_mcp.clients.jsonc import Json
from flex_mcp.clients.places import ClientName
from flex_mcp.clients.toml import Toml

STRICT = Json(comments=False)
COMMENTS = Json(comments=True, commas=False)
LENIENT = Json(comments=True)


@dataclass(frozen=True, slots=True)
class Client:
    """What is particular to a client.

    Args:
        title: its name.
        check: how a person sees that it works.
        in_project: what it asks for before it starts what a project's file names.
        program: its command, where it has one: a sign that it is here.
        format: its file's, as it reads it; a format that nobody has seen it read counts as unread.
        reads_bom: whether it reads a file that begins with a byte order mark.
        root: the key that its servers are under.
        form: what an entry of its has beside the usual `command`, `args` and `env`.
        defaults: the same, where the user has nothing else there.
        one_list: its entry has command and arguments in one list, and `environment`.
        folder: what it fills with the project's folder.
    """

    title: str
    check: str
    in_project: str = ""
    program: str = ""
    format: Json | Toml = STRICT
    reads_bom: bool = False
    root: str = "mcpServers"
    form: Mapping[str, str] = field(default_factory=dict[str, str])
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    one_list: bool = False
    folder: str = ""


STDIO = {"type": "stdio"}
CLIENTS: Mapping[ClientName, Client] = {
    ClientName.CLAUDE_DESKTOP: Client(
        "Claude Desktop",
        "quit Claude Desktop and start it again; Settings > Developer lists flex-mcp as running",
    ),
    ClientName.CLAUDE_CODE: Client(
        "Claude Code",
        "run `claude mcp list`; in a session, /mcp",
        "Claude Code asks you to approve it when it next starts in this folder",
        program="claude",
        form=STDIO,
    ),
    ClientName.CURSOR: Client(
        "Cursor",
        "restart Cursor; its settings list flex-mcp under MCP, where it can be switched on",
        program="cursor",
        format=COMMENTS,
        form=STDIO,
        folder="${workspaceFolder}",
    ),
    ClientName.VSCODE: Client(
        "VS Code",
        'run "MCP: List Servers" from the command palette; it asks whether you trust it at first',
        program="code",
        format=LENIENT,
        reads_bom=True,
        root="servers",
        form=STDIO,
        folder="${workspaceFolder}",
    ),
    ClientName.CODEX: Client(
        "Codex",
        "run `codex mcp list`; in a session, /mcp",
        "Codex reads it only in a project that you trust",
        program="codex",
        format=Toml(),
        reads_bom=True,
        root="mcp_servers",
    ),
    ClientName.GEMINI: Client(
        "Gemini CLI",
        "run `gemini mcp list` in a folder that you trust (it starts no server elsewhere); in a "
        "session, /mcp",
        program="gemini",
        format=COMMENTS,
    ),
    ClientName.OPENCODE: Client(
        "OpenCode",
        "run `opencode mcp list`",
        program="opencode",
        format=LENIENT,
        root="mcp",
        form={"type": "local"},
        one_list=True,
    ),
    ClientName.WINDSURF: Client(
        "Windsurf", "restart Windsurf; Cascade's MCP servers list flex-mcp", program="windsurf"
    ),
    ClientName.ZED: Client(
        "Zed",
        "in the Agent Panel's settings a green dot stands beside flex-mcp",
        program="zed",
        format=LENIENT,
        root="context_servers",
    ),
    ClientName.CLINE: Client(
        "Cline", "the MCP Servers icon, under Configure, lists flex-mcp", program="cline"
    ),
    ClientName.JUNIE: Client(
        "Junie",
        "in the IDE, Settings | Tools | Junie | MCP Settings lists flex-mcp; in its CLI, /mcp",
        program="junie",
    ),
    ClientName.COPILOT_CLI: Client(
        "GitHub Copilot CLI",
        "in a session, /mcp show",
        "Copilot CLI reads it only in a folder that you trust",
        program="copilot",
        form={"type": "local"},
        defaults={"tools": ["*"]},
    ),
}
ROOTS = {"mcpServers", "servers", "mcp_servers", "context_servers"}  # mistaken for each other
