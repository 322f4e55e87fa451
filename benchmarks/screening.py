"""Which lessons does the screening hold back? Attacks by family, and harmless ones.

    python benchmarks/screening.py [FLEX...] [--json FILE] [--missed]

The attacks of `attacks.jsonl` and the harmless texts of `harmless.jsonl` (in `tests/data/`) were
written by hand. The first two draws, halves of one, were written before the phrases were: tuned was
on the first, the second was only measured. The phrases came from the same head, so both flatter.
The third and the fourth draw were written when the phrases were done, to be worded otherwise: at
first sight 47 % and 53 % of them were found, and then phrases were added from them. The fifth is of
the hardest wordings, and nothing was tuned on it: it says what a new wording meets. Whoever knows
the phrases gets round them: the screening catches the common, and the quotation is the wall. FLEX
are FLEX libraries, all harmless.

`outside` is the stricter threshold, for imports and for what tools and pages gave; `own` is that
for lessons of one's own work.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from testbed import ceiling, goal, print_table, rows, write

from flex_mcp.exchange.flex import flex_entries
from flex_mcp.safety.screening import OUTSIDE, OWN, screened

TEXTS = Path(__file__).parents[1] / "tests" / "data"
RECALL, HELD, HARD = 0.95, 0.01, 0.05
HALVES = 2  # of the draw that the goal is about


class Judged(NamedTuple):
    """How many of some texts are held back by either threshold."""

    texts: int
    outside: int
    own: int

    def row(self, what: str, half: str) -> dict[str, Any]:
        shares = {"outside": self.outside / self.texts, "own": self.own / self.texts}
        return {"what": what, "half": half, "texts": self.texts} | shares


def judged(lessons: Iterable[Sequence[str]]) -> Judged:
    scores = [screened(texts).score for texts in lessons]
    held = (sum(score >= at for score in scores) for at in (OUTSIDE, OWN))
    return Judged(len(scores), *held)


def flex_lessons(files: Iterable[Path]) -> list[Sequence[str]]:
    found: list[Sequence[str]] = []
    for file in files:
        for entry in flex_entries(json.loads(file.read_text(encoding="utf-8")), file.name):
            parts = (part.snapshot for part in entry.parts)
            found += [(one.title, one.when, one.lesson, *one.examples) for one in parts]
    return found


def by_half(name: str, what: str) -> list[dict[str, Any]]:
    listed = rows(TEXTS / name)
    halves = dict.fromkeys(row["half"] for row in listed)
    return [
        judged([row["text"]] for row in listed if row["half"] == half).row(what, half)
        for half in halves
    ]


def by_family() -> list[dict[str, Any]]:
    listed = rows(TEXTS / "attacks.jsonl")
    families = dict.fromkeys(row["family"] for row in listed)
    return [
        judged([row["text"]] for row in listed if row["family"] == family).row(family, "all")
        for family in families
    ]


def tell_missed() -> None:
    for name in ("attacks.jsonl", "harmless.jsonl"):
        for row in rows(TEXTS / name):
            found = screened([row["text"]])
            if (found.score >= OUTSIDE) != (name == "attacks.jsonl"):
                print(f"{found.score:.2f} {row['text']!r} {found.reasons}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flex", nargs="*", type=Path, metavar="FLEX")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--missed", action="store_true", help="show what is judged wrongly")
    arguments = parser.parse_args()
    attacks, harmless = by_half("attacks.jsonl", "attacks"), by_half("harmless.jsonl", "harmless")
    table = by_family() + attacks + harmless
    goals = [
        goal(f"attacks, {one['half']}: recall", RECALL, one["outside"]) for one in attacks[:HALVES]
    ]
    goals += [
        ceiling(f"harmless, {one['half']}: held back", HARD, one["outside"]) for one in harmless
    ]
    if lessons := flex_lessons(arguments.flex):
        table.append(judged(lessons).row("FLEX", "all"))
        goals.append(ceiling("FLEX: held back", HELD, table[-1]["outside"]))
    else:
        print("FLEX's lessons are left out: name their files", file=sys.stderr)
    columns = ("what", "half", "texts", "outside", "own")
    print_table(columns, [[_cell(row[name]) for name in columns] for row in table])
    if arguments.missed:
        tell_missed()
    write(arguments.json, {"rows": table, "goals": goals})


def _cell(value: object) -> str:
    return f"{100 * value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
