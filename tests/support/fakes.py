"""Stand-ins that behave: an embedder of hashed words, a clock that stands still; small values and
the steps that many tests begin with.

test_embedder.py holds the fake embedder to the contract of the real ones.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import apsw
import numpy as np
from hypothesis import strategies as st

from flex_mcp.errors import EmbedderError
from flex_mcp.library.briefs import NewBrief
from flex_mcp.library.library import Library
from flex_mcp.models import (
    DecisionKind,
    Experience,
    Found,
    Lesson,
    Level,
    Outcome,
    Trajectory,
    Vectors,
    Zone,
    new_id,
)
from flex_mcp.search.embedder import WINDOW, Embedder, chunks
from flex_mcp.search.embedder_choice import LoadEmbedder
from flex_mcp.storage.sqlite.store import SqliteStore

LESSONS = [
    "Pin the compiler version in the build image before a release.",
    "Substitute the tangent of the half angle in trigonometric integrals.",
    "Rotate the access token before the deployment window closes.",
    "Compare dates in UTC, never in the local time of the server.",
    "Ask for the invoice number before promising a refund.",
    "Soak the beans overnight so that they cook evenly.",
    "Close the database cursor before the connection returns to the pool.",
    "Draw a free-body diagram before writing the equations of motion.",
]


class FakeEmbedder:
    """Every word is a signed unit in one of a few dimensions; a text is their sum."""

    kind = "static"
    near_duplicate = 0.95
    related = 0.5

    def __init__(
        self, name: str = "fake", *, version: str = "1", dimension: int = 64, window: int = WINDOW
    ) -> None:
        self.vectors = Vectors(embedder=name, version=version, dimension=dimension)
        self.embedded: list[str] = []  # the passages that it was asked for
        self._window = window

    def query(self, text: str) -> bytes:
        total = np.zeros(self.vectors.dimension, np.float32)
        for word in text.casefold().split():
            digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
            place = int.from_bytes(digest[:4]) % self.vectors.dimension
            total[place] += 1 if digest[4] % 2 else -1
        length = float(np.linalg.norm(total))
        return (total / length if length else total).tobytes()

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:  # noqa: ARG002
        self.embedded += texts
        return [[self.query(chunk) for chunk in chunks(text, self._window)] for text in texts]


def models(*embedders: Embedder) -> LoadEmbedder:
    """A machine on which these models are installed, and no others."""
    known = {embedder.vectors.embedder: embedder for embedder in embedders}

    def load(name: str, fetch: bool) -> Embedder:  # noqa: ARG001, FBT001  the seam's own shape
        if name not in known:
            raise EmbedderError(f"the model {name!r} is not on this machine")
        return known[name]

    return load


class Clock:
    """The time, as a test sets it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)


def a_lesson(
    lesson: str = "Pin the compiler version in the build image.", **values: object
) -> Lesson:
    """A lesson whose title is its own text, unless the test says otherwise."""
    fields: dict[str, object] = {
        "zone": Zone.GOLDEN,
        "level": Level.PATTERN,
        "title": lesson[:100].strip(),
        "when": "",
        "lesson": lesson,
    }
    return Lesson(**(fields | values))  # pyright: ignore[reportArgumentType]  a test's own values


def a_trajectory(task: str = "Build the wheel", **values: object) -> Trajectory:
    fields: dict[str, object] = {"task": task, "outcome": Outcome.SUCCESS}
    return Trajectory(**(fields | values))  # pyright: ignore[reportArgumentType]  the same


def fake_library(
    folder: Path,
    *embedders: FakeEmbedder,
    wanted: str | None = "fake",
    clock: Clock | None = None,
) -> Library:
    return Library(
        SqliteStore(folder / "library.db"), models(*embedders), wanted=wanted, now=clock or Clock()
    )


def ids(found: Found) -> list[str]:
    return [hit.experience.id for hit in found.hits]


def add(library: Library, *lessons: Lesson) -> list[str]:
    """Their ids; each must be new."""
    decisions = library.apply(lessons)
    assert [one.decision for one in decisions] == [DecisionKind.ADD] * len(lessons)
    return [one.experience_id or "" for one in decisions]


def one(library: Library, experience_id: str | None) -> Experience:
    (found,) = library.get([experience_id or ""])
    return found


def record(library: Library, task: str = "Build the wheel") -> str:
    return library.record(a_trajectory(task)).trajectory_id


def a_brief(brief_id: str, *trajectory_ids: str) -> NewBrief:
    return NewBrief(id=brief_id, trajectory_ids=trajectory_ids, rendered="the question 🦜")


def brief(library: Library, *trajectory_ids: str) -> str:
    opened = library.briefs.open(a_brief(new_id("b"), *trajectory_ids))
    assert opened is not None
    return opened.id


def long_texts(pieces: Sequence[str], most: int) -> st.SearchStrategy[str]:
    """Long texts at little cost: a few pieces, again and again."""

    def grown(chosen: list[str], length: int) -> str:
        text = "".join(chosen)
        return (text * (length // len(text) + 1))[:length] or "x"

    length = st.one_of(st.integers(1, min(most, 300)), st.integers(1, most))
    return st.builds(grown, st.lists(st.sampled_from(pieces), min_size=1, max_size=4), length)


def ask(connection: apsw.Connection, question: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a file that is looked at past the library."""
    return cast("list[tuple[Any, ...]]", connection.execute(question, values).fetchall())
