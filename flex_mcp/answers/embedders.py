"""What `flex-mcp embedder` says: which embedders there are, and how a library went over to one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from flex_mcp.answers import Answer
from flex_mcp.models import Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An embedder: what it costs and gives, as far as that was measured.

    `query_ms` is a query of 100 tokens and `load_seconds` a process's first; `ndcg` is the mean
    nDCG@10 in % of the five sets of docs/retrieval.md, with full text.
    """

    name: str
    used: bool = False
    where: str = "to be fetched"
    megabytes: int | None = None
    dimension: int | None = None
    query_ms: float | None = None
    load_seconds: float | None = None
    ndcg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A library that went over to an embedder, or had it already."""

    vectors: Vectors
    previous: str | None
    experiences: int
    embedded: bool
    folder: Path | None


HEADS = "embedder", "where", "disk", "dimensions", "query", "load", "nDCG@10"


def offers_answer(library: str, offers: Sequence[Offer]) -> Answer:
    """A table; the embedder that the library uses is marked."""
    table = [HEADS, *map(_cells, offers)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    marks = [" ", *("*" if one.used else " " for one in offers)]
    lines = [
        f"{mark} {cells[0]:<{widths[0]}}  {cells[1]:<{widths[1]}}  "
        + "  ".join(map(str.rjust, cells[2:], widths[2:]))
        for mark, cells in zip(marks, table, strict=True)
    ]
    notes = (
        f"* what {library} uses, or will when it is made.",
        "query: one of 100 tokens; load: a process's first; both on two cores. nDCG@10: in %, the",
        "mean of five sets, with full text (docs/retrieval.md). -: not measured.",
        "`flex-mcp embedder use NAME` goes over to one; `--path FOLDER` where there is no network.",
    )
    content = {"library": library, "embedders": [asdict(one) for one in offers]}
    return Answer(content, "\n".join([*lines, "", *notes]))


def _cells(one: Offer) -> tuple[str, ...]:
    return (
        one.name,
        one.where,
        _figure(one.megabytes, " MB"),
        _figure(one.dimension, ""),
        _figure(one.query_ms, " ms"),
        _figure(one.load_seconds, " s"),
        _figure(one.ndcg, ""),
    )


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:,}{unit}"


def switched_answer(switched: Switched) -> Answer:
    vectors = switched.vectors
    about = f"{vectors.embedder} (version {vectors.version}, {vectors.dimension} dimensions)"
    if switched.embedded:
        text = f"The library uses {about} now: {switched.experiences:,} experiences are embedded."
    else:
        text = f"The library uses {about} already: nothing was embedded."
    if switched.folder is not None:
        text += f" The model is kept in {switched.folder}."
    if switched.previous not in {None, vectors.embedder}:
        text += f" `flex-mcp embedder use {switched.previous}` goes back."
    content = {
        "embedder": vectors.embedder,
        "version": vectors.version,
        "dimension": vectors.dimension,
        "previous": switched.previous,
        "experiences": switched.experiences,
        "embedded": switched.embedded,
        "folder": None if switched.folder is None else str(switched.folder),
    }
    return Answer(content, text)
