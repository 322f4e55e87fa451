"""Validation: what comes in from outside becomes our frozen values, or is refused in our own words.

Pydantic does the checking and makes the published schemas; it is imported when it is first asked,
so that a search does without it. What it finds becomes one sentence that names the argument; the
noise goes out of the schemas.
"""

import contextlib
import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flex_mcp.errors import AnswerError, InputError
from flex_mcp.models import STEPS_LIMIT, TRAJECTORY_LIMIT, Lesson, Trajectory

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")
MOST = 5  # wrong arguments that are told


def adapter(kind: type[T]) -> "TypeAdapter[T]":
    """Pydantic's view of one of our frozen values; it checks, dumps and describes them."""
    return _adapter(kind)


@functools.cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@functools.cache
def schema_of(kind: type) -> dict[str, Any]:
    """The JSON schema of a value, without generated titles, null defaults and references."""
    schema = adapter(kind).json_schema()
    definitions = schema.pop("$defs", {})
    schema.pop("description", None)
    return _plain(schema, definitions)


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("dict[str, Any]", node)
    if "$ref" in schema:
        target = dict(definitions[schema["$ref"].rsplit("/", 1)[-1]])
        target.pop("description", None)
        schema = target | schema
    noise = {"title", "$ref"}
    if schema.get("default", 0) is None:
        noise.add("default")
    properties = schema.get("properties", {})
    plain = {
        key: _plain(value, definitions)
        for key, value in schema.items()
        if key not in noise and key != "properties"
    }
    if properties:
        plain.setdefault("additionalProperties", False)
        plain["properties"] = {key: _plain(value, definitions) for key, value in properties.items()}
    return plain


NULL = {"type": "null"}
NOISE = frozenset({"additionalProperties", "uniqueItems"})


def published(kind: type) -> dict[str, Any]:
    """The JSON schema of arguments or an answer, in the form that every client's converter accepts.

    Without `additionalProperties`, `uniqueItems` and `anyOf … null`: what is unknown, twice or null
    our own check sees to, and an answer leaves out what is null.
    """
    schema: dict[str, Any] = _accepted(schema_of(kind))
    return schema


