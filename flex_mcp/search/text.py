"""What full-text search sees of a text beside the words that the index's tokenizer finds.

The tokenizer (FTS5, `unicode61`) splits at all that is no letter or digit. So camelCase stays one
word, a path has no word for its whole, and a sentence without spaces is one word.
"""

import re
from collections.abc import Sequence

from flex_mcp.models import Snapshot
from flex_mcp.search.token_match import tokens
from flex_mcp.storage.protocol import IndexedText

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
UNSPACED = re.compile(f"[\u3040-\u30ff\uac00-\ud7af{HAN}]+")
IDENTIFIER = re.compile(r"[A-Za-z0-9]{4,}")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# What is joined is the group; the rest passes over a run at once, so that long ones cost no more.
JOINED = re.compile(
    r"([A-Za-z][A-Za-z0-9]++(?:(?:_|\.|/|::)[A-Za-z0-9]{2,}+)++|\b[A-Z]{2,}+-\d++\b)"
    r"|\d++|[A-Za-z0-9]++"
)


def expand_for_index(text: str) -> str:
    """A text with what it is to be found by besides.

    `getUserName` is found by its parts too; `get_user_name`, `src/main.py` and `ORA-00942` as
    wholes (`getusername`); Chinese, Japanese and Korean by each sign and each two of them.
    """
    more = [sign for run in UNSPACED.findall(text) for sign in _signs(run)]
    for identifier in IDENTIFIER.findall(text):
        parts = HUMP.split(identifier)
        more += parts if len(parts) > 1 else ()
    more += ("".join(filter(str.isalnum, joined)) for joined in JOINED.findall(text) if joined)
    return f"{UNSPACED.sub(' ', text)}\n{' '.join(more)}" if more else text


def _signs(run: str) -> list[str]:
    return [*run, *(run[place : place + 2] for place in range(len(run) - 1))]


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
    return tokens().kept(value.heading, value.lesson)
