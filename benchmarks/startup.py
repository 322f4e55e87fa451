"""From the start of a process to its first answers, beside a bare `MCPServer` and other servers.

    python benchmarks/startup.py [--set SET_DIR] [--runs 20] [--peer NAME=COMMAND ...] [--json FILE]

Each run starts every server once, in an order of its own, so that noise hits all alike, and does
what clients do: initialize, tools/list, one call. Ours is started with and without its front, for a
search in a library of 400 experiences and for recording a trajectory; the bare server's tool does
nothing. Peers are servers whose command is found here; they are not called.
"""

import argparse
import random
import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from testbed import ceiling, print_table, write
from wire import bare, ours, started, stock, texts

EXPERIENCES = 400
MOMENTS = ("initialize", "tools/list", "first call")
FRONT, PLAIN, BARE = "flex-mcp", "flex-mcp, no front", "bare MCPServer"
FASTMCP = "from fastmcp import FastMCP; FastMCP('bare').run(show_banner=False)"
PEERS = {
    "server-memory": ["mcp-server-memory"],
    "basic-memory": ["basic-memory", "mcp"],
    "bare FastMCP": [sys.executable, "-c", FASTMCP],
}


class Case(NamedTuple):
    command: Sequence[str]
    call: tuple[str, Mapping[str, Any]] | None = None
    settings: Mapping[str, str] = {}


def cases(library: Path, query: str) -> dict[str, Case]:
    search = ("search_experience", {"query": query})
    record = ("record_trajectory", {"task": query, "outcome": "failure"})
    plain = {"FLEX_MCP_FAST_START": "0"}
    return {
        BARE: Case(bare(), ("noop", {"query": query})),
        f"{FRONT}: search": Case(ours(library), search),
        f"{PLAIN}: search": Case(ours(library), search, plain),
        f"{FRONT}: record": Case(ours(library), record),
        f"{PLAIN}: record": Case(ours(library), record, plain),
    }


def peers(given: Sequence[str]) -> dict[str, Case]:
    named = (one.partition("=") for one in given)
    commands = PEERS | {name: shlex.split(command) for name, _, command in named}
    found: dict[str, Case] = {}
    for name, command in commands.items():
        if shutil.which(command[0]) is None:
            print(f"skipped: {name}, there is no command {command[0]}")
        elif command == PEERS["bare FastMCP"] and find_spec("fastmcp") is None:
            print(f"skipped: {name}, there is no package fastmcp")
        else:
            found[name] = Case(command)
    return found


def measured(case: Case) -> list[float]:
    """Milliseconds from the start to each of the moments."""
    with started(case.command, **case.settings) as server:
        server.initialize()
        ages = [server.age]
        server.ask("tools/list")
        ages.append(server.age)
        if case.call:
            server.call(*case.call)
            ages.append(server.age)
        return ages


def goals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    typical = {row["server"]: row for row in rows}

    def share(moment: str, one: str, other: str, at_most: float) -> dict[str, Any]:
        reached = typical[one][moment] / typical[other][moment]
        return ceiling(f"{moment}, {one}, as a share of {other}", at_most, reached)

    made: list[dict[str, Any]] = []
    for moment in MOMENTS[:2]:
        made.append(share(moment, f"{FRONT}: search", BARE, 0.2))
        made.append(share(moment, f"{PLAIN}: search", BARE, 1.2))
    for tool in ("search", "record"):
        made.append(share(MOMENTS[2], f"{FRONT}: {tool}", f"{PLAIN}: {tool}", 1.05))
        made.append(share(MOMENTS[2], f"{PLAIN}: {tool}", BARE, 1.3))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--set", type=Path, metavar="SET_DIR")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    ages: defaultdict[str, list[list[float]]] = defaultdict(list)
    with TemporaryDirectory(prefix="flex-mcp-") as folder:
        library = Path(folder) / "library.db"
        known = texts(given.set, EXPERIENCES)
        stock(library, known.documents)
        query = next(iter(known.queries.values()))
        every = cases(library, query) | peers(given.peer)
        for case in every.values():
            measured(case)  # once for the bytecode
        for number in range(given.runs):
            for name in random.Random(number).sample(list(every), len(every)):
                ages[name].append(measured(every[name]))
    rows: list[dict[str, Any]] = []
    for name in every:
        runs = ages[name]
        row: dict[str, Any] = {"server": name}
        for moment, column in zip(MOMENTS, zip(*runs, strict=True), strict=False):
            row |= {moment: median(column), f"{moment}, worst": max(column)}
        rows.append(row)
    columns = [f"{moment}{kind}" for moment in MOMENTS for kind in ("", ", worst")]
    table = [
        [row["server"], *(f"{row[column]:.0f}" if column in row else "-" for column in columns)]
        for row in rows
    ]
    print_table(["ms, median of all runs", *columns], table)
    write(given.json, {"rows": rows, "goals": goals(rows)})


if __name__ == "__main__":
    main()
