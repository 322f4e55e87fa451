"""Tolerance: arguments as models really send them, read as what they mean; pure functions.

Models fill in what they should leave out, send lists and objects as JSON text, one thing where a
list of them is wanted, and names in another case. What is none of this stays as it came: whether
it is right is checked afterwards, by `validation`.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

Schema = Mapping[str, Any]

NOTHING = frozenset({"", "null", "none", "undefined"})  # how a program's nothing reads as text
NAME_LONGEST = 300  # characters of a name; in longer texts, "None" may be what is meant
NAME_LENGTH = 100  # characters up to which a text is a name, in which no comma is meant


def meant(schema: Schema, value: object) -> Any:
    """What `value`, as it came in, means where a value of this JSON schema is wanted."""
    schema = _itself(schema)
    match schema.get("type"):
        case "object":
            return _object(schema, value)
        case "array":
            return _list(schema, value)
        case "string" if "enum" in schema and isinstance(value, str):
            name = value.strip().casefold().replace("-", "_").replace(" ", "_")
            return name if name in schema["enum"] else value
        case "integer" | "number" if isinstance(value, bool):
            return json.dumps(value)  # which is no number, though Python counts with it
        case _:
            return value


def _itself(schema: Schema) -> Schema:
    """The schema of a value that may be null, without that."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return options[0] if len(options) == 1 else schema


def _object(schema: Schema, value: object) -> Any:
    value = _unpacked(value, "{")
    if not isinstance(value, Mapping):
        return value
    given = cast("Mapping[str, Any]", value)
    known, needed = schema.get("properties", {}), schema.get("required", ())
    read: dict[str, Any] = {}
    for name, came in given.items():
        wanted = _itself(known.get(name, {}))
        one = came if _is_nothing(came) else meant(wanted, came)
        if not (name in known and _is_left_out(one, wanted, needed=name in needed)):
            read[name] = one
    return read


def _is_left_out(value: object, wanted: Schema, *, needed: bool) -> bool:
    """Whether it stands for an argument that was not given."""
    is_text = wanted.get("type") == "string" and "enum" not in wanted
    if not needed:
        is_prose = is_text and wanted.get("maxLength", NAME_LONGEST + 1) > NAME_LONGEST
        is_said = is_prose and isinstance(value, str) and bool(value.strip())
        return not is_said and _is_nothing(value)
    return value is None or (isinstance(value, str) and not is_text and _is_nothing(value))


def _is_nothing(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() in NOTHING
    return value is None or value in ([], {}, (), frozenset())


def _list(schema: Schema, value: object) -> Any:
    items = _itself(schema.get("items", {}))
    of_texts = items.get("type") == "string"
    read = _texts(items, value) if of_texts and isinstance(value, str) else _unpacked(value, "[{")
    if isinstance(read, Mapping):
        read = [cast("object", read)]
    if not isinstance(read, list | tuple):
        return read
    made = [meant(items, one) for one in cast("Sequence[Any]", read)]
    return [one for one in made if not (of_texts and _is_blank(one))]


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _texts(items: Schema, text: str) -> Any:
    """The texts of a list that came as one: of its JSON, several names, or one text alone."""
    are_names = "enum" in items or items.get("maxLength", NAME_LENGTH + 1) <= NAME_LENGTH
    read = _unpacked(text, "[")
    if isinstance(read, list):
        texts = cast("list[object]", read)
        if are_names or all(one is None or isinstance(one, str) for one in texts):
            return texts
    if not are_names:
        return [text]
    if text.lstrip().startswith("["):
        return text  # a list that cannot be read
    return [name.strip() for name in text.split(",")]


def _unpacked(value: object, opening: str) -> Any:
    """What is JSON text of a list or object, as that; all else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {*opening}:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(_whole(json.loads(value)))
    return value


def _whole(value: object) -> str:
    """JSON of a value, with U+FFFD for what is left of a character that was cut in half."""
    text = json.dumps(value, ensure_ascii=False)
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def date_of(text: str) -> datetime | None:
    """A date or a time, in UTC where it names no zone; None for anything else."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
