"""How many secrets are taken out of what is stored, and how much else goes with them.

    python benchmarks/redaction.py [TEXT...] [--json FILE] [--wrong]

`tests/support/labelled_secrets.py` holds the lines, about as many with a secret as look-alikes,
each with the exact texts that must go. Found is a secret of which nothing is left. A redaction is
right where it takes nothing but a secret (two characters of padding aside). The second half of the
lines was not looked at while the patterns were made; some of its older lines were when patterns
were mended later, so the newer ones, "as met", are counted by themselves too. Speed is measured on
the lines, again and again, and on each TEXT: a file, of which no secret is known, so that what goes
is shown as a count.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from testbed import goal, print_table, write

from flex_mcp.safety.redaction import find_secrets, redact

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
LABELLED = import_module("support.labelled_secrets")
LINES: Sequence[Any] = tuple(LABELLED.lines())
RECALL, PRECISION, LEAST = 0.98, 0.95, 300
PADDING = 2
SPEED_ON = 2_000_000  # characters


class Score(NamedTuple):
    """Secrets and those found, redactions and those that are right, of some lines."""

    name: str
    lines: int
    secrets: int
    gone: int
    redactions: int
    right: int

    @property
    def recall(self) -> float:
        return self.gone / self.secrets if self.secrets else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.redactions if self.redactions else 1.0


def scored(name: str, lines: Iterable[Any]) -> Score:
    chosen = list(lines)
    gone = sum(_is_gone(line, secret) for line in chosen for secret in line.secrets)
    judged = [
        _is_right(line, line.text[span.start : span.end])
        for line in chosen
        for span in find_secrets(line.text)
    ]
    secrets = sum(len(line.secrets) for line in chosen)
    return Score(name, len(chosen), secrets, gone, len(judged), sum(judged))


def _is_gone(line: Any, secret: str) -> bool:
    """Whether neither the secret is left nor a third of it."""
    third = max(4, len(secret) // 3)
    pieces = {secret[:third], secret[-third:]}
    left, _ = redact(line.text)
    without = line.text.replace(secret, "")
    return not any(piece in left and piece not in without for piece in pieces)


def _is_right(line: Any, taken: str) -> bool:
    if any(taken in secret for secret in line.secrets):
        return True
    rest = taken
    for secret in line.secrets:
        rest = rest.replace(secret, "")
    return rest != taken and len(rest) <= PADDING


def told_wrong(lines: Iterable[Any]) -> None:
    for line in lines:
        wrong = [
            text
            for span in find_secrets(line.text)
            if not _is_right(line, text := line.text[span.start : span.end])
        ]
        left = [secret for secret in line.secrets if not _is_gone(line, secret)]
        if wrong or left:
            print(f"{line.kind}: {line.text!r} wrongly takes {wrong}, leaves {left}")


def speed(name: str, text: str) -> dict[str, Any]:
    start = time.process_time()
    _, count = redact(text)
    rate = len(text.encode()) / 1e6 / (time.process_time() - start)
    print(f"{name}: {rate:.1f} MB a second of the processor, {count} redacted")
    return {"name": f"speed, {name}", "mb_per_second": round(rate, 2), "redacted": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path, metavar="TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--wrong", action="store_true", help="show what goes wrong")
    arguments = parser.parse_args()
    kinds = sorted({line.kind for line in LINES})
    scores = [scored(kind, [line for line in LINES if line.kind == kind]) for kind in kinds]
    scores.append(scored("as met, held out", LABELLED.met(2)))
    halves = {1: "first half", 2: "second half, held out"}
    scores += [scored(halves[n], [line for line in LINES if line.half == n]) for n in halves]
    whole = scored("whole", LINES)
    scores.append(whole)
    print_table(
        ("lines", "n", "secrets", "recall", "redactions", "precision"),
        [
            (s.name, *map(str, s[1:3]), f"{s.recall:.3f}", str(s.redactions), f"{s.precision:.3f}")
            for s in scores
        ],
    )
    if arguments.wrong:
        told_wrong(LINES)
    text = "\n".join(line.text for line in LINES if line.kind != "private")  # one has no end
    rows: list[dict[str, Any]] = [
        s._asdict() | {"recall": s.recall, "precision": s.precision} for s in scores
    ]
    rows.append(speed("the lines", text * (SPEED_ON // len(text))))
    harmless = "\n".join(line.text for line in LINES if not line.secrets)
    rows.append(speed("lines without secrets", harmless * (SPEED_ON // len(harmless))))
    rows += [speed(path.name, path.read_text(encoding="utf-8")) for path in arguments.texts]
    goals = [goal("lines", LEAST, len(LINES))]
    for score in (whole, scores[-2]):
        goals += [
            goal(f"recall, {score.name}", RECALL, score.recall),
            goal(f"precision, {score.name}", PRECISION, score.precision),
        ]
    write(arguments.json, {"rows": rows, "goals": goals})


if __name__ == "__main__":
    main()
