"""Searching a library: the right embedder, a background that is fresh enough, one snapshot."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from flex_mcp.errors import FlexError, VectorsError
from flex_mcp.models import Experience, Filter, Hit, Vectors
from flex_mcp.search import baseline, ranking
from flex_mcp.search.candidates import Search, by_words, candidates
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.embedder_choice import Embedders
from flex_mcp.search.hits import answer
from flex_mcp.search.reasons import Reason, reasons
from flex_mcp.storage.protocol import EPOCH, Store, Transaction

LATER = 1.0  # seconds until a background is measured aside: the search that asks has ended then
LOOKS = 3  # at a library to which others add, until its background may be a little behind
AT_ONCE = 200  # experiences up to which a search measures the background itself: 0.2 s


class Seen(NamedTuple):
    """What a search has to know of a library before it embeds its query."""

    made_by: Vectors | None
    experiences: int
    epoch: str | None


class Searched(NamedTuple):
    """Hits and relevance, in how many experiences, and a notice where words alone had to do."""

    hits: list[Hit]
    relevance: float
    experiences: int
    notice: str | None


def _seen(reading: Transaction) -> Seen:
    made_by, experiences = reading.vectors.made_by(), reading.words.count()
    return Seen(made_by, experiences, reading.settings.get(EPOCH))


class Searcher:
    """Searches, and keeps the background up to date as the library grows."""

    def __init__(self, store: Store, embedders: Embedders) -> None:
        self._store = store
        self._embedders = embedders
        self._measuring = threading.Lock()
        self._background: baseline.KeptBaseline | None = None
        self._epoch: str | None = None  # of what the background was measured in
        self._measured: baseline.KeptBaseline | None = None
        self._seen: Seen | None = None

    def search(self, question: Search) -> Searched:
        """Search.

        The query is embedded before the snapshot, as the last search saw the library; where that
        has changed since, once more, though not as often as others write.
        """
        seen, self._seen = self._seen or self._look(), None
        looks = 0
        while True:
            looks += 1
            self._forget_others(seen.epoch)
            embedder, notice = self._embedders.searching(seen.made_by)
            asked = _embedded(question, embedder)
            usual = self._usual(embedder, seen.experiences)
            if usual and asked.vector is not None:
                asked = replace(asked, generic=usual.cosines(asked.vector))
            with self._store.reading() as reading:
                now = _seen(reading)
                if now == seen or (looks >= LOOKS and now.made_by == seen.made_by):
                    self._seen = now
                    background = usual.background if usual else None
                    try:
                        found = answer(reading, asked, background)
                    except VectorsError as damage:
                        found, notice = answer(reading, by_words(asked), None), str(damage)
                    return Searched(*found, now.experiences, notice)
            seen = now

    def reasons(self, text: str, experiences: Sequence[Experience]) -> dict[str, Reason]:
        """What speaks for each of these at a query, by id."""
        embedder = self._serving()
        vector = embedder.query(ranking.ends(text)) if embedder else None
        with self._store.reading() as reading:
            return reasons(reading, text, vector, experiences)

    def _look(self) -> "Seen":
        with self._store.reading() as reading:
            return _seen(reading)

    def nearest(
        self, texts: Sequence[str], limit: int, wanted: Filter | None = None
    ) -> list[Experience]:
        """The active experiences nearest to any of some texts, best first."""
        embedder = self._serving()
        found = (Search(text=text, wanted=wanted or Filter(), limit=limit) for text in texts)
        questions = [_embedded(question, embedder) for question in found]
        with self._store.reading() as reading:
            best: dict[str, float] = {}
            for question in questions:
                try:
                    scores = candidates(reading, question).scores
                except VectorsError:
                    scores = candidates(reading, by_words(question)).scores
                for id_, score in scores.items():
                    best[id_] = max(score, best.get(id_, score))
            return reading.experiences.get(sorted(best, key=lambda id_: -best[id_])[:limit])

    def _serving(self) -> Embedder | None:
        with self._store.reading() as reading:
            made_by = reading.vectors.made_by()
        return self._embedders.serving(made_by)[0]

    def _forget_others(self, epoch: str | None) -> None:
        """The background of what a restore has replaced."""
        if epoch != self._epoch:
            self._background, self._epoch = None, epoch

    def _usual(self, embedder: Embedder | None, experiences: int) -> baseline.KeptBaseline | None:
        """The background; measuring a big library's takes seconds, so that goes on aside."""
        if embedder is None or not experiences:
            return None
        now = self._background
        if now is None or not now.fits(embedder, experiences):
            with self._store.reading() as reading:
                now = self._background = baseline.kept(reading, embedder) or now
        if now is None or not now.fits(embedder, experiences):
            if experiences <= AT_ONCE:
                with contextlib.suppress(VectorsError):  # the search itself says it
                    now = self._measure(embedder)
            elif self._measuring.acquire(blocking=False):
                aside = threading.Timer(LATER, self._measure_aside, [embedder])
                aside.daemon = True
                aside.start()
        return now if now and now.made_by(embedder) else None

    def _measure(self, embedder: Embedder) -> baseline.KeptBaseline | None:
        generic = baseline.generic(embedder, self._background)
        with self._store.reading() as reading:
            measured = baseline.measure(reading, embedder, generic)
        self._background = self._measured = measured
        return self._background

    def _measure_aside(self, embedder: Embedder) -> None:
        try:
            with contextlib.suppress(FlexError):  # the next search tries again
                self._measure(embedder)
        finally:
            self._measuring.release()

    def calibrate(self, embedder: Embedder | None = None) -> None:
        """Measure the background now, by the embedder that made the vectors."""
        if (embedder := embedder or self._serving()) is not None:
            self._measure(embedder)

    def take_measured(self) -> baseline.KeptBaseline | None:
        """A background that the file does not have yet."""
        measured, self._measured = self._measured, None
        return measured

    def put_back(self, measured: baseline.KeptBaseline | None) -> None:
        """One whose transaction failed, unless a newer one is there."""
        self._measured = self._measured or measured


def _embedded(question: Search, embedder: Embedder | None) -> Search:
    if embedder is None:
        return question
    vector = embedder.query(ranking.ends(question.text))
    return replace(question, vector=vector, kind=embedder.kind)
