"""The library's background: how well generic queries fare in it, measured and kept in the file."""

import json
from dataclasses import dataclass

from flex_mcp import ranking
from flex_mcp.embedder import Embedder
from flex_mcp.library.candidates import Search, candidates, features_of
from flex_mcp.models import Filter
from flex_mcp.ranking import Background, Features
from flex_mcp.store import Reading

GROWTH = 0.1  # share by which a library may grow or shrink before its background is measured anew


@dataclass(frozen=True, slots=True)
class KeptBackground:
    """A background with what it was measured on: the embedder, and how many experiences."""

    background: Background
    embedder: str
    experiences: int

    def made_by(self, embedder: Embedder) -> bool:
        return self.embedder == _name(embedder)

    def fits(self, embedder: Embedder, experiences: int) -> bool:
        changed = abs(experiences - self.experiences)
        return self.made_by(embedder) and changed <= GROWTH * self.experiences

    def as_json(self) -> str:
        numbers = [*self.background.mean, *self.background[1:]]
        return json.dumps([self.embedder, self.experiences, numbers])


def kept(reading: Reading) -> KeptBackground | None:
    """The one in the file."""
    if not (text := reading.setting("background")):
        return None
    embedder, experiences, numbers = json.loads(text)
    measured = Background(Features(*numbers[:4]), numbers[4], numbers[5])
    return KeptBackground(measured, embedder, experiences)


def measure(reading: Reading, embedder: Embedder) -> KeptBackground | None:
    """Search for every generic query; None where there is nothing to measure.

    Costs 0.1 s in a small library, seconds from some ten thousand experiences.
    """
    experiences = reading.active()
    if not experiences or reading.vectors_made_by() != embedder.vectors:
        return None
    measured: list[Features] = []
    for text in ranking.generic_queries():
        search = Search(
            text=text,
            vector=embedder.query(text),
            weight=embedder.weight,
            wanted=Filter(),
            limit=1,
        )
        measured.append(features_of(reading, candidates(reading, search), experiences))
    return KeptBackground(ranking.background(measured), _name(embedder), experiences)


def _name(embedder: Embedder) -> str:
    return f"{embedder.vectors.embedder} {embedder.vectors.version}"
