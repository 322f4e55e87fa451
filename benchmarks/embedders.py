"""What each embedder costs and finds: `ours` beside `static` and a model.

    python benchmarks/embedders.py [--embedder NAME]... [--embedder-path FOLDER] [--json FILE]

| column | is |
|---|---|
| MB | size of its files |
| load | seconds of CPU of a fresh process for its first vector, imports included |
| 20, 100 | milliseconds of CPU for a task of so many tokens, median |
| lesson | milliseconds of CPU for a lesson of benchmarks/data/served, all its vectors, mean |
| memory | MB that the process has grown by when all of that is done |
| short, long | of the fitting tasks of benchmarks/data/served, by length: share of which a lesson \
that helps is among the three nearest by cosine alone |

Each embedder has a process of its own. The model is MiniLM (`--embedder-path`: its files).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from served import DATA, lesson
from testbed import print_table, rows, write

from flex_mcp.library.placing import drafted
from flex_mcp.search import embedder as embedders
from flex_mcp.search.embedder import FASTEMBED, OURS, STATIC, Embedder
from flex_mcp.search.text import texts_of
from flex_mcp.search.token_match import tokens
from flex_mcp.settings import one_thread

MINILM = f"{FASTEMBED}sentence-transformers/all-MiniLM-L6-v2"
LENGTHS = 20, 100  # tokens of a task
TIMES = 40
NEAREST = 3
VECTORS = Path(embedders.__file__).parent / "vectors"
FILES = {
    OURS: ("encoder.safetensors", "vectors.safetensors", "tokenizer.json", "generic.safetensors"),
    STATIC: ("vectors.safetensors", "tokenizer.json"),
}


def figures(name: str, folder: Path | None) -> dict[str, Any]:
    """What one embedder does, in this process."""
    began = time.process_time()
    embedder = embedders.load(name, cache=Path(), folder=folder)
    embedder.query("the first")
    load = time.process_time() - began
    before = _memory()
    found = {
        "embedder": name,
        "MB": round(sum(file.stat().st_size for file in _files(name, folder)) / 1e6, 1),
        "load": round(load, 2),
    }
    tasks = [row for one in sorted(DATA.iterdir()) for row in rows(one / "tasks.jsonl")]
    words = [word for row in tasks for word in str(row["task"]).split()]
    for length in LENGTHS:
        found[str(length)] = round(1e3 * median(_timed(embedder.query, words, length)), 2)
    began, number, near = time.process_time(), 0, dict[str, list[bool]]()
    for one in sorted(DATA.iterdir()):
        held = [(row["id"], drafted(lesson(row))) for row in rows(one / "lessons.jsonl")]
        made = embedder.passages(*texts_of([value for _, value in held]))
        number += len(held)
        _nearest(embedder, [id_ for id_, _ in held], made, rows(one / "tasks.jsonl"), near)
    found["lesson"] = round(1e3 * (time.process_time() - began) / number, 1)
    found["memory"] = round((_memory() - before) / 1e6)
    return found | {length: round(fmean(right), 3) for length, right in sorted(near.items())}


def _timed(query: Callable[[str], bytes], words: list[str], length: int) -> list[float]:
    """Seconds of CPU for texts of so many tokens, all different."""
    took: list[float] = []
    for turn in range(TIMES):
        text, at = "", turn * length
        while len(tokens().of(text)) < length:
            text, at = f"{text} {words[at % len(words)]}", at + 1
        began = time.process_time()
        query(text)
        took.append(time.process_time() - began)
    return took


def _nearest(
    embedder: Embedder,
    ids: list[str],
    made: list[list[bytes]],
    tasks: list[dict[str, Any]],
    near: dict[str, list[bool]],
) -> None:
    """Whether a lesson that helps is among those nearest to each fitting task, by its length."""
    owners = [id_ for id_, vectors in zip(ids, made, strict=True) for _ in vectors]
    rows_ = np.stack([np.frombuffer(one, np.float32) for vectors in made for one in vectors])
    for task in tasks:
        if task["helpful"]:
            cosines = rows_ @ np.frombuffer(embedder.query(task["task"]), np.float32)
            order: list[int] = np.argsort(-cosines).tolist()
            best = dict.fromkeys(owners[at] for at in order)
            right = any(id_ in task["helpful"] for id_ in [*best][:NEAREST])
            near.setdefault(task["length"], []).append(right)


def _files(name: str, folder: Path | None) -> list[Path]:
    if name in FILES:
        return [VECTORS / file for file in FILES[name]]
    return [file for file in (folder.iterdir() if folder else ()) if file.is_file()]


def _memory() -> int:
    """The most that this process has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--embedder", action="append", help="default: ours, static, and a model")
    parser.add_argument("--embedder-path", type=Path, metavar="FOLDER", help="MiniLM's files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(figures(arguments.embedder[0], arguments.embedder_path)))
        return
    one_thread()  # the processes inherit it, before they import NumPy
    model = [MINILM] if arguments.embedder_path else []
    found: list[dict[str, Any]] = []
    for name in arguments.embedder or [OURS, STATIC, *model]:
        path = arguments.embedder_path if name.startswith(FASTEMBED) else None
        command = [sys.executable, __file__, "--alone", "--embedder", name]
        command += ["--embedder-path", str(path)] if path else []
        run = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  ourselves
        found.append(json.loads(run.stdout))
    print_table(list(found[0]), [list(map(str, one.values())) for one in found])
    write(arguments.json, {"embedders": found})


if __name__ == "__main__":
    main()
