"""The size of the house: lines, modules, imports, verbs of the store, files that a call enters.

    python benchmarks/house.py [--json FILE]

Calls go through an in-memory client to a library of eight lessons, each made once before it is
traced; a file counts when a function of it runs.
"""

import argparse
import ast
import inspect
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import anyio
from mcp import Client

import flex_mcp
from flex_mcp.app import App
from flex_mcp.server.server import build_server
from flex_mcp.storage import protocol

PACKAGE = Path(flex_mcp.__file__).parent
LESSONS = ("Pin the compiler", "Soak the beans", "Date in UTC", "Close the file", "Retry once")
TASK = {"task": "Build the image", "outcome": "success", "answer": "It was built."}


def imported(path: Path, modules: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports, late ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def size() -> dict[str, int]:
    files = {
        ".".join(("flex_mcp", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in PACKAGE.rglob("*.py")
    }
    arrows = {(name, other) for name, path in files.items() for other in imported(path, {*files})}
    verbs = [
        name
        for kind in vars(protocol).values()
        if isinstance(kind, type) and Protocol in kind.__bases__
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    return {
        "lines": sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files.values()),
        "modules": len(files),
        "imports between modules": len(arrows),
        "verbs of the store": len(verbs),
    }


class Trace:
    """Notes the files whose functions run, in this thread and in all that start later."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, _event: str, _argument: object) -> None:
        self.files.add(frame.f_code.co_filename)

    async def entered(self, client: Client, tool: str, arguments: dict[str, Any]) -> int:
        """How many files of the package a call enters."""
        for _ in range(3):  # the first ones import and measure
            self.files.clear()
            await client.call_tool(tool, arguments)
        return sum(Path(file).is_relative_to(PACKAGE) for file in self.files)


async def calls() -> dict[str, int]:
    trace = Trace()
    with tempfile.TemporaryDirectory(prefix="flex-mcp-") as folder:
        app = App(library=str(Path(folder) / "library.db"))
        async with Client(build_server(app)) as client:
            lessons = [
                {
                    "zone": "golden",
                    "level": "pattern",
                    "title": title,
                    "lesson": f"{title}, always.",
                }
                for title in LESSONS
            ]
            await client.call_tool("record_trajectory", TASK | {"lessons": lessons})
            found = {
                "files of a search": await trace.entered(
                    client, "search_experience", {"query": "pin it"}
                ),
                "files of a recording": await trace.entered(client, "record_trajectory", TASK),
            }
        app.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = size() | anyio.run(calls)
    for name, value in figures.items():
        print(f"{name:<24} {value:>7,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
