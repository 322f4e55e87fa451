"""Whether a search serves what helps: few, right, best first, and nothing where nothing fits.

    python benchmarks/served.py [DIR...] [--size N]... [--curve] [--json FILE]
        [--embedder NAME] [--embedder-path FOLDER]

A DIR (default: those of benchmarks/data/served) holds `lessons.jsonl` and `tasks.jsonl`: tasks in
their own words, `fitting` ones with the lessons that help, `near` ones of the same field and `far`
ones, for which there is none; half of them short, half long. Each size is a library of so many of
the lessons, drawn some times; tasks whose lessons were not drawn count as near.

| column | is |
|---|---|
| ranked | share of the fitting tasks of which a lesson that helps is among the first three, uncut |
| precision | share of the hits on fitting tasks that help |
| wanted | share of the fitting tasks of which a lesson that helps was served |
| first | share of these in which it came first |
| near, far | share of such tasks that anything was served for |
| ECE | expected calibration error of `fit` (five best candidates, fitting and near, ten bins) |
| characters, tokens | of the median answer that holds anything, as text |

`--curve` says what other cuts of `relevance` would give.
"""

import argparse
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from testbed import add_embedder, fill, opened, print_table, rows, write

from flex_mcp.library.library import Library
from flex_mcp.models import Action, Found, Lesson, Level, Zone
from flex_mcp.search.fit import RELEVANT
from flex_mcp.search.token_match import tokens
from flex_mcp.tools.answers import search_answer

DATA = Path(__file__).parent / "data" / "served"
SIZES = 5, 10, 40, 150
DRAWS = {5: 6, 10: 6, 40: 4}  # of libraries of a size; larger ones are drawn once
DRAWN = 0.7  # share of a small library that the fitting tasks ask for
DEEP = 20  # hits that are looked at beyond the cuts
BINS = 10
THREE = 3
JUDGED = 5  # best candidates that calibration looks at
CUTS = [share / 20 for share in range(1, 20)]


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, and which lessons of the library help; `kind` as in this library."""

    text: str
    kind: str
    length: str
    helpful: frozenset[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One task with what was served, all that could have been, and the answer."""

    task: Task
    served: list[str]
    candidates: list[tuple[str, float]]
    relevance: float
    text: str


def lesson(row: Mapping[str, Any]) -> Lesson:
    return Lesson(
        zone=Zone(row["zone"]),
        level=Level(row["level"]),
        title=row["title"],
        when=row["when"],
        lesson=row["lesson"],
        examples=tuple(row["examples"]),
        domain=row["domain"],
        tags=tuple(row["tags"]),
        action=Action.ADD,
    )


def draws(folder: Path, size: int) -> Iterator[tuple[dict[str, Lesson], list[Task]]]:
    """Libraries of this size with their tasks, always the same ones."""
    lessons = {row["id"]: lesson(row) for row in rows(folder / "lessons.jsonl")}
    tasks = rows(folder / "tasks.jsonl")
    chance = random.Random(f"{folder.name} {size}")
    for _ in range(DRAWS.get(size, 1)):
        chosen = _drawn(lessons, tasks, size, chance)
        yield (
            {id_: lessons[id_] for id_ in chosen},
            [_task(row, frozenset(chosen)) for row in tasks],
        )


def _drawn(
    lessons: Mapping[str, Lesson],
    tasks: Sequence[Mapping[str, Any]],
    size: int,
    chance: random.Random,
) -> list[str]:
    if size >= len(lessons):
        return list(lessons)
    fitting = [row for row in tasks if row["helpful"]]
    chance.shuffle(fitting)
    wanted: dict[str, None] = {}
    for row in fitting:
        if len(wanted) >= DRAWN * size:
            break
        wanted |= dict.fromkeys(row["helpful"])
    rest = [id_ for id_ in lessons if id_ not in wanted]
    chance.shuffle(rest)
    return [*wanted, *rest][:size]


def _task(row: Mapping[str, Any], there: frozenset[str]) -> Task:
    helpful = there & frozenset(row["helpful"])
    kind = "fitting" if helpful else "far" if row["kind"] == "far" else "near"
    return Task(row["task"], kind, row["length"], helpful)


