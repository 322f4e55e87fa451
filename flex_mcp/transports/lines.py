"""The lines of a client on stdin, as the SDK is to see them.

In the place of one that is not taken comes a notice of ours: which request, and why.
"""

import io
import json
import secrets
from collections.abc import Mapping
from typing import Any

from mcp_types import INVALID_REQUEST

from flex_mcp.transports.message_limits import (
    LARGE,
    MAX_MESSAGE,
    TOO_LONG,
    TOO_MANY,
    too_many_values,
)
from flex_mcp.transports.messages import TAIL, Message, Refusal, known_id, read

REFUSED = f"flex-mcp/{secrets.token_hex(8)}"  # no client can say it


class Lines(io.TextIOWrapper):
    """Lines with one message each, none longer than we take; empty ones are passed over."""

    def readline(self, size: int = -1, /) -> str:
        while line := super().readline(MAX_MESSAGE if size < 0 else size):
            taken = self._taken(line) if line.strip() else ""
            if taken:
                return f"{taken}\n"
        return ""

    def _taken(self, line: str) -> str:
        """What the SDK is given of a line; nothing where nobody waits for an answer to it."""
        match self._read(line):
            case Message(text):
                return text.rstrip("\r\n")
            case Refusal(is_awaited=False):
                return ""
            case refusal:
                return _notice(refusal)

    def _read(self, line: str) -> Message | Refusal:
        if len(line) >= MAX_MESSAGE and not line.endswith("\n"):
            return Refusal(INVALID_REQUEST, TOO_LONG, known_id(line, self._end_of_line()))
        if too_many_values(line):
            return Refusal(INVALID_REQUEST, TOO_MANY, known_id(line, line[-TAIL:]))
        return read(line)

    def _end_of_line(self) -> str:
        """Read on to the end of a line; its last characters."""
        tail = ""
        while piece := super().readline(LARGE):
            tail = (tail + piece)[-TAIL:]
            if piece.endswith("\n"):
                break
        return tail


def _notice(refusal: Refusal) -> str:
    params = {"code": refusal.code, "message": refusal.reason, "id": refusal.id}
    return json.dumps({"jsonrpc": "2.0", "method": REFUSED, "params": params})


def refused(method: str, params: Mapping[str, Any] | None) -> Refusal | None:
    """What a notice says; None for any other notification."""
    if method != REFUSED or params is None:
        return None
    return Refusal(params["code"], params["message"], params["id"])
