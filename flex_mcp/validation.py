"""Validation: what comes in from outside becomes our frozen values, or is refused in our own words.

Pydantic does the checking and makes the published schemas; it is imported when it is first asked,
so that a search does without it. What it finds becomes one sentence that names the argument; the
noise goes out of the schemas.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flex_mcp.errors import AnswerError, InputError
from flex_mcp.models import Lesson, Strict
from flex_mcp.tolerance import meant

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")
S = TypeVar("S", bound=Strict)
MOST = 20  # things wrong that are told
ALIKE = 0.7  # of two names, from 0 to 1: one may be the other, mistyped


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
PUBLISHED = frozenset({"type", "properties", "required", "items", "enum", "description"})


def published(kind: type) -> dict[str, Any]:
    """The JSON schema of arguments or an answer, in the form that every client's converter accepts.

    Types, names and words only: each of the other keywords is refused by some provider. Limits,
    what is unknown, and null our own check sees to; an answer leaves out what is null.
    """
    schema: dict[str, Any] = _accepted(schema_of(kind))
    return schema


def _accepted(schema: Mapping[str, Any]) -> dict[str, Any]:
    options = [one for one in schema.get("anyOf", ()) if one != NULL]
    accepted = {name: value for name, value in schema.items() if name in PUBLISHED}
    if len(options) == 1:
        accepted = _accepted(options[0]) | accepted
    elif options:
        accepted["anyOf"] = [_accepted(one) for one in options]
    if "items" in schema:
        accepted["items"] = _accepted(schema["items"])
    if "properties" in schema:
        parts: dict[str, Any] = schema["properties"]
        accepted["properties"] = {name: _accepted(part) for name, part in parts.items()}
        needed = [name for name in schema.get("required", ()) if not _may_be_null(parts[name])]
        accepted["required"] = needed
    return accepted


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    return NULL in schema.get("anyOf", ())


def checked(kind: type[S], value: object) -> S:
    """`value`, a mapping as it came in, as one of the frozen values above.

    Raises:
        InputError: one sentence that names each argument that is wrong, and what is wrong with it.
    """
    from pydantic import ValidationError

    if not isinstance(value, kind):
        value = meant(schema_of(kind), value)
    try:
        result, wrong = adapter(kind).validate_python(value), list[str]()
    except ValidationError as error:
        result, wrong = None, _sentences(kind, error.errors(include_url=False))
    wrong += kind.clashes(_given(value))
    if result is None or wrong:
        more = [f"and {len(wrong) - MOST} more"] if len(wrong) > MOST else []
        raise InputError("; ".join([*wrong[:MOST], *more]))
    return result


def _given(value: object) -> dict[str, Any]:
    """The arguments that are there, of an object or what should have been one."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if not isinstance(value, Strict):
        return {}
    held = ((name, getattr(value, name)) for name in schema_of(type(value))["properties"])
    return {name: part for name, part in held if part is not None}


def parsed(kind: type[S], text: str) -> S:
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


def check_encodable(value: object) -> None:
    """Refuse text that is no Unicode, wherever in a value.

    Raises:
        InputError: a text holds half of a surrogate pair.
    """
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise InputError(NO_UNICODE) from error


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


def _sentences(kind: type, errors: Sequence["ErrorDetails"]) -> list[str]:
    """All that is wrong, each thing once."""
    places = [error["loc"] for error in errors]
    inner = [
        error
        for error in errors
        if not any(place[: len(error["loc"])] == error["loc"] != place for place in places)
    ]
    missing = [_where(kind, error["loc"]) for error in inner if error["type"] in MISSING]
    said = [f"{', '.join(missing)} are missing: give them too"] if len(missing) > 1 else []
    rest = [error for error in inner if not said or error["type"] not in MISSING]
    return [*dict.fromkeys(_sentence(kind, error) for error in rest), *said]


def _sentence(kind: type, error: "ErrorDetails") -> str:
    where, context, given = _where(kind, error["loc"]), error.get("ctx", {}), error["input"]
    match error["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            return no_argument(where, _known(kind, error["loc"]), str(error["loc"][-1]))
        case "string_unicode":
            return NO_UNICODE
        case "enum" | "literal_error":
            expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            problem = f"cannot be {glance(repr(given))}; it is one of: {expected}"
        case other if other in PROBLEMS:
            problem = PROBLEMS[other].format(size=len(str(given)), **context)
        case other:
            must = FAMILIES.get(other.split("_", 1)[0], "as the tool's schema says")
            problem = f"cannot be {glance(repr(given))}; it must be {must}"
    return f"{where} {problem}"


NO_UNICODE = "a text holds half of a surrogate pair: send valid Unicode"
MISSING = "missing", "missing_argument"
PROBLEMS = {
    **dict.fromkeys(MISSING, "is missing: give it too"),
    "predicate_failed": "is empty: say it in words",
    "string_too_short": "is empty: say it in words",
    "string_too_long": "has {size:,} characters; the limit is {max_length:,}: shorten it",
    "too_long": "has {actual_length} items; the limit is {max_length}: send fewer",
    "too_short": "is an empty list: name at least one",
    "greater_than_equal": "is too small; it must be at least {ge}",
    "less_than_equal": "is too large; it must be at most {le}",
}


def no_argument(name: str, known: Sequence[str], last: str | None = None) -> str:
    """What to say of an argument that there is not; `last` is the last part of its name."""
    from difflib import get_close_matches

    near = get_close_matches((last or name).lower()[:60], known, 1, ALIKE)
    perhaps = f" (did you mean {near[0]!r}?)" if near else ""
    return f"there is no argument {name!r}{perhaps}; it takes {', '.join(known)}"


def _known(kind: type, location: tuple[int | str, ...]) -> list[str]:
    """The arguments that there are in the place of one that there is not."""
    schema: dict[str, Any] = schema_of(kind)
    for part in location[:-1]:
        inner = schema["items"] if isinstance(part, int) else schema["properties"][part]
        schema = inner.get("anyOf", [inner])[0]  # it, or null
    return [*schema.get("properties", ())]


FAMILIES = {  # how a type begins, which an error begins with, in words
    "string": "text",
    "path": "a path",
    "datetime": "a date or a time such as 2026-01-31",
    "int": "a whole number",
    "float": "a number",
    "tuple": "a list",
    "list": "a list",
    "frozen": "a list",
    "dataclass": "an object",
    "finite": "a number",
    "bool": "true or false",
}
