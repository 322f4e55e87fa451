"""JSON-RPC messages as they arrive: mended where the sender cannot, else refused in a sentence.

The SDK drops a line that it cannot parse, and takes a request with an odd id for a notification:
whoever sent it would wait for ever. So each message is read here first, whatever brought it.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from mcp_types import INVALID_REQUEST, PARSE_ERROR, RequestId, jsonrpc_message_adapter
from pydantic import ValidationError
from pydantic_core import from_json

TAIL = 300  # characters at the end of a message where an id may stand: some clients put it last
BOM = "\ufeff"
BATCH = "the message is a batch: send its messages one by one"
NO_OBJECT = "the message is no JSON object: send one with jsonrpc, id, method and params"
NO_ANSWER = (
    "the message is no JSON-RPC response: send jsonrpc, id, and an object as result or error"
)
NAMED = r'"(?:jsonrpc|method)"\s*:\s*"(?:[^"\\]|\\.){0,200}+"'
ID = r'"id"\s*:\s*(-?\d{1,20}|"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]){0,200}+")'
FIRST = re.compile(rf"\s*\{{(?:\s*{NAMED}\s*,)*\s*{ID}(?=\s*[,}}])")
LAST = re.compile(rf"{ID}(?:\s*,\s*{NAMED})*\s*,?\s*\}}\s*\Z")
ANSWER = re.compile(r'"(?:result|error)"\s*:')  # its id is one of ours
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
HIGH, LOW = "u[dD][89abAB][0-9a-fA-F]{2}", "u[dD][c-fC-F][0-9a-fA-F]{2}"
HALVES = re.compile(
    r"\\(?:\\(?:\\\\)*+"  # backslashes that are escaped, so that what follows is no escape
    rf"|{HIGH}\\{LOW}(?:\\{HIGH}\\{LOW})*+"  # pairs
    rf"|({HIGH}|{LOW}))"
)


@dataclass(frozen=True, slots=True)
class Message:
    """What the SDK can parse; `id` and `method` are None where it has none."""

    text: str
    id: RequestId | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was not taken; nobody waits for an answer to a notification."""

    code: int
    reason: str
    id: RequestId | None = None
    is_awaited: bool = True


def read(text: str) -> Message | Refusal:
    """A message as the SDK is to see it.

    Half of a surrogate pair, as a client in JavaScript leaves it that cuts a text, becomes U+FFFD:
    refused, all else in the message would be lost, and the client could do nothing about it. A
    progress token of null is none.
    """
    text = with_whole_characters(text.removeprefix(BOM))
    try:
        value: Any = from_json(text)
    except ValueError as error:
        reason = f"the message is no JSON ({error}): send one JSON object"
        return Refusal(
            PARSE_ERROR, reason, None if ANSWER.search(text) else known_id(text, text[-TAIL:])
        )
    if not isinstance(value, dict):
        return Refusal(INVALID_REQUEST, BATCH if isinstance(value, list) else NO_OBJECT)
    message = cast("dict[str, Any]", value)
    if "method" not in message and message.keys() & {"result", "error"}:
        return _answer(text, message)
    id_ = message.get("id")
    if wrong := _wrong(message):
        reason = f"the message is no JSON-RPC request: {', '.join(wrong)}"
        known = id_ if _is_id(id_) else None
        return Refusal(INVALID_REQUEST, reason, known, "id" in message or "method" not in message)
    return Message(_without_nothing(text, message), id_, message["method"])


def with_whole_characters(text: str) -> str:
    """JSON with U+FFFD in the place of each half of a surrogate pair."""
    if not SURROGATE.search(text):
        return text
    return HALVES.sub(lambda found: r"\ufffd" if found[1] else found[0], text)


def known_id(head: str, tail: str) -> RequestId | None:
    """The id of a message that cannot be parsed, where it stands first or last."""
    found = FIRST.match(head, 0, 1_000) or LAST.search(tail)
    return json.loads(found[1]) if found else None


def _answer(text: str, message: dict[str, Any]) -> Message | Refusal:
    """A client's answer; one that says nothing ends what we asked, too.

    Its id is one of ours, so a refusal must not name it.
    """
    try:
        jsonrpc_message_adapter.validate_python(message, by_name=False)
    except ValidationError:
        if not _is_id(id_ := message.get("id")):
            return Refusal(INVALID_REQUEST, NO_ANSWER)
        error = {"code": INVALID_REQUEST, "message": NO_ANSWER}
        return Message(json.dumps({"jsonrpc": "2.0", "id": id_, "error": error}))
    return Message(text)


def _wrong(message: dict[str, Any]) -> list[str]:
    params = message.get("params")
    good = {
        'jsonrpc must be "2.0"': message.get("jsonrpc") == "2.0",
        "id must be a whole number or a text": "id" not in message or _is_id(message["id"]),
        "method must be a text": isinstance(message.get("method"), str),
        "params must be an object": params is None or isinstance(params, dict),
    }
    return [rule for rule, holds in good.items() if not holds]


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _without_nothing(text: str, message: dict[str, Any]) -> str:
    """A message without a progress token of null, and without arguments that are none."""
    match message:
        case {"params": {"arguments": [] | "" as nothing} as params}:
            given = {name: value for name, value in params.items() if value is not nothing}
            return _without_nothing(
                text := json.dumps(message | {"params": given}), json.loads(text)
            )
        case {"params": {"_meta": {"progressToken": None, **others}} as params}:
            return json.dumps(message | {"params": params | {"_meta": others}})
        case _:
            return text
