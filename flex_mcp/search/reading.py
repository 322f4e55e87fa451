"""A text as words to compare: without grammar, each in one spelling, form and synonym: pure."""

import re
from functools import cache, lru_cache

from flex_mcp.models.identity import is_code
from flex_mcp.search.ranking import word_list

GRAMMAR = frozenset(
    {"a", "an", "the", "this", "that", "these", "those", "it", "its", "they", "them", "their"}
    | {"which", "there", "is", "are", "be", "and", "so", "both"}
)
IGNORED = GRAMMAR - {"and", "both"}  # these two can be what differs
REWRITTEN = (
    (re.compile(r"\bcan(?:'t|not)\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon't\b", re.IGNORECASE), "will not"),
    (re.compile(r"n't\b", re.IGNORECASE), " not"),
    (re.compile(r"\b(?:has|have|needs?) to\b", re.IGNORECASE), "must"),
    (re.compile(r"(?<=\d) (?=(?:ms|min|[smhd])\b)"), ""),
    (re.compile(r"\b(?:rather than|instead of)\b", re.IGNORECASE), "not"),
)
SPELT = (  # of plain words only: in code the other spelling is another name
    (re.compile(r"(?<=[a-z]{3}[iy])s(?=(?:e|ed|es|ing|ation)$)"), "z"),  # neutralise
    (re.compile(r"(?<=[a-z]{2})our(?=s?$|ed$|ing$|ites?$|ful$|less$)"), "or"),  # colour
)
INFLECTED = re.compile(r"(?<=...)(?:ies|ied|ing|ed|es|s|ly|e|y|ion)$|(?<=..([bdgmnprt]))\1$")
COMPOUND = re.compile(r"[A-Za-z]{2,}(?:-[A-Za-z]{2,})+")
MEASURE = re.compile(r"v?(\d[\d.,]*)([A-Za-z%]{0,3})")
OPENING, CLOSING = "([{'\"\u201c\u2018", ".,;:!?)]}'\"\u201d\u2019\u2026"
DASHES = "-\u2012\u2013\u2014\u2015:/&|*#"  # alone they are no words

Words = tuple[str, ...]


@lru_cache(4_096)
def read(text: str) -> Words:
    """The words that are compared, in order."""
    words: list[str] = []
    begins = True
    for raw in expanded(text).split():
        core = raw.lstrip(OPENING).rstrip(CLOSING)
        if not (core == "A" and begins):  # else it is a name
            words.extend(word for word in _words_of(core) if word not in IGNORED)
        begins = raw[-1] in ".:;!?"
    return tuple(words)


@lru_cache(4_096)
def telling(text: str) -> frozenset[str]:
    """The words of a text that tell something, as they are compared."""
    return frozenset(filter(tells, read(text)))


@lru_cache(16_384)
def tells(word: str) -> bool:
    return is_code(word) or word not in word_list("stop_words.txt")


def expanded(text: str) -> str:
    """A text without contractions."""
    text = text.replace("\u2019", "'")
    for pattern, instead in REWRITTEN:
        text = pattern.sub(instead, text)
    return text


@lru_cache(16_384)
def _words_of(core: str) -> Words:
    """The words that are compared for one that is written."""
    if core[:1] == core[-1:] == "`":
        return (core.strip("`"),)
    core = core.strip("`").removesuffix("'s")
    if COMPOUND.fullmatch(core):
        return tuple(word for part in core.split("-") for word in _words_of(part))
    if measure := MEASURE.fullmatch(core):
        number, unit = measure[1].replace(",", ""), measure[2]
        return (number, _synonyms().get(unit, unit)) if unit else (number,)
    if is_code(core):
        return (core,) if core.strip(DASHES) else ()
    return (canonical(core.casefold()),)


@lru_cache(16_384)
def canonical(word: str) -> str:
    """The word that stands for a plain word: its stem, or that of its first synonym."""
    stem = _stem(word)
    return _synonyms().get(stem, stem)


@cache
def _synonyms() -> dict[str, str]:
    lines = [[_stem(word) for word in line.split()] for line in word_list("synonyms.txt")]
    return {word: line[0] for line in sorted(lines, reverse=True) for word in line}


def _stem(word: str) -> str:
    """A plain word without its endings, roughly; grammar stays as it is."""
    grammar = word_list("stop_words.txt")
    stem, shorter = "", spelt(word)
    while stem != shorter and shorter not in grammar:
        stem, shorter = shorter, INFLECTED.sub("", shorter)
    return stem or word


def spelt(word: str) -> str:
    """A plain word in one of its two spellings."""
    for pattern, instead in SPELT:
        word = pattern.sub(instead, word)
    return word
