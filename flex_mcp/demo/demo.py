"""The demonstration: the main job on real input, through the real server and the real client.

Two trajectories of one packaging fault (`data/README.md` says how they came about) are
recorded in one server process; another one, on the same file, answers a differently worded task.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from rich.console import Console
from rich.json import JSON
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule

from flex_mcp.clients.entries import MODULE
from flex_mcp.clients.programs import find
from flex_mcp.demo.examples import data
from flex_mcp.errors import InputError
from flex_mcp.settings import environment, path_of

ZONE_STYLES = {"golden": "green", "warning": "red", "mixed": "yellow"}


def run_demo(library: str | None, *, as_json: bool = False) -> str | None:
    """Run it, on a throw-away library or in a new file; None, or what did not go as it should.

    Raises:
        InputError: the file is there already.
    """
    path = None if library is None else path_of(library, "--library")
    if path is not None and path.exists() and path.stat().st_size:
        raise InputError(f"{path} is there already: the demonstration needs a new file")
    console = Console(stderr=as_json, highlight=False)
    with tempfile.TemporaryDirectory() if path is None else nullcontext(str(path.parent)) as folder:
        show = Demonstration(
            console.print, path or Path(folder) / "library.db", kept=path is not None
        )
        try:
            anyio.run(show.run)
        except* RefusedError:
            pass  # it is among the failures
    if as_json:
        said = json.dumps(show.seen | {"failures": show.failures}, indent=2)
        sys.stdout.write(f"{said}\n")
    return "; ".join(show.failures) or None


class RefusedError(Exception):
    """A tool call of the demonstration was refused."""


@dataclass
class Demonstration:
    """One run: what was seen, for programs, and what did not go as it should."""

    say: Callable[..., None]
    path: Path
    kept: bool
    seen: dict[str, Any] = field(default_factory=dict[str, Any])
    failures: list[str] = field(default_factory=list[str])

    async def run(self) -> None:
        scenario = data("scenario.json")
        self.say(Rule("flex-mcp: an assistant that learns from its work"))
        async with self.server("A server starts on an empty library.") as client:
            await self.empty(client, scenario["next_task"])
            await self.record(client)
            await self.distill(client)
        async with self.server(
            "That session is over. A new server process opens the file."
        ) as client:
            await self.find(client, scenario)
            await self.unrelated(client, scenario["unrelated_task"])
        self.end()

    def line(self, text: str) -> None:
        """One line whatever its length."""
        self.say(f"    {text}", no_wrap=True, overflow="ellipsis")

    def server(self, what: str) -> Client:
        """A client on a server process of its own, as Claude Desktop or Cursor start it."""
        self.say(f"\n[bold]{what}[/bold]")
        arguments = [*MODULE, "serve", "--library", str(self.path)]
        return Client(StdioServerParameters(command=sys.executable, args=arguments))

    async def call(self, client: Client, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.say(f"  [cyan]{tool}[/cyan]", end=" ")
        result = await client.call_tool(tool, dict(arguments))
        if result.is_error:
            texts = [part.text for part in result.content if isinstance(part, TextContent)]
            self.failures.append(f"{tool} was refused: {' '.join(texts)}")
            raise RefusedError
        content: dict[str, Any] = result.structured_content
        return content

    def check(self, failure: str, *, holds: bool) -> None:
        if not holds:
            self.failures.append(failure)
            self.say(f"  [red]{failure}[/red]")

    async def empty(self, client: Client, task: str) -> None:
        found = await self.call(client, "search_experience", {"query": task})
        self.say("→ nothing relevant" if found["nothing_relevant"] else "→ hits?")
        self.check("the empty library served something", holds=found["nothing_relevant"])

    async def record(self, client: Client) -> None:
        trajectories = data("trajectories.json")
        self.say(
            "\n[bold]The assistant works on a task, fails, tries again, and records both.[/bold]"
        )
        self.say(Panel(trajectories[0]["task"], title="task", title_align="left"))
        for trajectory in trajectories:
            made = await self.call(client, "record_trajectory", trajectory)
            steps = len(trajectory["steps"])
            self.say(f"→ {made.get('trajectory_id')}: {trajectory['outcome']}, {steps} steps")
            self.say(Padding(trajectory["feedback"], (0, 0, 0, 4), style="dim"))

    async def distill(self, client: Client) -> None:
        self.say("\n[bold]It asks for a brief, and answers it with lessons.[/bold]")
        brief = await self.call(client, "distill", {})
        self.say(f"→ {brief['brief_id']} about {len(brief['trajectories'])} trajectories")
        lessons = data("lessons.json")["lessons"]
        answer = {"brief_id": brief["brief_id"], "lessons": lessons}
        saved = await self.call(client, "save_lessons", answer)
        self.say(f"→ {len(saved['decisions'])} decisions")
        for lesson, decision in zip(lessons, saved["decisions"], strict=True):
            self.line(f"{decision['decision']} {marked(lesson)}")
        added = all(decision["decision"] == "add" for decision in saved["decisions"])
        self.check("a lesson was not added", holds=added)
        self.seen["decisions"] = saved["decisions"]

    async def find(self, client: Client, scenario: Mapping[str, Any]) -> None:
        self.say(Panel(scenario["next_task"], title="the next task", title_align="left"))
        found = await self.call(client, "search_experience", {"query": scenario["next_task"]})
        self.say(f"→ relevance {found['relevance']}, {len(found['hits'])} hits")
        for hit in found["hits"]:
            self.line(f"{hit['fit']:.2f} {marked(hit)}")
        titles = {hit["title"]: hit for hit in found["hits"]}
        for what, title in scenario["expected"].items():
            self.check(f"the expected {what} was not served: {title}", holds=title in titles)
            if title in titles:
                self.say(f"\n  [bold]{escape(title)}[/bold]")
                quote = f"When: {titles[title]['when']}\n{titles[title]['lesson']}"
                self.say(Padding(escape(quote), (0, 0, 0, 4), style="dim"))
        self.seen["found"] = found

    async def unrelated(self, client: Client, task: str) -> None:
        self.say()
        self.say(Panel(task, title="an unrelated task", title_align="left"))
        found = await self.call(client, "search_experience", {"query": task})
        served = ", ".join(hit["title"] for hit in found["hits"])
        self.say(f"→ {served or 'nothing relevant'}, relevance {found['relevance']}")
        self.check("an unrelated task was not answered by nothing_relevant", holds=not served)
        self.seen["unrelated"] = found

    def end(self) -> None:
        # by absolute paths, since a client knows no other
        script = find("flex-mcp", {**environment(), "PATH": str(Path(sys.executable).parent)})
        command = [script, "serve"] if script else [sys.executable, *MODULE, "serve"]
        config = {"mcpServers": {"flex-mcp": {"command": command[0], "args": command[1:]}}}
        self.seen["config"] = config
        self.say()
        self.say(Rule("use it"))
        self.say(
            "`flex-mcp install CLIENT` does it, for cursor, vscode, codex and others. By hand:"
        )
        self.say("Claude Desktop, Cursor, Gemini CLI: put this into the client's configuration.")
        self.say("VS Code: the same with the key servers. Codex: see the README.")
        self.say(JSON.from_data(config), soft_wrap=True)
        self.say("Claude Code:", end=" ")
        shell = " ".join(f'"{word}"' if " " in word else word for word in command)
        self.say(f"claude mcp add --scope user flex-mcp -- {shell}", soft_wrap=True)
        if self.kept:
            self.say(f"The demonstration's library is kept in {escape(str(self.path))}")


def marked(lesson: Mapping[str, Any]) -> str:
    style = ZONE_STYLES[lesson["zone"]]
    return f"[{style}]{lesson['zone']:<7}[/{style}] {lesson['level']:<9} {escape(lesson['title'])}"
