"""No embedder and no model runs while a transaction is open: another process could write then.

Each of them tries it, whenever it is asked for anything, with no patience at all; a -wal that can
be emptied to the last byte says that no snapshot is held either.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw
import pytest
from support.distilling import Desk
from support.fakes import (
    FakeEmbedder,
    a_brief,
    a_lesson,
    a_trajectory,
    add,
    fake_library,
    one,
    record,
)
from support.messages_api import lesson

from flex_mcp.exchange.files import export_library, import_text
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Curation, Fields, Origin, Outcome, Placement, Road

DISTILLER = Origin(kind="distilled", by="a model", road=Road.ANTHROPIC)


class Elsewhere:
    """Another process's connection, which waits for nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.looks = 0

    def write(self) -> None:
        connection = apsw.Connection(str(self._path))
        try:
            connection.execute("BEGIN IMMEDIATE; COMMIT")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)  # Busy, if it is read
        finally:
            connection.close()
        self.looks += 1


class CuriousEmbedder(FakeEmbedder):
    """Looks, at everything that it embeds, whether anybody holds the library."""

    def __init__(self, elsewhere: Elsewhere, name: str = "fake") -> None:
        super().__init__(name)
        self._elsewhere = elsewhere

    def query(self, text: str) -> bytes:
        self._elsewhere.write()
        return super().query(text)

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:
        self._elsewhere.write()
        return super().passages(texts, headings)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "library.db")


@pytest.fixture
def curious(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Library]:
    embedders = (CuriousEmbedder(elsewhere), CuriousEmbedder(elsewhere, "other"))
    with fake_library(tmp_path, *embedders, wanted=None) as library:
        library.reindex("fake")
        yield library


def records(library: Library) -> None:
    library.record(a_trajectory("x"), lessons=[a_lesson("A lesson of its own.")])


def applies(library: Library) -> None:
    library.apply([a_lesson("One."), a_lesson("Another.")])


def merges(library: Library) -> None:
    (first,) = add(library, a_lesson("One."))
    library.apply([a_lesson("One and two.", action=Action.MERGE, into=first)])


def answers_a_brief(library: Library) -> None:
    library.briefs.open(a_brief("b_1", record(library)))
    library.briefs.answer("b_1", [a_lesson("One.")])


def settles_a_brief(library: Library) -> None:
    (first,) = add(library, a_lesson("One."))
    library.briefs.open(a_brief("b_1", record(library)))
    seen = {first: one(library, first).fingerprint}
    lessons = (a_lesson("Two.", action=Action.ADD),)
    given = Placement(lessons=lessons, seen=seen, narrowed={first: "Here."})
    library.briefs.settle("b_1", given, origin=DISTILLER)


def edits(library: Library) -> None:
    (first,) = add(library, a_lesson("One."))
    library.curate(first, Curation.EDIT, reason="x", fields=Fields(lesson="Another text."))


def imports_entries(library: Library) -> None:
    entry = {"method": "Do it so.", "problem_category": "math", "revised_trajectory": ["a", "b"]}
    import_text(library, json.dumps({"library": {"golden": [entry]}}), source="x.json")


def imports_a_bundle(library: Library) -> None:
    (id_,) = add(library, a_lesson("One."))
    text = "".join(export_library(library)).replace(id_, "e_234567234567").replace("One.", "Two.")
    import_text(library, text, source="x.jsonl")


def reindexes(library: Library) -> None:
    add(library, a_lesson("One."))
    library.reindex("other")


def searches(library: Library) -> None:
    add(library, a_lesson("One."))
    found = library.search("one", abstain=False)  # measures the background, too
    library.report(found.retrieval_id or "", Outcome.SUCCESS)
    library.neighbours(["one", "two"], limit=3)
    library.calibrate()


@pytest.mark.parametrize(
    "verb",
    [
        records,
        applies,
        merges,
        answers_a_brief,
        settles_a_brief,
        edits,
        imports_entries,
        imports_a_bundle,
        reindexes,
        searches,
    ],
)
def test_others_may_write_whenever_something_is_embedded(
    curious: Library, elsewhere: Elsewhere, verb: Callable[[Library], None]
) -> None:
    looks = elsewhere.looks
    verb(curious)
    assert elsewhere.looks > looks


def test_others_may_write_whenever_a_model_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    desk = Desk(tmp_path, monkeypatch)
    asked: list[str] = []

    def critic(question: str) -> list[dict[str, object]]:
        elsewhere.write()
        asked.append(question)
        return [lesson("Compare dates in UTC.")]

    def updater(question: str) -> list[dict[str, object]]:
        elsewhere.write()
        asked.append(question)
        return [{"number": 1, "action": "add", "into": "", "reason": ""}]

    (id_,) = desk.pend("a task")
    with desk.asking(critic, updater):
        desk.done("distill")
    desk.check_whole([id_])
    assert len(asked) == elsewhere.looks >= 1
