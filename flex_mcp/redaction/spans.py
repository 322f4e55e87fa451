"""Where a secret is in a text, and how several finds become one replacement."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """A secret: its place, and what kind it is."""

    start: int
    end: int
    kind: str


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, without overlaps: those that overlap become one, of the first one's kind."""
    whole: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if whole and span.start < whole[-1].end:
            last = whole.pop()
            span = last._replace(end=max(last.end, span.end))  # noqa: PLW2901  grown
        whole.append(span)
    return whole
