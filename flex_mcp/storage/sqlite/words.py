"""The words' index: full text in FTS5, and the learned tokens of each text."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import apsw

from flex_mcp.models import Experience, Filter, Snapshot, Status
from flex_mcp.storage.protocol import IndexedText, Scored, Term
from flex_mcp.storage.sqlite import search_index
from flex_mcp.storage.sqlite.queries import Queries, Run, as_json
from flex_mcp.storage.sqlite.search_index import SearchIndex

TOKENIZER = "porter", ["unicode61"]  # as the words table has it
SEGMENTS = 6  # of the index; a search looks every word up in each, and takes twice as long with 16
MERGED = 2_000  # pages that one merge writes at most


@dataclass(slots=True)
class Words:
    """See `storage.protocol.Words`."""

    queries: Queries
    index: SearchIndex

    def matching(self, words: Sequence[str], *, depth: int, wanted: Filter) -> list[Scored]:
        if not words:
            return []
        run = self.queries.tuples
        expression = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
        found = cast("list[tuple[int, float]]", list(run("matching", words=expression)))
        return search_index.placed(run, found, depth, wanted)

    def terms(self, text: str) -> list[Term]:
        words: dict[str, str] = {}
        for word, stem in self._tokens(text):
            words.setdefault(stem, word)
        counts = self.index.documents(self.queries.tuples, list(words))
        return [Term(word, stem, counts.get(stem, 0)) for stem, word in words.items()]

    def stems(self, text: str) -> frozenset[str]:
        return frozenset(stem for _, stem in self._tokens(text))

    def _tokens(self, text: str) -> Iterable[tuple[str, str]]:
        """The words of a text with their stems, by the tokenizer of the words table itself."""
        encoded = text.encode()
        tokenizer = self.queries.connection.fts5_tokenizer(*TOKENIZER)
        found = tokenizer(encoded, apsw.FTS5_TOKENIZE_QUERY, None, include_colocated=False)
        tokens = cast("list[tuple[int, int, str]]", found)  # without colocated ones
        return ((encoded[start:end].decode(), stem) for start, end, stem in tokens)

    def tokens(self, ids: Sequence[str], version: str) -> dict[str, bytes]:
        return dict(self.queries.tuples("tokens", ids=as_json(ids), version=version))

    def merge(self) -> None:
        if self.queries.first("word_segments") > SEGMENTS:
            self.queries.tuples("merge_words", pages=-MERGED)

    def count(self) -> int:
        return self.queries.first("count_words")


def put(run: Run, number: int, status: Status, text: IndexedText | None) -> None:
    """Give an experience its words and tokens; None: those that it has, while it is active."""
    if text is not None or status is not Status.ACTIVE:
        run("clear_words", number=number)
    if text is None:
        return
    if status is Status.ACTIVE:
        run("add_words", number=number, **text.columns)
    run("put_tokens", number=number, version=text.version, tokens=text.tokens)


def rebuild(
    queries: Queries,
    experiences: Callable[[Sequence[str]], Sequence[Experience]],
    indexed: Callable[[Snapshot], IndexedText],
) -> None:
    """Make words and tokens anew; `indexed` makes the text of each."""
    run = queries.tuples
    tables = queries.column("words_tables")
    run("drop_words")
    for sql in tables:
        queries.connection.execute(sql)
    run("clear_tokens")
    run("clear_older_words")
    for number, id_ in list(run("numbers_and_ids")):
        (experience,) = experiences([id_])
        put(run, number, experience.status, indexed(experience))
