"""What full-text search sees of a text beside the words that the index's tokenizer finds.

The tokenizer (FTS5, `unicode61`) splits at all that is no letter or digit. So camelCase stays one
word, a path has no word for its whole, and a sentence without spaces is one word, or falls apart
at its vowels. What is written in several forms is found in each (folding.py).
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from flex_mcp.models import Snapshot
from flex_mcp.search.folding import emoji_words, folded, spelt_out
from flex_mcp.search.token_match import tokens
from flex_mcp.storage.protocol import IndexedText

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
UNSPACED = re.compile(f"[\u3040-\u30ff\uac00-\ud7af{HAN}]+")
SOUTHERN = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u200b\u200c]+")  # Thai to Burmese
PRIVATE = 0xD200  # from these signs on to as many of private use
IDENTIFIER = re.compile(r"[A-Za-z0-9]{4,}")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# What is joined is the group; the rest passes over a run at once, so that long ones cost no more.
JOINED = re.compile(
    r"([A-Za-z][A-Za-z0-9]++(?:(?:_|\.|/|::)[A-Za-z0-9]{2,}+)++|\b[A-Z]{2,}+-\d++\b)"
    r"|\d++|[A-Za-z0-9]++"
)


def query_words(text: str) -> str:
    """A query with what its words are to find besides, in one form; plain ASCII words stay.

    `getUserName` is found by its parts too; `get_user_name`, `src/main.py` and `ORA-00942` as
    wholes (`getusername`); Chinese, Japanese and Korean by each sign and each two of them, Thai,
    Lao, Khmer and Burmese by each two syllables; `Straße` by `strasse`; emoji by a word for each.
    """
    plain = folded(text)
    more = [sign for run in UNSPACED.findall(plain) for sign in (*run, *_pairs(run))]
    for run in SOUTHERN.findall(plain):
        syllables = _syllables(run)
        more += _pairs(syllables) or syllables
    for identifier in IDENTIFIER.findall(plain):
        parts = HUMP.split(identifier)
        more += parts if len(parts) > 1 else ()
    more += ("".join(filter(str.isalnum, joined)) for joined in JOINED.findall(plain) if joined)
    more += emoji_words(plain)
    return f"{_spaced(plain)}\n{' '.join(more)}" if more else plain


def expand_for_index(text: str) -> str:
    """A text with what it is to be found by besides: as a query says it, and in its other forms."""
    plain = query_words(text)
    if text.isascii():
        return plain
    single = (one for run in SOUTHERN.findall(text) for one in _syllables(run))
    as_written = (word for word in _spaced(text).split() if folded(word) != word)
    return "\n".join((plain, " ".join((*single, *as_written, *spelt_out(text)))))


def other_forms(text: str) -> str:
    """How else an index may hold the words of a text: unfolded by an earlier version, or spelt out.

    Empty where there is no other form.
    """
    return "" if text.isascii() else "\n".join((text, *spelt_out(text)))


def searchable(text: str) -> str:
    """All by which words find a text, whenever its index was made."""
    return f"{expand_for_index(text)}\n{other_forms(text)}"


def _spaced(text: str) -> str:
    return SOUTHERN.sub(" ", UNSPACED.sub(" ", text))


def _pairs(signs: Sequence[str]) -> list[str]:
    return [*map("".join, pairwise(signs))]


def _syllables(run: str) -> list[str]:
    """Letters, each with the vowels and tones above and below it, in signs that no tokenizer drops.

    These are of private use: `unicode61` takes them for letters, and splits at such vowels.
    """
    found: list[str] = []
    for sign in run:
        kept = chr(ord(sign) + PRIVATE)
        if sign.isalnum():
            found.append(kept)
        elif found and unicodedata.category(sign) in {"Mn", "Mc"}:
            found[-1] += kept
    return found


def indexed_text(value: Snapshot, known: IndexedText | None = None) -> IndexedText:
    """What finds a lesson by its words.

    `known` spares the tokens, which take the longest: those of the same title, `when` and lesson.
    """
    columns = {
        "title": value.title,
        "when": value.when,
        "lesson": value.lesson,
        "examples": "\n".join(value.examples),
        "tags": " ".join((*value.tags, value.domain or "")),
    }
    return IndexedText(
        columns={column: expand_for_index(text) for column, text in columns.items()},
        tokens=known.tokens if known else learned_tokens(value),
        version=tokens().layout,
    )


def texts_of(lessons: Sequence[Snapshot]) -> tuple[list[str], list[str]]:
    """What the vectors of lessons are made of: their texts and their headings."""
    return [one.text for one in lessons], [one.heading for one in lessons]


def learned_tokens(value: Snapshot) -> bytes:
    """What the comparison token by token sees of a lesson."""
    return tokens().kept(folded(value.heading), folded(value.lesson))
