"""What the vectors are trained on: texts without the held-out ones, and short spans of them."""

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

SHARED = 8  # consecutive words that make two texts the same source
LONGEST = 90  # words of a training text
SHORTEST = 3
SPAN = 14  # words of the longest random span
CUTS = 12, 24, 40, 64, LONGEST  # words of a text that is paired with a short one
OPENINGS = (
    "How do I ",
    "Please ",
    "I need to ",
    "Help me with ",
    "Why ",
    "What is the best way: ",
    "Fix ",
    "Write ",
    "Find out about ",
    "Explain ",
    "Task: ",
    "Question: ",
)
SENTENCE = 25  # words of the longest sentence that counts as a short text
PLAIN = frozenset({".txt", ".md", ".rst"})
LINES = frozenset({".jsonl", ".json"})

_WORD = re.compile(r"\w+")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What must not be trained on: runs of eight words of longer texts, and shorter texts whole."""

    runs: frozenset[str]
    whole: frozenset[str]

    def holds(self, text: str) -> bool:
        words = _words(text)
        return " ".join(words) in self.whole or any(run in self.runs for run in _runs(words))


def held_out(texts: Iterable[str]) -> HeldOut:
    runs: set[str] = set()
    whole: set[str] = set()
    for text in texts:
        words = _words(text)
        if len(words) < SHARED:
            whole.add(" ".join(words))
        else:
            runs.update(_runs(words))
    return HeldOut(frozenset(runs), frozenset(whole))


def keep(texts: Iterable[str], out: HeldOut) -> tuple[list[str], int]:
    """The texts that share nothing with the held-out ones, each once, and how many did share."""
    kept: dict[str, None] = {}
    dropped = 0
    for text in texts:
        if out.holds(text):
            dropped += 1
        else:
            kept.setdefault(text)
    return list(kept), dropped


def read(folder: Path) -> Iterator[str]:
    """Every text below a folder, or of one file.

    Each line of `.jsonl` and `.jsonl.gz`, each item of a `.json` list, is one: its `text`, or all
    its strings. In `.txt`, `.md` and `.rst` each paragraph is.
    """
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        packed = path.suffix == ".gz"
        kind = Path(path.stem).suffix if packed else path.suffix
        if path.is_file() and kind in PLAIN | LINES:
            with _opened(path, packed=packed) as file:
                yield from _plain(file) if kind in PLAIN else _objects(file, kind)


def everything(folders: Iterable[Path]) -> Iterator[str]:
    """Every string below these folders, whatever its key: to hold it out."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in LINES:
                with _opened(path, packed=False) as file:
                    for value in _values(file, path.suffix):
                        yield from _strings(value)
            elif path.suffix in PLAIN and path.name != "README.md":
                yield path.read_text(encoding="utf-8")


def paragraph(text: str) -> str:
    """A text's first words, on one line."""
    return " ".join(text.split()[:LONGEST])


def sentences(text: str) -> list[str]:
    """The short sentences of a text of more than one."""
    found = _END.split(text)
    short = (one for one in found if SHORTEST <= len(one.split()) <= SENTENCE)
    return list(short) if len(found) > 1 else []


def spans(texts: Sequence[str], seed: int = 1) -> list[str]:
    """Short texts, each once: the short sentences, and of each text a run of 3 to 14 words."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    for text in texts:
        for sentence in sentences(text):
            found.setdefault(sentence)
        words = text.split()
        length = chance.randint(SHORTEST, SPAN)
        if len(words) > length:
            start = chance.randrange(len(words) - length + 1)
            found.setdefault(" ".join(words[start : start + length]))
    return list(found)


def pairs(texts: Sequence[str], seed: int = 1) -> list[tuple[str, str]]:
    """Of each text its first 12 to 90 words, and a short text of it: a sentence or a run of words.

    A third of the short ones is asked for (`OPENINGS`), as a task would.
    """
    chance = random.Random(seed)
    found: list[tuple[str, str]] = []
    for text in texts:
        words = text.split()[: chance.choice(CUTS)]
        if len(words) <= SHORTEST:
            continue
        length = min(chance.randint(SHORTEST, SPAN), len(words))
        at = chance.randrange(len(words) - length + 1)
        short = [" ".join(words[at : at + length])]
        if chance.random() < 1 / 2:
            short = sentences(" ".join(words)) or short
        opening = chance.choice(OPENINGS) if chance.random() < 1 / 3 else ""
        found.append((" ".join(words), opening + chance.choice(short)))
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _runs(words: Sequence[str]) -> Iterator[str]:
    return (" ".join(words[at : at + SHARED]) for at in range(len(words) - SHARED + 1))


def _opened(path: Path, *, packed: bool) -> TextIO:
    if packed:
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _plain(file: TextIO) -> Iterator[str]:
    return (part for part in re.split(r"\n\s*\n", file.read()) if part.strip())


def _values(file: TextIO, kind: str) -> Iterator[Any]:
    if kind == ".json":
        yield json.load(file)
    else:
        yield from (json.loads(line) for line in file if line.strip())


def _objects(file: TextIO, kind: str) -> Iterator[str]:
    for value in _values(file, kind):
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        for item in items:
            match item:
                case {"text": str(text)}:
                    yield text
                case _:
                    yield from _strings(item)


def _strings(value: Any) -> Iterator[str]:
    inner: Iterable[Any] = ()
    match value:
        case str():
            yield value
        case list():
            inner = cast("list[Any]", value)
        case dict():
            inner = cast("dict[str, Any]", value).values()
        case _:
            pass
    for item in inner:
        yield from _strings(item)
