"""How good vectors are, beside the word lists of a real library: in memory, so that many compare.

Of a set: nDCG@10, in %, fused with words and alone. Of a learning stream: accuracy in %, the label
that the ten nearest vote for, each weighted by its score, with all or ten experiences a label.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import LESSON_LIMIT, TITLE_LIMIT, Action, Filter, Lesson, Level, Zone
from flex_mcp.search.ranking import DEPTH, content_terms, ends, fuse, logistic, search_words
from flex_mcp.storage.protocol import Scored

NEAREST = 10
BATCH = 500  # lessons in one transaction
A_LABEL = 10  # experiences of each label in the short stream

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Testbed:
    """Documents and queries of a folder, and what words alone find for each query."""

    name: str
    ids: Sequence[str]
    documents: Sequence[str]
    queries: Sequence[str]
    relevant: Sequence[frozenset[str]]
    words: Sequence[Sequence[Scored]]
    labels: Mapping[str, str]  # of documents, where the set is a stream
    truth: Sequence[str]  # of queries


def testbeds(folder: Path) -> list[Testbed]:
    """A set as one; a stream as two: with ten experiences a label, and with all."""
    corpus, queries = _rows(folder / "corpus.jsonl"), _rows(folder / "queries.jsonl")
    if (folder / "qrels.jsonl").exists():
        relevant: dict[str, set[str]] = {}
        for pair in _rows(folder / "qrels.jsonl"):
            relevant.setdefault(pair["qid"], set()).add(pair["did"])
        asked = [query for query in queries if query["id"] in relevant]
        return [_filled(folder.name, corpus, asked, relevant)]
    known = {row["label"] for row in corpus}
    asked = [query for query in queries if query["label"] in known]
    seen: Counter[str] = Counter()
    few: list[dict[str, Any]] = []
    for row in corpus:
        seen[row["label"]] += 1
        if seen[row["label"]] <= A_LABEL:
            few.append(row)
    return [
        _filled(f"{folder.name}, {A_LABEL} a label", few, asked, {}),
        _filled(folder.name, corpus, asked, {}),
    ]


def score(testbed: Testbed, embed: Embed, weight: float) -> float:
    """nDCG@10 or accuracy, in %, of the fused lists; a weight of 1 is the vectors alone."""
    documents = embed(testbed.documents)
    ids = np.array(testbed.ids)
    found: list[float] = []
    queries = embed([ends(query) for query in testbed.queries])
    for at, cosines in enumerate(_cosines(queries, documents)):
        depth = min(DEPTH, len(cosines))
        near = np.argpartition(-cosines, depth - 1)[:depth]
        nearest = [
            Scored(id_, cosine)
            for id_, cosine in zip(ids[near].tolist(), cosines[near].tolist(), strict=True)
        ]
        fused = fuse(nearest, [] if weight == 1 else testbed.words[at], weight)
        best = dict(list(fused.items())[:NEAREST])
        if testbed.labels:
            found.append(float(_vote(best, testbed.labels) == testbed.truth[at]))
        else:
            found.append(_ndcg(list(best), testbed.relevant[at]))
    return 100 * fmean(found)


def _cosines(
    queries: NDArray[np.float32], documents: NDArray[np.float32]
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(queries), 512):
        yield from queries[start : start + 512] @ documents.T


def _vote(best: Mapping[str, float], labels: Mapping[str, str]) -> str:
    votes: dict[str, float] = {}
    for id_, value in best.items():
        votes[labels[id_]] = votes.get(labels[id_], 0.0) + logistic(value)
    return max(votes, key=lambda label: votes[label])


def _ndcg(ranking: Sequence[str], relevant: frozenset[str]) -> float:
    gain = sum(1 / log2(place + 2) for place, id_ in enumerate(ranking) if id_ in relevant)
    return gain / sum(1 / log2(place + 2) for place in range(min(len(relevant), NEAREST)))


def _filled(
    name: str,
    corpus: Sequence[Mapping[str, str]],
    queries: Sequence[Mapping[str, str]],
    relevant: Mapping[str, set[str]],
) -> Testbed:
    with (
        TemporaryDirectory(prefix="flex-mcp-") as folder,
        open_library(Path(folder) / "library.db", embedder="static") as library,
    ):
        own = _recorded(library, corpus)
        experiences = library.get(sorted(set(own.values())))
        words = _words(library, [query["text"] for query in queries])
    labels: dict[str, str] = {}
    for row in corpus if not relevant else ():
        if row["id"] in own:  # of two with one text, the first has its say
            labels.setdefault(own[row["id"]], row["label"])
    return Testbed(
        name=name,
        ids=[experience.id for experience in experiences],
        documents=[experience.text for experience in experiences],
        queries=[query["text"] for query in queries],
        relevant=[
            frozenset(own.get(id_, id_) for id_ in relevant.get(query["id"], ()))
            for query in queries
        ],
        words=words,
        labels=labels,
        truth=[query.get("label", "") for query in queries],
    )


def _recorded(library: Library, corpus: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The experiences of the documents; one that is refused has none."""
    own: dict[str, str] = {}
    for start in range(0, len(corpus), BATCH):
        batch = corpus[start : start + BATCH]
        decisions = library.apply([_lesson(row) for row in batch], typed=True, client="training")
        for row, decision in zip(batch, decisions, strict=True):
            if decision.experience_id is not None:
                own[row["id"]] = decision.experience_id
    return own


def _words(library: Library, queries: Sequence[str]) -> list[Sequence[Scored]]:
    with library.reading() as reading:
        return [
            reading.words.matching(
                search_words(content_terms(reading.words.terms(query))),
                depth=DEPTH,
                wanted=Filter(),
            )
            for query in queries
        ]


def _lesson(row: Mapping[str, str]) -> Lesson:
    title, text = row.get("title", "").strip(), row["text"].strip()
    return Lesson(
        zone=Zone.GOLDEN,
        level=Level.PATTERN,
        title=(title or text)[:TITLE_LIMIT],
        when="",
        lesson=(text or title)[:LESSON_LIMIT],
        action=Action.ADD,
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
