"""A search over stdio in a library of 10,000 experiences, beside a tool that does nothing.

    python benchmarks/roundtrip.py [--set SET_DIR] [--size 10000] [--calls 1000] [--json FILE]

Both servers run at once and are called in turn; the other one is the bare SDK.
"""

import argparse
from collections import defaultdict
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from testbed import ceiling, print_table, write
from wire import Server, bare, ours, started, stock, texts

WARM_UP = 50
SEARCH, NOOP = "search_experience", "noop"


def call(server: Server, tool: str, query: str) -> float:
    began = perf_counter()
    server.call(tool, {"query": query})
    return 1000 * (perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--set", type=Path, metavar="SET_DIR")
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    taken: defaultdict[str, list[float]] = defaultdict(list)
    with TemporaryDirectory(prefix="flex-mcp-") as folder:
        library = Path(folder) / "library.db"
        known = texts(given.set, given.size)
        stock(library, known.documents)
        with started(ours(library)) as our, started(bare()) as other:
            servers = {SEARCH: our, NOOP: other}
            for server in servers.values():
                server.initialize()
            queries = islice(cycle(known.queries.values()), WARM_UP + given.calls)
            for number, query in enumerate(queries):
                for tool, server in servers.items():
                    ms = call(server, tool, query)
                    if number >= WARM_UP:
                        taken[tool].append(ms)
    rows: list[dict[str, Any]] = []
    for tool, times in taken.items():
        cuts = quantiles(times, n=100)
        rows.append({"tool": tool, "calls": len(times), "p50 ms": cuts[49], "p99 ms": cuts[98]})
    print(f"{len(known.documents)} experiences, {known.name}")
    shown = [[row["tool"], f"{row['p50 ms']:.2f}", f"{row['p99 ms']:.2f}"] for row in rows]
    print_table(["ms a call", "p50", "p99"], shown)
    share = rows[0]["p50 ms"] / rows[1]["p50 ms"]
    goals = [ceiling("p50 of a search in those of a call that does nothing", 6, share)]
    write(given.json, {"rows": rows, "goals": goals})


if __name__ == "__main__":
    main()
