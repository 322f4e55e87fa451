"""Phrases by which text gives orders to a model, found without regard to their exact wording.

`words/poison.txt` says what is looked for. A phrase is words in order with few others between them,
inside one sentence; it counts less where it is denied, told of, or quoted as an example. One pass
over the words, and for each phrase over the places where it may begin: time grows with the text.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import NamedTuple

WORD = re.compile(r"\w+")
ADDRESS = re.compile(r"://\S{0,500}")
BREAK = re.compile(r"[.!?][\"')\]]{0,3}\s|[\u3002\uff01\uff1f]|\n\s{0,4}\n")
CLAUSE = re.compile(r"[,;:()\[\]\"\u2014\n<>{}|]")
QUOTED = re.compile(
    r"\"[^\"\n]{1,300}\"|\u201c[^\u201d\n]{1,300}\u201d|`[^`\n]{1,300}`|\u00ab[^\u00bb\n]{1,300}\u00bb"
    r"|(?<!\w)'[^'\n]{1,300}'(?!\w)|\u300c[^\u300d\n]{1,300}\u300d"
)
LEET = str.maketrans("013457", "oieast")

WORDS, ORDINARY = 4_096, 24  # words that are remembered, and their characters at most
DENIAL_REACH = 5  # words before a phrase
DENIED, TOLD, MENTIONED, CAUTIONED, CONDITIONAL = 0.25, 0.35, 0.3, 0.6, 0.5
SURE = 0.9


class Hit(NamedTuple):
    """A phrase that was found, where, and how much it weighs there."""

    kind: str
    weight: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Element:
    """One place of a phrase: which of the known word sets, after at most `gap` other words."""

    gap: int
    words: int


@dataclass(frozen=True, slots=True)
class Phrase:
    kind: str
    weight: float
    elements: tuple[Element, ...]
    is_denial: bool
    begins: bool
    needs: frozenset[int]  # the word sets of its elements


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of text, each within so many characters of the one before."""

    kind: str
    weight: float
    parts: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Expression:
    kind: str
    weight: float
    pattern: re.Pattern[str]


@dataclass(slots=True)
class Book:
    """All that is looked for; `exact` and `stems` say which word sets a word belongs to."""

    sets: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    kinds: dict[str, str] = field(default_factory=dict[str, str])
    phrases: list[Phrase] = field(default_factory=list[Phrase])
    pieces: list[Pieces] = field(default_factory=list[Pieces])
    expressions: list[Expression] = field(default_factory=list[Expression])
    exact: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    stems: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    _sets: dict[frozenset[str], int] = field(default_factory=dict[frozenset[str], int])

    def known(self, words: frozenset[str]) -> int:
        """The number of a word set."""
        if words not in self._sets:
            number = self._sets[words] = len(self._sets)
            for word in words:
                held = self.stems if word.endswith("*") else self.exact
                held.setdefault(word.rstrip("*"), []).append(number)
        return self._sets[words]

    def sets_of(self, word: str) -> set[int]:
        found = {*self.exact.get(word, ())}
        for length in range(2, len(word[:16]) + 1):
            found.update(self.stems.get(word[:length], ()))
        return found


@cache
def book() -> Book:
    """What `words/poison.txt` says."""
    made, kind = Book(), ""
    text = (files("flex_mcp.safety") / "words" / "poison.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            kind, made.kinds[kind] = line[1:].split("] ", 1)[0], line.split("] ", 1)[1]
        elif kind:
            _read(made, kind, line)
        else:
            name, _, words = line.partition(" = ")
            made.sets[name] = frozenset(words.split())
    return made


def _set(name: str) -> frozenset[str]:
    return book().sets[name]


def _read(made: Book, kind: str, line: str) -> None:
    weight, _, rest = line.partition(" ")
    mark, _, what = rest.partition(" ")
    if mark == "/":
        made.expressions.append(Expression(kind, float(weight), re.compile(what)))
    elif mark == "@":
        made.pieces.append(Pieces(kind, float(weight), _pieces(what)))
    else:
        flagged = mark in {"!", "^"}
        elements = _elements(made, what if flagged else rest)
        needs = frozenset(element.words for element in elements)
        made.phrases.append(Phrase(kind, float(weight), elements, mark == "!", mark == "^", needs))


