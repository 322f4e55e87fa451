"""Searching a library: the right embedder, a background that is fresh enough, one snapshot."""

import threading
from collections.abc import Sequence
from dataclasses import replace

from flex_mcp import ranking
from flex_mcp.embedder import Embedder
from flex_mcp.library import background
from flex_mcp.library.candidates import Search, answer, candidates
from flex_mcp.library.embedders import Embedders
from flex_mcp.models import Experience, Filter, Hit
from flex_mcp.store import EPOCH, Reading, Store

AT_ONCE = 200  # experiences up to which a search measures the background itself: 0.2 s


class Searcher:
    """Searches, and keeps the background up to date as the library grows."""

    def __init__(self, store: Store, embedders: Embedders) -> None:
        self._store = store
        self._embedders = embedders
        self._measuring = threading.Lock()
        self._background: background.KeptBackground | None = None
        self._epoch: str | None = None  # of what the background was measured in
        self._measured: background.KeptBackground | None = None

    def search(self, question: Search) -> tuple[list[Hit], float, str | None]:
        """Hits, relevance, and a notice where words alone had to do."""
        with self._store.reading() as reading:
            made_by = reading.vectors_made_by()
        embedder, notice = self._embedders.serving(made_by)
        question = _embedded(question, embedder)
        with self._store.reading() as reading:
            if reading.vectors_made_by() not in {None, made_by}:
                question = replace(question, vector=None)  # a reindex ended between the two looks
            usual = self._usual(reading, embedder)
            if usual and question.vector is not None:
                question = replace(question, generic=usual.cosines(question.vector))
            return *answer(reading, question, usual.background if usual else None), notice

    def nearest(
        self, texts: Sequence[str], limit: int, wanted: Filter | None = None
    ) -> list[Experience]:
        """The active experiences nearest to any of some texts, best first."""
        with self._store.reading() as reading:
            embedder, _ = self._embedders.serving(reading.vectors_made_by())
            best: dict[str, float] = {}
            for text in texts:
                question = Search(text=text, wanted=wanted or Filter(), limit=limit)
                found = candidates(reading, _embedded(question, embedder))
                for id_, score in found.scores.items():
                    best[id_] = max(score, best.get(id_, score))
            return reading.experiences(sorted(best, key=lambda id_: -best[id_])[:limit])

    def _usual(
        self, reading: Reading, embedder: Embedder | None
    ) -> background.KeptBackground | None:
        """The background; measuring a big library's takes seconds, so that goes on aside."""
        if embedder is None or not (experiences := reading.active()):
            return None
        if (epoch := reading.setting(EPOCH)) != self._epoch:
            self._background, self._epoch = None, epoch
        now = self._background
        if now is None or not now.fits(embedder, experiences):
            now = self._background = background.kept(reading, embedder) or now
        if now is None or not now.fits(embedder, experiences):
            if experiences <= AT_ONCE:
                now = self._measure(reading, embedder)
            elif self._measuring.acquire(blocking=False):
                threading.Thread(target=self._measure_aside, args=[embedder], daemon=True).start()
        return now if now and now.made_by(embedder) else None

    def _measure(self, reading: Reading, embedder: Embedder) -> background.KeptBackground | None:
        measured = background.measure(reading, embedder, self._background)
        self._background = self._measured = measured
        return self._background

    def _measure_aside(self, embedder: Embedder) -> None:
        try:
            with self._store.reading() as reading:
                self._measure(reading, embedder)
        finally:
            self._measuring.release()

    def calibrate(self, embedder: Embedder | None = None) -> None:
        """Measure the background now, by the embedder that made the vectors."""
        with self._store.reading() as reading:
            if embedder is None:
                embedder, _ = self._embedders.serving(reading.vectors_made_by())
            if embedder is not None:
                self._measure(reading, embedder)

    def take_measured(self) -> background.KeptBackground | None:
        """A background that the file does not have yet."""
        measured, self._measured = self._measured, None
        return measured

    def put_back(self, measured: background.KeptBackground | None) -> None:
        """One whose transaction failed, unless a newer one is there."""
        self._measured = self._measured or measured


def _embedded(question: Search, embedder: Embedder | None) -> Search:
    if embedder is None:
        return question
    vector = embedder.query(ranking.ends(question.text))
    return replace(question, vector=vector, weight=embedder.weight)