def without_empty(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without the optional ones that are null, an empty text or an empty list.

    Converters of schemas fill them in; they mean that it is left out.
    """
    schema = schema_of(kind)
    optional = schema["properties"].keys() - {*schema.get("required", ())}
    return {
        name: value
        for name, value in arguments.items()
        if not (name in optional and value in (None, "", []))
    }


def _accepted(node: Any) -> Any:
    if isinstance(node, list):
        return [_accepted(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema: dict[str, Any] = {**node}
    if required := schema.get("required"):
        properties = schema["properties"]
        schema["required"] = [name for name in required if NULL not in _options(properties[name])]
    options = [one for one in schema.pop("anyOf", ()) if one != NULL]
    if len(options) == 1:
        schema = options[0] | schema
    elif options:
        schema["anyOf"] = options
    return {key: _accepted(value) for key, value in schema.items() if key not in NOISE}


def _options(schema: Mapping[str, Any]) -> Sequence[Any]:
    return schema.get("anyOf", ())


def checked(kind: type[T], value: object) -> T:
    """`value`, a mapping as it came in, as one of the frozen values above.

    Raises:
        InputError: one sentence that names each argument that is wrong, and what is wrong with it.
    """
    from pydantic import ValidationError

    if isinstance(value, Mapping):
        value = _parsed(kind, cast("Mapping[str, Any]", value))
        check_encodable(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        check_encodable(dataclasses.asdict(value))
    try:
        result = adapter(kind).validate_python(value)
    except ValidationError as error:
        raise InputError(_sentences(kind, error.errors(include_url=False))) from error
    _check_body(result)
    return result


def parsed(kind: type[T], text: str) -> T:
    """An LLM's answer as one of the frozen values; a fence around its JSON is taken off.

    Raises:
        AnswerError: it is not that; the sentence says why.
    """
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json")
    try:
        content = json.loads(bare)
    except (ValueError, RecursionError) as error:
        raise AnswerError("it is no JSON") from error
    if not isinstance(content, dict):
        raise AnswerError("it is no JSON object")
    try:
        return checked(kind, cast("dict[str, object]", content))
    except InputError as error:
        raise AnswerError(str(error)) from error


def _parsed(kind: type, value: Mapping[str, Any]) -> dict[str, Any]:
    """Lists and objects that a client sent as JSON text (Claude Desktop does) as what they are."""
    properties: dict[str, Any] = schema_of(kind)["properties"]
    parsed = dict(value)
    for name, item in value.items():
        if isinstance(item, str) and item[:1] in ("[", "{") and not _is_text(properties.get(name)):
            with contextlib.suppress(ValueError, RecursionError):
                parsed[name] = json.loads(item)
    return parsed


def _is_text(schema: dict[str, Any] | None) -> bool:
    options: list[dict[str, Any]] = (schema or {}).get("anyOf", [schema or {}])
    return any("string" in option.get("type", ()) for option in options)


def check_encodable(value: object) -> None:
    """Refuse text that is no Unicode, wherever in a value.

    Raises:
        InputError: a text holds half of a surrogate pair.
    """
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise InputError("a text holds half of a surrogate pair: send valid Unicode") from error


def _check_body(trajectory: object) -> None:
    if not isinstance(trajectory, Trajectory):
        return
    if trajectory.steps is not None and trajectory.transcript is not None:
        raise InputError("give steps or transcript, not both: they are two forms of the same text")
    if len(trajectory.steps or ()) > STEPS_LIMIT:
        raise InputError(
            f"steps has {len(trajectory.steps or ()):,} items; the limit is {STEPS_LIMIT:,}: "
            "put short ones together, or send a transcript"
        )
    texts = [trajectory.transcript, trajectory.answer, trajectory.feedback]
    for step in trajectory.steps or ():
        texts += [step.name, step.content]
    size = sum(len(text.encode()) for text in texts if text)
    if size > TRAJECTORY_LIMIT:
        raise InputError(
            f"the trajectory has {size:,} bytes; the limit is {TRAJECTORY_LIMIT:,} (5 MiB): "
            "leave out long outputs that taught nothing"
        )


def _where(kind: type, location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return glance(path.removeprefix(".")) or ("the lesson" if kind is Lesson else "the object")


def glance(text: str) -> str:
    """So much of a text from outside as a sentence about it needs."""
    return text if len(text) <= 60 else f"{text[:57]}…"


def glances(ids: Iterable[str]) -> str:
    """Ids from outside in one line; what can be none stands in quotes."""
    is_word = re.compile(r"[!-~]+").fullmatch
    return ", ".join(glance(one if is_word(one) else repr(one)) for one in ids)


def _sentences(kind: type, errors: Sequence["ErrorDetails"]) -> str:
    """All that is wrong, the first few in words."""
    places = [error["loc"] for error in errors]
    inner = [
        error
        for error in errors
        if not any(place[: len(error["loc"])] == error["loc"] != place for place in places)
    ]
    missing = [_where(kind, error["loc"]) for error in inner if error["type"] in MISSING]
    said = [f"{', '.join(missing)} are missing: give them too"] if len(missing) > 1 else []
    rest = [error for error in inner if not said or error["type"] not in MISSING]
    said = [*dict.fromkeys(_sentence(kind, error) for error in rest), *said]
    more = f"; and {len(said) - MOST} more" if len(said) > MOST else ""
    return "; ".join(said[:MOST]) + more


def _sentence(kind: type, error: "ErrorDetails") -> str:
    where, context, given = _where(kind, error["loc"]), error.get("ctx", {}), error["input"]
    match error["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"there is no argument {where!r}{_known(kind, error['loc'])}"
        case "enum" | "literal_error":
            expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            problem = f"cannot be {glance(repr(given))}; it is one of: {expected}"
        case other if other in PROBLEMS:
            problem = PROBLEMS[other].format(size=len(str(given)), **context)
        case other:
            must = FAMILIES.get(other.split("_", 1)[0], "as the tool's schema says")
            problem = f"cannot be {glance(repr(given))}; it must be {must}"
    return f"{where} {problem}"


MISSING = "missing", "missing_argument"
PROBLEMS = {
    **dict.fromkeys(MISSING, "is missing: give it too"),
    "predicate_failed": "is empty: say it in words",
    "string_too_short": "is empty: say it in words",
    "string_too_long": "has {size:,} characters; the limit is {max_length:,}: shorten it",
    "too_long": "has {actual_length} items; the limit is {max_length}: send fewer",
    "too_short": "is an empty list: leave it out or name at least one",
    "greater_than_equal": "is too small; it must be at least {ge}",
    "less_than_equal": "is too large; it must be at most {le}",
}


def _known(kind: type, location: tuple[int | str, ...]) -> str:
    schema: dict[str, Any] = schema_of(kind)
    for part in location[:-1]:
        inner = schema["items"] if isinstance(part, int) else schema["properties"][part]
        schema = inner.get("anyOf", [inner])[0]  # it, or null
    return f"; it takes {', '.join(schema.get('properties', ()))}"


FAMILIES = {  # how a type begins, which an error begins with, in words
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "tuple": "a list",
    "list": "a list",
    "frozen": "a list",
    "dataclass": "an object",
    "bool": "true or false",
}