def _pieces(text: str) -> tuple[tuple[int, tuple[str, ...]], ...]:
    parts = re.split(r" ~(\d+) ", text)
    gaps = [0, *map(int, parts[1::2])]
    return tuple(
        (gap, tuple(part.split("\u00a6"))) for gap, part in zip(gaps, parts[::2], strict=True)
    )


def _elements(made: Book, text: str) -> tuple[Element, ...]:
    found: list[Element] = []
    gap = 0
    for part in text.split():
        if part.startswith("~"):
            gap = int(part[1:])
            continue
        names = part.split("|")
        words = frozenset(word for name in names for word in made.sets.get(name, [name.lower()]))
        found.append(Element(gap, made.known(words)))
        gap = 0
    return tuple(found)


class Read:
    """A text split into words, each in its sentence and clause, with the word sets it is in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.sentence: list[int] = []
        self.clause: list[int] = []
        self._split()
        self.places: dict[int, list[int]] = {}
        sets = {word: _sets(word) for word in set(self.words)}
        for place, word in enumerate(self.words):
            for number in sets[word]:
                self.places.setdefault(number, []).append(place)
        self.found = frozenset(self.places)
        self._members: dict[int, frozenset[int]] = {}

    def members(self, number: int) -> frozenset[int]:
        """The places of a word set."""
        if number not in self._members:
            self._members[number] = frozenset(self.places[number])
        return self._members[number]

    def _split(self) -> None:
        sentence = clause = past = 0
        text = self.text
        for match in WORD.finditer(text):
            start, end = match.span()
            if start < past:
                continue  # inside an address
            between, word = text[past:start], match[0]
            if between != " ":  # as it mostly is
                ends = BREAK.search(between) is not None
                sentence += ends
                clause += ends or CLAUSE.search(between) is not None
                word = f".{word}" if between.endswith((" .", "/.", "`.", '".')) else word
            if text.startswith("://", end) and (address := ADDRESS.match(text, end)):
                word, end = "URL", address.end()
            elif between.endswith("@") and self.words and past == start - 1:
                word = "MAIL"
            self.words.append(word)
            self.starts.append(start)
            self.ends.append(end)
            self.sentence.append(sentence)
            self.clause.append(clause)
            past = end

    @cached_property
    def quotes(self) -> list[tuple[int, int]]:
        return [match.span() for match in QUOTED.finditer(self.text)]

    @cached_property
    def vocabulary(self) -> dict[int, frozenset[str]]:
        """The words of each sentence."""
        held: dict[int, set[str]] = {}
        for word, sentence in zip(self.words, self.sentence, strict=True):
            held.setdefault(sentence, set()).add(word)
        return {sentence: frozenset(words) for sentence, words in held.items()}

    def is_quoted(self, at: int) -> bool:
        place = bisect_right(self.quotes, (at, len(self.text))) - 1
        return place >= 0 and self.quotes[place][0] <= at < self.quotes[place][1]


def _sets(word: str) -> frozenset[int]:
    return _looked_up(word) if len(word) <= ORDINARY else _sought(word)


def _sought(word: str) -> frozenset[int]:
    kept = book()
    found = kept.sets_of(word.lower() if word in {"URL", "MAIL"} else word)
    if not word.isalpha() and not word.isdigit():
        found |= kept.sets_of(word.translate(LEET))
    return frozenset(found)


_looked_up = lru_cache(WORDS)(_sought)  # texts share most of their words


def hits(text: str) -> list[Hit]:
    """What is found in a text that is normalised already."""
    read, kept = Read(text), book()
    found = [hit for phrase in kept.phrases if (hit := _best(read, phrase))]
    found += [hit for pieces in kept.pieces if (hit := _pieced(read, pieces))]
    for one in kept.expressions:
        spans = [match.span() for match in one.pattern.finditer(text)]
        if shown := [_shown(read, one.kind, one.weight, *span) for span in spans]:
            found.append(max(shown, key=lambda hit: hit.weight))
    return found


def _best(read: Read, phrase: Phrase) -> Hit | None:
    """Where a phrase weighs most."""
    best: Hit | None = None
    if not phrase.needs <= read.found:
        return None
    for start in read.places[phrase.elements[0].words]:
        end = _end(read, phrase.elements, start)
        if end is None or (phrase.begins and not _begins(read, start)):
            continue
        weight = phrase.weight * _context(read, phrase, start)
        if best is None or weight > best.weight:
            best = Hit(phrase.kind, weight, read.starts[start], read.ends[end])
        if weight == phrase.weight:
            break
    return best


def _end(read: Read, elements: Sequence[Element], start: int) -> int | None:
    reached = {start}
    for element in elements[1:]:
        members, nearest = read.members(element.words), min(reached)
        reached = {
            place
            for before in reached
            for place in range(before + 1, before + element.gap + 2)
            if place in members and read.sentence[place] == read.sentence[nearest]
        }
        if not reached:
            return None
    return min(reached)


def _begins(read: Read, start: int) -> bool:
    return start == 0 or read.clause[start - 1] != read.clause[start]


def _context(read: Read, phrase: Phrase, start: int) -> float:
    """How much of its weight a phrase keeps where it stands."""
    factor = _shading(read, phrase.weight, read.starts[start])
    vocabulary = read.vocabulary[read.sentence[start]]
    if phrase.kind == "permission" and phrase.weight < SURE and _set("CONDITIONS") & vocabulary:
        factor *= CONDITIONAL
    if phrase.is_denial:
        return factor * (CONDITIONAL if "before" in vocabulary and phrase.weight < SURE else 1.0)
    clause = read.clause[start]
    before = [
        read.words[place]
        for place in range(max(0, start - DENIAL_REACH), start)
        if read.clause[place] == clause
    ]
    if _set("DENYING").intersection(before):
        return factor * DENIED
    if before and _tells(before):
        return factor * TOLD
    return factor


def _tells(before: Sequence[str]) -> bool:
    if before[-1] == "to":
        return bool(_set("TELLING").intersection(before[-4:-1])) and not _set("TO").intersection(
            before[-3:-1]
        )
    return before[-1] in _set("TELLING")


def _shading(read: Read, weight: float, start: int) -> float:
    place = max(0, bisect_right(read.starts, start) - 1)
    if not read.words:
        return 1.0
    vocabulary = read.vocabulary[read.sentence[place]]
    if vocabulary & _set("ABOUT") and read.is_quoted(start) and not _obeyed(read, place):
        return MENTIONED
    if weight < SURE and vocabulary & _set("CAUTION"):
        return CAUTIONED
    return 1.0


def _obeyed(read: Read, place: int) -> bool:
    """Whether the sentence also says to obey what it quotes."""
    sentence = read.sentence[place]
    if not _set("OBEYING") & read.vocabulary[sentence]:
        return False
    first = read.sentence.index(sentence)
    words = read.words[first : bisect_right(read.sentence, sentence)]
    return any(
        word in _set("OBEYING")
        and not _set("DENYING").intersection(words[max(0, at - DENIAL_REACH) : at])
        for at, word in enumerate(words)
    )


def _pieced(read: Read, pieces: Pieces) -> Hit | None:
    text = read.text
    for piece in pieces.parts[0][1]:
        start = text.find(piece)
        while start >= 0:
            end = _pieces_end(text, pieces, start + len(piece))
            if end is not None:
                denied = text[max(0, start - 2) : start].endswith(("不要", "别", "勿"))
                hit = _shown(read, pieces.kind, pieces.weight, start, end)
                return hit._replace(weight=hit.weight * (DENIED if denied else 1.0))
            start = text.find(piece, start + 1)
    return None


def _pieces_end(text: str, pieces: Pieces, end: int) -> int | None:
    for gap, parts in pieces.parts[1:]:
        found = [
            place + len(part)
            for part in parts
            if (place := text.find(part, end, end + gap + len(part))) >= 0
        ]
        if not found:
            return None
        end = min(found)
    return end


def _shown(read: Read, kind: str, weight: float, start: int, end: int) -> Hit:
    return Hit(kind, weight * _shading(read, weight, start), start, end)