def asked(library: Library, names: Mapping[str, str], task: Task) -> Asked:
    found = library.search(task.text)
    all_ = library.search(task.text, limit=DEEP, abstain=False)
    return Asked(
        task,
        [names[hit.experience.id] for hit in found.hits],
        [(names[hit.experience.id], hit.fit) for hit in all_.hits],
        all_.relevance,
        _text(found),
    )


def _text(found: Found) -> str:
    return search_answer(found, "concise").text if found.hits else ""


def row(name: str, size: int, length: str, answers: Sequence[Asked]) -> dict[str, Any]:
    """What one line of the table says of these answers."""
    fitting = [one for one in answers if one.task.kind == "fitting"]
    right = [[id_ in one.task.helpful for id_ in one.served] for one in fitting]
    holding = [found for found in right if any(found)]
    texts = [one.text for one in answers if one.text]
    return {
        "set": name,
        "lessons": size,
        "tasks": length,
        "ranked": _share(
            any(id_ in one.task.helpful for id_, _ in one.candidates[:THREE]) for one in fitting
        ),
        "precision": _share(fit for found in right for fit in found),
        "wanted": _share(map(any, right)),
        "first": _share(found[0] for found in holding),
        "near": _share(bool(one.served) for one in answers if one.task.kind == "near"),
        "far": _share(bool(one.served) for one in answers if one.task.kind == "far"),
        "ECE": calibration_error(answers),
        "characters": round(median(map(len, texts))) if texts else 0,
        "tokens": round(median(len(tokens().of(text)) for text in texts)) if texts else 0,
    }


def _share(values: Iterable[bool]) -> float:
    held = list(values)
    return round(fmean(held), 3) if held else 0.0


def calibration_error(answers: Sequence[Asked]) -> float:
    """Of `fit`, as the docstring says."""
    pairs = sorted(
        (fit, float(id_ in one.task.helpful))
        for one in answers
        if one.task.kind != "far"
        for id_, fit in one.candidates[:JUDGED]
    )
    count = len(pairs)
    error = 0.0
    for number in range(BINS):
        part = pairs[number * count // BINS : (number + 1) * count // BINS]
        if part:
            said, true = (fmean(column) for column in zip(*part, strict=True))
            error += len(part) / count * abs(said - true)
    return round(error, 3)


def curve(answers: Sequence[Asked]) -> list[dict[str, Any]]:
    """What is served by other cuts of `relevance`; of the hits the same share stays."""
    fitting = [one for one in answers if one.task.kind == "fitting"]
    near = [one for one in answers if one.task.kind == "near"]
    return [
        {
            "relevance from": cut,
            "answered": _share(one.relevance >= cut for one in fitting),
            "near": _share(one.relevance >= cut for one in near),
            "far": _share(one.relevance >= cut for one in answers if one.task.kind == "far"),
        }
        for cut in sorted({*CUTS, RELEVANT})
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--size", type=int, action="append", help=f"default {SIZES}")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--json", type=Path)
    add_embedder(parser)
    arguments = parser.parse_args()
    table: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for folder in arguments.folders or sorted(DATA.iterdir()):
        for size in arguments.size or SIZES:
            answers: list[Asked] = []
            held = 0
            for lessons, tasks in draws(folder, size):
                held = len(lessons)
                with opened(arguments) as library:
                    names = {made: id_ for id_, made in fill(library, lessons).items()}
                    library.calibrate()
                    answers += [asked(library, names, task) for task in tasks]
            for length in ("short", "long", "all"):
                own = [one for one in answers if length in {one.task.length, "all"}]
                table.append(row(folder.name, held, length, own))
            curves += [{"set": folder.name, "lessons": held, **one} for one in curve(answers)]
    for lines in (table, curves) if arguments.curve else (table,):
        print_table(list(lines[0]), [list(map(str, line.values())) for line in lines])
        print()
    write(arguments.json, {"rows": table, "curve": curves})


if __name__ == "__main__":
    main()
