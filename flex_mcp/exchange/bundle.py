"""Our own bundle: JSON lines, one value a line, everything of a library, nothing lost.

Every line is an object with one key, which says what its value is: `flex-mcp` (the first one, with
the format), trajectory, experience, revision, retrieval, outcome or entry.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from flex_mcp.errors import InputError
from flex_mcp.library.importing import Bundle
from flex_mcp.library.library import Library
from flex_mcp.models import (
    TRAJECTORY_LIMIT,
    Experience,
    Filter,
    RecordedTrajectory,
    ReportedOutcome,
    Retrieval,
    Revision,
    Snapshot,
)
from flex_mcp.storage.protocol import Entry
from flex_mcp.validation import adapter

NAME, FORMAT = "flex-mcp", 2
FORMATS = 1, FORMAT  # that are read; 2 has outcomes, and more of retrievals and trajectories
KINDS: dict[str, type[Any]] = {
    "trajectory": RecordedTrajectory,
    "experience": Experience,
    "revision": Revision,
    "retrieval": Retrieval,
    "outcome": ReportedOutcome,
    "entry": Entry,
}
BATCH = 500

T = TypeVar("T")


def export_bundle(library: Library) -> Iterator[str]:
    """The lines of a bundle, from one snapshot."""
    with library.reading() as reading:
        head = {name: reading.settings.get(name) for name in ("library_id", "flex_document")}
        yield _line(NAME, {"format": FORMAT} | head)
        for trajectory in _each(reading.trajectories.get, reading.trajectories.ids()):
            known = reading.trajectories.by_key(trajectory.key)
            yield _line("trajectory", trajectory, content_hash=known and known[1])
        for experience in _each(reading.experiences.get, reading.experiences.ids(Filter())[::-1]):
            yield _line("experience", experience)
            yield from (_line("revision", one) for one in reading.history.of(experience.id))
        for retrieval_id in reading.retrievals.ids():
            if retrieval := reading.retrievals.get(retrieval_id):
                yield _line("retrieval", retrieval)
        yield from (_line("outcome", one) for one in reading.outcomes.all())
        yield from (_line("entry", entry) for entry in reading.imports.entries())


def _each(get: Callable[[list[str]], list[T]], ids: list[str]) -> Iterator[T]:
    """What has these ids; a part of it is in memory at a time."""
    for start in range(0, len(ids), BATCH):
        yield from get(ids[start : start + BATCH])


def _line(kind: str, value: object, **more: object) -> str:
    content = adapter(type(value)).dump_python(value, mode="json") | more
    return json.dumps({kind: content}, ensure_ascii=False) + "\n"


def read_bundle(text: str, source: str) -> Bundle:
    """What a bundle holds, checked as a whole.

    Raises:
        InputError: a line is not what it says; the sentence says which.
    """
    values: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    document: str | None = None
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        where = f"{source}, line {number}"
        kind, content = _parsed(line, where)
        if number == 1:
            document = _document(content, source)
        elif kind in KINDS:
            values[kind].append(_value(kind, content, where))
        else:
            raise InputError(f"{where}: there is no kind {kind!r}: nothing was imported")
    _check_whole(values, source)
    return Bundle(
        trajectories=values["trajectory"],
        experiences=values["experience"],
        revisions=values["revision"],
        retrievals=values["retrieval"],
        outcomes=values["outcome"],
        entries=values["entry"],
        document=document,
    )


def _check_whole(values: dict[str, list[Any]], source: str) -> None:
    """Refuse a bundle that lacks what its lines name, or says a thing twice."""
    keys = [one.id for kind in ("experience", "retrieval") for one in values[kind]]
    keys += [trajectory.id for trajectory, _ in values["trajectory"]]
    keys += [(one.experience_id, one.revision) for one in values["revision"]]
    if len(keys) > len(set(keys)):
        raise InputError(f"{source} holds a line twice: nothing was imported; export it again")
    here = {experience.id for experience in values["experience"]}
    here |= {one.id for one, _ in values["trajectory"]} | {one.id for one in values["retrieval"]}
    named = {revision.experience_id for revision in values["revision"]}
    named |= {id_ for retrieval in values["retrieval"] for id_ in retrieval.served}
    named |= {one.trajectory_id or one.retrieval_id or "" for one in values["outcome"]}
    named |= {part.experience_id for entry in values["entry"] for part in entry.parts}
    if lost := sorted(named - here):
        raise InputError(
            f"{source} names {lost[0]} but does not hold it, so lines are missing: "
            "nothing was imported; export the library again"
        )


def _parsed(line: str, where: str) -> tuple[str, dict[str, Any]]:
    try:
        ((kind, content),) = json.loads(line).items()
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{where} is damaged: nothing was imported") from error
    if not isinstance(content, dict):
        raise InputError(f"{where} is damaged: nothing was imported")
    return kind, cast("dict[str, Any]", content)


def _document(content: dict[str, Any], source: str) -> str | None:
    """What a FLEX file held beside its entries, if the first line says so; its format is ours."""
    if content.get("format") not in FORMATS:
        raise InputError(
            f"{source} is a bundle of format {content.get('format')!r} and this flex-mcp reads "
            f"up to {FORMAT}: upgrade flex-mcp"
        )
    try:
        document = json.loads(content.get("flex_document") or "null")
    except (TypeError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return None
    beside = {name: value for name, value in document.items() if name != "library"}  # pyright: ignore[reportUnknownVariableType]  any JSON
    return json.dumps(beside, ensure_ascii=False)


def _value(kind: str, content: dict[str, Any], where: str) -> object:
    content_hash = content.pop("content_hash", "") if kind == "trajectory" else ""
    try:
        value = adapter(KINDS[kind]).validate_python(content)
    except ValidationError as error:
        raise InputError(f"{where} is no {kind}: nothing was imported") from error
    if not isinstance(content_hash, str) or not _is_sound(value):
        raise InputError(f"{where} is no {kind}: nothing was imported")
    return (value, content_hash) if kind == "trajectory" else value


def _is_sound(value: object) -> bool:
    """What the types of a value cannot say: how long its texts are together, lists in step."""
    match value:
        case Snapshot():
            return sum(map(len, (value.lesson, *value.examples))) <= 2 * TRAJECTORY_LIMIT
        case Revision():
            return _is_sound(value.after) and (value.before is None or _is_sound(value.before))
        case Retrieval():
            lists = value.scores, value.credits or value.served, value.named or value.served
            return {*map(len, lists)} == {len(value.served)}
        case ReportedOutcome():
            return (value.trajectory_id is None) != (value.retrieval_id is None)
        case _:
            return True
