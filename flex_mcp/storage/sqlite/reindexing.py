"""Reindexing: new vectors are put aside, and take the place of the old ones all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from flex_mcp.errors import InputError
from flex_mcp.models import Experience, Vectors
from flex_mcp.storage.protocol import IndexedText
from flex_mcp.storage.sqlite import search_index, words
from flex_mcp.storage.sqlite.experiences import Experiences
from flex_mcp.storage.sqlite.queries import Queries
from flex_mcp.storage.sqlite.settings import Settings

TARGET = "staged_for"  # the setting that says whose vectors are put aside


@dataclass(slots=True)
class Reindexing:
    """See `storage.protocol.Reindexing`."""

    queries: Queries

    def begin(self, vectors: Vectors) -> None:
        if Settings(self.queries).get(TARGET) != _named(vectors):
            self.queries.rows("clear_staged")
            Settings(self.queries).set(TARGET, _named(vectors))

    def missing(self, limit: int, after: str | None = None) -> list[Experience]:
        return Experiences(self.queries).get(
            self.queries.column("unstaged", limit=limit, after=after)
        )

    def count_missing(self) -> int:
        return self.queries.first("count_unstaged")

    def put(
        self,
        vectors: Vectors,
        embedded: Sequence[tuple[Experience, Sequence[bytes], IndexedText]],
    ) -> None:
        self._check(vectors)
        run = self.queries.tuples
        texts = {(one.id, one.revision): text for one, _, text in embedded}
        for experience in Experiences(self.queries).get([one.id for one, _, _ in embedded]):
            if text := texts.get((experience.id, experience.revision)):  # else it was indexed since
                (number,) = self.queries.column("number", id=experience.id)
                words.put(run, number, experience.status, text)
        for experience, chunks, _ in embedded:
            run("clear_staged_experience", id=experience.id)
            for chunk in chunks:
                run("add_staged", id=experience.id, revision=experience.revision, vector=chunk)

    def switch(self, vectors: Vectors) -> None:
        self._check(vectors)
        search_index.take_staged(self.queries.connection, vectors)
        self.queries.rows("clear_staged")
        self.queries.rows("clear_older_words")
        Settings(self.queries).set(TARGET, "")

    def _check(self, vectors: Vectors) -> None:
        if Settings(self.queries).get(TARGET) != _named(vectors):
            raise InputError(
                "another reindex of this library is under way or just ended: run it again"
            )


def _named(vectors: Vectors) -> str:
    return f"{vectors.embedder} {vectors.version} {vectors.dimension}"
