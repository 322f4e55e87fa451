"""Identity: when two texts are one, sign by sign but for white space, NFC and the case of prose.

The case of a word tells nothing where prose gives it: at a sentence's start, in Title Case, in
CAPITALS that stress a word among words. Everywhere else it may be what a lesson is about (`-d` and
`-D`, `Go` and `go`), so it stays; and so do exponents, ligatures and wide signs. What is kept apart
by mistake is there twice, and shown as near; what is folded by mistake is lost.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

STRESSED = 5  # letters from which on capitals stress a word: shorter ones are names more often
STRESS = frozenset(
    {"all", "any", "both", "each", "just", "must", "not", "now", "only", "some", "the", "this"}
    | {"very", "when"}
)
SMALL = frozenset(  # these have a capital inside a sentence in Title Case alone
    {"a", "an", "and", "are", "as", "at", "be", "before", "but", "by", "for", "from", "if", "in"}
    | {"into", "is", "of", "or", "than", "that", "the", "their", "then", "this", "to", "until"}
    | {"when", "with", "without"}
)
NAMES = frozenset(  # of files and values, though they look like words
    {"changelog", "contributing", "debug", "false", "license", "nan", "nil", "none", "notice"}
    | {"null", "readme", "todo", "true"}
)
FILE = re.compile(r"(?!pro)[a-z]{3,}file")  # Makefile, Dockerfile
QUOTES = re.compile(r"[`\"\u201c\u201d]")  # between two of them there is no prose
ENDS = ".", "!", "?", "\u2026"  # of a sentence
WORD = re.compile(r"\(*+((?:[^\W\d_]|['\u2019-](?=[^\W\d_]))++)[.,:;!?\u2026)]*+")
INSIDE = re.compile("['\u2019-]")
HUMP = re.compile("[a-z][A-Z]")


class _Word(NamedTuple):
    """A word as it is written, and its letters where it may be prose."""

    written: str
    letters: str

    @property
    def is_capital(self) -> bool:
        return self.letters[:1].isupper() and self.letters[1:].islower()


@lru_cache(64)  # a lesson's own are asked for again in a moment
def identical_form(text: str) -> str:
    """What two texts have in common that are identical."""
    return prose_folded(" ".join(text.split()))


def prose_folded(text: str) -> str:
    """A text in NFC, without the capitals that prose gives; each line begins a sentence."""
    lines = unicodedata.normalize("NFC", text).splitlines()
    return "\n".join(" ".join(_folded(line.split())) for line in lines)


@lru_cache(16_384)
def is_code(word: str) -> bool:
    """Whether each sign of a word counts, and its case."""
    name = len(word) < 3 and (word.isupper() or (len(word) == 1 and word != "a"))
    return name or not word.isalpha() or HUMP.search(word) is not None


def _folded(line: Iterable[str]) -> Iterator[str]:
    words: list[_Word] = []
    begins, is_quoted = True, False
    for written in line:
        quotes = len(QUOTES.findall(written))
        words.append(_Word(written, "" if is_quoted or quotes else _prose(written)))
        is_quoted ^= quotes % 2 == 1
        if (ends := written.endswith(ENDS)) or written[-1] in ":;":
            yield from _folded_clause(words, begins=begins)
            words, begins = [], ends
    yield from _folded_clause(words, begins=begins)


@lru_cache(16_384)
def _prose(written: str) -> str:
    """The letters of a word that may be prose; none where each sign of it counts."""
    found = WORD.fullmatch(written)
    letters = INSIDE.sub("", found[1]) if found else ""
    word = letters.lower()
    is_name = word in NAMES or FILE.fullmatch(word) or (is_code(letters) and word not in SMALL)
    return "" if is_name else letters


def _folded_clause(words: Sequence[_Word], *, begins: bool) -> Iterator[str]:
    """Of a sentence, or of what follows a colon in it, which need not begin with a capital."""
    first = next((place for place, one in enumerate(words) if _has_sign(one.written)), 0)
    inside = [one for one in words[first + 1 :] if one.letters]
    capitals = [one for one in inside if one.is_capital]
    small = any(one.letters.lower() in SMALL for one in capitals)
    is_titled = small and 2 * len(capitals) > len(inside)
    is_shouted = len(inside) > 1 and all(one.letters.isupper() for one in inside)
    measured = False
    for place, one in enumerate(words):
        word = one.letters.lower()
        if one.letters.isupper() and len(word) > 1:
            is_alone = all(near.letters for near in words[max(place - 1, 0) : place + 2])
            is_prose = is_shouted or (is_alone and (len(word) >= STRESSED or word in STRESS))
        elif one.is_capital or one.letters == "A":
            starts = place == first and (begins or word in SMALL)
            is_prose = starts or (is_titled if len(word) > 1 else is_shouted)
        else:
            is_prose = False
        yield one.written.lower() if is_prose and not measured else one.written
        measured = one.written[-1].isdigit()


def _has_sign(written: str) -> bool:
    return any(map(str.isalnum, written))
