"""What the benchmarks share: test sets in folders, libraries made of them, results as JSON.

A set's folder holds `corpus.jsonl` (id, title, text) and `queries.jsonl` (id, text). Relevant is
what `qrels.jsonl` (qid, did) says; without that file, every document with the query's `label`.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import LESSON_LIMIT, TITLE_LIMIT, Action, Lesson, Level, Zone
from flex_mcp.search.embedder import OURS

BATCH = 500  # lessons in one transaction


@dataclass(frozen=True, slots=True)
class TestSet:
    """Documents as lessons, queries, and the documents relevant to each query, all by id."""

    name: str
    documents: Mapping[str, Lesson]
    queries: Mapping[str, str]
    relevant: Mapping[str, frozenset[str]]

    def own(self, documents: Iterable[str]) -> list[str]:
        """The queries for which these documents hold something."""
        held = frozenset(documents)
        return [text for id_, text in self.queries.items() if held & self.relevant[id_]]

    @property
    def out_of_scope(self) -> list[str]:
        """The queries for which the set holds nothing."""
        return [text for id_, text in self.queries.items() if not self.relevant[id_]]


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, compressed or not."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def read(folder: Path) -> TestSet:
    corpus, queries = rows(folder / "corpus.jsonl"), rows(folder / "queries.jsonl")
    relevant: dict[str, set[str]] = {query["id"]: set() for query in queries}
    if (folder / "qrels.jsonl").exists():
        for pair in rows(folder / "qrels.jsonl"):
            if pair.get("rel", 1) > 0 and pair["qid"] in relevant:
                relevant[pair["qid"]].add(pair["did"])
    else:
        labelled: dict[str, set[str]] = {}
        for document in corpus:
            labelled.setdefault(document["label"], set()).add(document["id"])
        relevant = {query["id"]: labelled.get(query["label"], set()) for query in queries}
    return TestSet(
        name=folder.resolve().name,
        documents={document["id"]: _lesson(document, folder.resolve().name) for document in corpus},
        queries={query["id"]: query["text"] for query in queries},
        relevant={id_: frozenset(documents) for id_, documents in relevant.items()},
    )


def _lesson(document: Mapping[str, str], name: str) -> Lesson:
    """A document as a golden pattern; what had to be changed to make it one is said."""
    title, text = document.get("title") or "", document["text"]
    if not text.strip() or len(text) > LESSON_LIMIT:
        changed = "cut at the limit" if text.strip() else "empty, so its title stands in"
        print(f"{name}: the text of {document['id']} is {changed}", file=sys.stderr)
    return Lesson(
        zone=Zone.GOLDEN,
        level=Level.PATTERN,
        title=(title.strip() or text.strip())[:TITLE_LIMIT],
        when="",
        lesson=(text if text.strip() else title)[:LESSON_LIMIT],
        action=Action.ADD,
    )


def pattern(text: str, domain: str | None) -> Lesson:
    """A golden pattern of a text that is all that there is."""
    return Lesson(
        zone=Zone.GOLDEN,
        level=Level.PATTERN,
        title=text[:TITLE_LIMIT],
        when="",
        lesson=text[:LESSON_LIMIT],
        domain=domain,
    )


def add_embedder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embedder", default=OURS, help="ours (default), static, fastembed:MODEL")
    parser.add_argument("--embedder-path", type=Path, metavar="FOLDER", help="its model's files")


@contextmanager
def opened(arguments: argparse.Namespace) -> Generator[Library]:
    """A new library with the embedder that the arguments name, gone afterwards."""
    with (
        TemporaryDirectory(prefix="flex-mcp-") as folder,
        open_library(
            Path(folder) / "library.db",
            embedder=arguments.embedder,
            embedder_path=arguments.embedder_path,
        ) as library,
    ):
        yield library


def fill(library: Library, documents: Mapping[str, Lesson]) -> dict[str, str]:
    """Bring documents in; gives their experiences, which identical ones share.

    One that is refused is told and stays out: it counts as never found.
    """
    ids = list(documents)
    experiences: dict[str, str] = {}
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        decisions = library.apply([documents[id_] for id_ in batch], typed=True, client="benchmark")
        for id_, decision in zip(batch, decisions, strict=True):
            if decision.experience_id is None:
                print(f"{id_} is refused: {decision.reason}", file=sys.stderr)
            else:
                experiences[id_] = decision.experience_id
    return experiences


def goal(name: str, at_least: float, reached: float) -> dict[str, Any]:
    reached = round(reached, 3)
    met = reached >= at_least
    print(f"{'met' if met else 'MISSED'}: {name} {reached:.3f}, goal {at_least}")
    return {"name": name, "goal": at_least, "reached": reached, "met": met}


def ceiling(name: str, at_most: float, reached: float) -> dict[str, Any]:
    """A goal that is met from below."""
    reached = round(reached, 3)
    met = reached <= at_most
    print(f"{'met' if met else 'MISSED'}: {name} {reached:.3f}, goal at most {at_most}")
    return {"name": name, "goal": at_most, "reached": reached, "met": met}


def write(path: Path | None, results: Mapping[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def print_table(heads: Sequence[str], table: Iterable[Sequence[str]]) -> None:
    """Columns under their heads: names to the left, figures to the right."""
    shown = [heads, *table]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for name, *cells in shown:
        figures = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print("  ".join((name.ljust(widths[0]), *figures)))
