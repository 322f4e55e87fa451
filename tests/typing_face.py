"""The public face as a type checker sees it: checked by pyright, run by nobody."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from flex_mcp import (
    AsyncLibrary,
    Curation,
    Experience,
    Lesson,
    Library,
    Outcome,
    OwnEmbedder,
    OwnModel,
    Trajectory,
    open_async_library,
    open_library,
)
from flex_mcp.errors import InputError
from flex_mcp.learning.backlog import Report
from flex_mcp.library.importing import Imported
from flex_mcp.models import Counters, Curated, Decision, Prompt, Recorded, Reply, Zone
from flex_mcp.python.library import Served


class Lists:
    """An embedder that gives lists, as LangChain's do."""

    name = "lists"
    version = "1"

    def embed_query(self, text: str) -> list[float]:
        return [float(len(text))]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class Arrays:
    """One that gives arrays, as sentence-transformers do."""

    name = "arrays"
    version = "1"

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return np.ones(len(text), np.float32)

    def embed_documents(self, texts: list[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 2), np.float32)


class Texts:
    name = "texts"
    window = 10_000

    def answer(self, prompt: Prompt) -> str:
        return prompt.system


class Replies:
    name = "replies"
    window = 10_000

    def answer(self, prompt: Prompt) -> Reply:
        return Reply(text=prompt.system, model=self.name)


EMBEDDERS: list[OwnEmbedder] = [Lists(), Arrays()]
MODELS: list[OwnModel] = [Texts(), Replies()]


def blocking(lesson: Lesson, trajectory: Trajectory) -> None:
    with open_library("library.db", embedder=Lists()) as library:
        assert_type(library, Library)
        found = library.search("a task", zones={Zone.WARNING}, limit=3)
        assert_type(found, Served)
        assert_type(found.text("detailed"), str)
        assert_type(library.get("e_1"), Experience)
        assert_type(library.get(["e_1"]), list[Experience])
        assert_type(library.record(trajectory, lessons=[lesson], key="k"), Recorded)
        assert_type(library.record({"task": "t", "outcome": "success"}), Recorded)
        assert_type(library.record_many([trajectory, {}]), list[Recorded | InputError])
        assert_type(library.add(lesson), Decision)
        assert_type(library.apply([lesson, {}]), list[Decision])
        assert_type(library.report("r_1", Outcome.SUCCESS), list[Counters])
        assert_type(library.curate("e_1", Curation.RETIRE, reason="old"), Curated)
        assert_type(library.merge("e_1", "e_2", reason="one"), Curated)
        assert_type(library.distill(model=Texts()), Report)
        assert_type(library.export("lessons.md", "markdown"), Path)
        assert_type(library.import_file(Path("lessons.jsonl")), Imported)
        assert_type(len(library), int)
        assert_type(iter(library), Iterator[Experience])
        assert_type("e_1" in library, bool)
        assert_type(library.clean([lesson]), tuple[list[Lesson], int])
        library.search("a task", zone=Zone.WARNING)  # pyright: ignore[reportCallIssue]
        library.search(7)  # pyright: ignore[reportArgumentType]
        library.export("lessons.csv", "csv")  # pyright: ignore[reportArgumentType]


async def awaited(lesson: Lesson, trajectory: Trajectory) -> None:
    async with open_async_library("library.db", embedder=Arrays()) as library:
        assert_type(library, AsyncLibrary)
        found = await library.search("a task", zones={Zone.WARNING}, limit=3)
        assert_type(found, Served)
        assert_type(await library.get("e_1"), Experience)
        assert_type(await library.get(["e_1"]), list[Experience])
        assert_type(await library.record(trajectory, lessons=[lesson]), Recorded)
        assert_type(await library.record_many([trajectory, {}]), list[Recorded | InputError])
        assert_type(await library.add(lesson), Decision)
        assert_type(await library.distill(model=Replies()), Report)
        assert_type(await library.count(), int)
        assert_type(aiter(library), AsyncIterator[Experience])
        assert_type(library.library, Library)
        await library.search("a task", zone=Zone.WARNING)  # pyright: ignore[reportCallIssue]
        await library.record_many(7)  # pyright: ignore[reportArgumentType]
