"""Our own bundle: JSON lines, one value a line, everything of a library, nothing lost.

Every line is an object with one key, which says what its value is: `flex-mcp` (the first one, with
the format), trajectory, experience, revision, retrieval, outcome or entry.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from flex_mcp.errors import InputError
from flex_mcp.library.importing import Bundle
from flex_mcp.library.library import Library
from flex_mcp.models import (
    TRAJECTORY_LIMIT,
    Experience,
    ExperienceFilter,
    Projects,
    RecordedTrajectory,
    ReportedOutcome,
    Retrieval,
    Revision,
    Snapshot,
    cut_at_word,
)
from flex_mcp.storage.protocol import Entry, Transaction
from flex_mcp.validation import adapter, glance

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
NAMES = {kind: {field.name for field in fields(of)} for kind, of in KINDS.items()}
BATCH = 500

T = TypeVar("T")


def export_bundle(library: Library, projects: Projects = None) -> Iterator[str]:
    """The lines of a bundle, from one snapshot.

    Of some projects: their experiences and trajectories, and the evidence; not the searches, which
    served others beside them.
    """
    with library.reading() as reading:
        head = {name: reading.settings.get(name) for name in ("library_id", "flex_document")}
        yield _line(NAME, {"format": FORMAT} | head)
        ids = reading.experiences.ids(ExperienceFilter(projects=projects), reverse=True)
        work = _work(reading, ids, projects)
        searches = reading.retrievals.ids() if projects is None else []
        for trajectory in _each(reading.trajectories.get, work):
            known = reading.trajectories.by_key(trajectory.key)
            yield _line("trajectory", trajectory, content_hash=known and known[1])
        for experience in _each(reading.experiences.get, ids):
            yield _line("experience", experience)
            yield from (_line("revision", one) for one in reading.history.of(experience.id))
        for retrieval_id in searches:
            if retrieval := reading.retrievals.get(retrieval_id):
                yield _line("retrieval", retrieval)
        held = {*work, *searches}
        of_them = (
            one for one in reading.outcomes.all() if held & {one.trajectory_id, one.retrieval_id}
        )
        yield from (_line("outcome", one) for one in of_them)
        if projects is None:
            yield from (_line("entry", entry) for entry in reading.imports.entries())


def _work(reading: Transaction, ids: list[str], projects: Projects) -> list[str]:
    """The trajectories of some projects and the evidence of these experiences, oldest first."""
    if projects is None:
        return reading.trajectories.ids()
    chosen = {*reading.trajectories.ids(projects)}
    chosen |= {id_ for one in _each(reading.experiences.get, ids) for id_ in one.evidence}
    return [id_ for id_ in reading.trajectories.ids() if id_ in chosen]


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
    unused: Counter[str] = Counter()
    head: dict[str, Any] | None = None
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{source}, line {number}"
        kind, content = _parsed(line, where)
        if head is None:
            head = content
            _check_format(content, source)
        elif kind in KINDS:
            content_hash = content.pop("content_hash", "") if kind == "trajectory" else ""
            if not isinstance(content_hash, str):
                raise _damaged(where, f"is no {kind} (see content_hash)")
            value = _value(kind, content, where)
            values[kind].append((value, content_hash) if kind == "trajectory" else value)
            unused.update(f"{glance(name)} of {kind}" for name in content.keys() - NAMES[kind])
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
        document=None if head is None else _document(head),
        unused=unused,
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
        ((kind, content),) = json.loads(line, parse_constant=_no_number).items()
    except (ValueError, AttributeError, RecursionError) as error:
        raise _damaged(where, "is damaged") from error
    if not isinstance(content, dict):
        raise _damaged(where, "is damaged")
    return kind, cast("dict[str, Any]", content)


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity: no library has them


def _damaged(where: str, how: str) -> InputError:
    return InputError(f"{where} {how}: nothing was imported; mend the line, or export again")


def _check_format(head: Mapping[str, Any], source: str) -> None:
    if head.get("format") not in FORMATS:
        raise InputError(
            f"{source} is a bundle of format {head.get('format')!r} and this flex-mcp reads "
            f"up to {FORMAT}: upgrade flex-mcp"
        )


def _document(head: Mapping[str, Any]) -> str | None:
    """What a FLEX file held beside its entries, if the first line says so; its format is ours."""
    try:
        document = json.loads(head.get("flex_document") or "null")
    except (TypeError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return None
    beside = {name: value for name, value in document.items() if name != "library"}  # pyright: ignore[reportUnknownVariableType]  any JSON
    return json.dumps(beside, ensure_ascii=False)


def _value(kind: str, content: Mapping[str, Any], where: str) -> Any:
    """Types as we write them: no text for a number, no true for 1."""
    from pydantic import ValidationError  # late: who searches needs none

    known = {name: value for name, value in content.items() if name in NAMES[kind]}
    try:
        value = _validated(kind, known)
    except ValidationError as error:
        places = dict.fromkeys(".".join(map(str, one["loc"])) for one in error.errors())
        named = glance(", ".join(filter(None, places)))
        raise _damaged(where, f"is no {kind}" + (f" (see {named})" if named else "")) from error
    if not _is_sound(value):
        raise _damaged(where, f"is no {kind}")
    return value


def _validated(kind: str, content: dict[str, Any]) -> Any:
    """A text that is too long is cut: earlier versions let a redaction lengthen it."""
    from pydantic import ValidationError  # late: as above

    validate = functools.partial(adapter(KINDS[kind]).validate_json, strict=True)
    try:
        return validate(json.dumps(content))
    except ValidationError as error:
        for one in error.errors():
            if one["type"] == "string_too_long":
                holder: Any = content
                *path, last = one["loc"]
                for part in path:
                    holder = holder[part]
                holder[last] = cut_at_word(holder[last], one.get("ctx", {})["max_length"])
        return validate(json.dumps(content))


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
