"""Make the vectors of the offline default from a teacher and texts, and say how good they are.

    python training/vectors.py TEXTS... --held-out DIR... --out DIR [--teacher MODEL_OR_FOLDER]

README.md beside this file tells each step. The teacher's work is kept in `--cache`: a run that was
broken off goes on where it was, and the next one has it done.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import evaluate
import numpy as np
import student
import teacher
import texts
from bags import Matrix, bags
from tokenizers import Tokenizer

SHIPPED = Path(__file__).parents[1] / "flex_mcp" / "search" / "vectors"


def main() -> None:
    arguments = _arguments()
    out: Path = arguments.out
    if arguments.passes:
        learned = corpus(arguments.texts, arguments.held_out)
        made = _tokenizer(arguments.tokenizer, learned)
        rows = _trained(made, _drawn(learned, arguments), arguments)
        out.mkdir(parents=True, exist_ok=True)
        made.save(str(out / "tokenizer.json"), pretty=False)
        about = {
            "version": arguments.version,
            "teacher": teacher.named(arguments.teacher),
            "dimension": str(rows.shape[1]),
        }
        student.write(out / "vectors.safetensors", rows, about)
    report([SHIPPED, out], arguments.evaluate)


def corpus(folders: Sequence[Path], held_out: Sequence[Path]) -> list[str]:
    """The paragraphs and their short spans that share nothing with what is held out."""
    out = texts.held_out(texts.everything(held_out))
    raw = [texts.paragraph(text) for folder in folders for text in texts.read(folder)]
    paragraphs, dropped = texts.keep(raw, out)
    print(f"{len(paragraphs):,} texts, {dropped:,} dropped for what they share with the held-out")
    spans, dropped = texts.keep(texts.spans(paragraphs), out)
    print(f"{len(spans):,} short spans of them, {dropped:,} dropped", flush=True)
    return list(dict.fromkeys([*paragraphs, *spans]))


def report(folders: Sequence[Path], sets: Sequence[Path]) -> None:
    """How these vectors do, fused with words (and alone): the last may replace the first or not."""
    testbeds = [testbed for folder in sets for testbed in evaluate.testbeds(folder)]
    kept: list[list[float]] = []
    for folder in folders if testbeds else ():
        rows, _ = student.read(folder / "vectors.safetensors")
        embed = student.Embed(Tokenizer.from_file(str(folder / "tokenizer.json")), rows)
        print(folder)
        sets_, streams = list[float](), list[float]()
        for testbed in testbeds:
            fused, alone = (evaluate.score(testbed, embed, share) for share in (0.5, 1.0))
            print(f"  {testbed.name:24} {fused:5.1f} ({alone:5.1f})", flush=True)
            (streams if testbed.labels else sets_).append(fused)
        mean = [fmean(sets_)] if sets_ else []
        print(*(f"  {'mean of the sets':24} {figure:5.1f}" for figure in mean), sep="")
        kept.append([*mean, *streams])
    if kept:
        better = all(new > old for old, new in zip(kept[0], kept[-1], strict=True))
        print(f"better on the mean and on every stream: {'yes' if better else 'no'}")


def _drawn(learned: list[str], arguments: argparse.Namespace) -> list[str]:
    if not arguments.sample or arguments.sample >= len(learned):
        return learned
    chosen = np.random.default_rng(arguments.seed).permutation(len(learned))[: arguments.sample]
    return [learned[at] for at in chosen]


def _tokenizer(path: Path | None, learned: Sequence[str]) -> Tokenizer:
    return student.tokenizer(learned) if path is None else Tokenizer.from_file(str(path))


def _trained(made: Tokenizer, learned: Sequence[str], arguments: argparse.Namespace) -> Matrix:
    pieces = student.pieces(made) if arguments.start is None else []
    wanted = list(dict.fromkeys([*pieces, *learned]))
    place = {text: at for at, text in enumerate(wanted)}
    known = teacher.embed(
        wanted, teacher.opened(arguments.teacher), arguments.cache, workers=arguments.workers
    )
    targets = known[[place[text] for text in learned]]
    counts = bags(made, learned)
    if arguments.start is None:
        tokens = known[[place[piece] for piece in pieces]].astype(np.float32)
        rows = student.start(counts, targets.astype(np.float32), tokens)
    else:
        rows, _ = student.read(arguments.start)
    how = student.Distillation(passes=arguments.passes, rate=arguments.rate, seed=arguments.seed)
    return student.distil(rows, counts, targets, how)


def _arguments() -> argparse.Namespace:
    parser = teacher.parser(__doc__ or "")
    add = parser.add_argument
    add("--tokenizer", type=Path, metavar="FILE", help="take this one; else one is trained")
    add("--start", type=Path, metavar="FILE", help="go on from these vectors; else by regression")
    add("--sample", type=int, default=0, metavar="N", help="only so many texts, by chance")
    add("--passes", type=int, default=6, help="over all texts; 0 only evaluates")
    add("--rate", type=float, default=4e-3, help="of Adam, falling to 0")
    add("--evaluate", nargs="+", type=Path, default=[], metavar="DIR", help="sets and streams")
    return parser.parse_args()


if __name__ == "__main__":
    main()
