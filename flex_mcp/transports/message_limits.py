"""How much one message may hold, on any transport; pure.

Each limit has its reason beside it, and whoever goes over one is told which, and what to do.
"""

import io
import json
import re
import secrets

MAX_MESSAGE = 16 * 1024 * 1024  # bytes: a trajectory of 5 MiB with everything in it escaped
MAX_VALUES = 250_000  # 8 for each of 10,000 steps, thrice; a parsed value takes 20 times its text
LARGE = 512 * 1024  # characters; what is smaller cannot hold enough to be counted
TAIL = 300  # characters kept of a line that is too long: some clients put the id last
REFUSED = f"flex-mcp/{secrets.token_hex(8)}"  # no client can say it
TOO_LONG = (
    f"the message is longer than {MAX_MESSAGE:,} bytes (16 MiB): send less, and of a trajectory "
    "only what taught something"
)
TOO_MANY = (
    f"the message holds more than {MAX_VALUES:,} JSON values: send fewer and longer ones, such as "
    "a transcript in the place of steps"
)
TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
TEXT_BYTES = re.compile(TEXT.pattern.encode(), re.DOTALL)
ID = r'"id"\s*:\s*(-?\d{1,15}|"[^"\\]{1,100}")'
FIRST = re.compile(rf'\s*\{{(?:\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,)*\s*{ID}')
LAST = re.compile(rf"{ID}\s*\}}\s*\Z")


def too_many_values(message: str | bytes) -> bool:
    """Whether a message holds more values than we parse; what stands in texts does not count."""
    if len(message) < LARGE:
        return False
    if isinstance(message, str):
        bare = TEXT.sub("", message)
        return sum(map(bare.count, ",[{")) > MAX_VALUES
    rest = TEXT_BYTES.sub(b"", message)
    return sum(map(rest.count, (b",", b"[", b"{"))) > MAX_VALUES


class Lines(io.TextIOWrapper):
    """The lines of a client on stdin, none longer than we take.

    In the place of one that is comes a notice of ours, which names the request and the reason.
    """

    def readline(self, size: int = -1, /) -> str:
        line = super().readline(MAX_MESSAGE if size < 0 else size)
        if len(line) >= MAX_MESSAGE and not line.endswith("\n"):
            return _notice(line, self._end_of_line(), TOO_LONG)
        return _notice(line, line[-TAIL:], TOO_MANY) if too_many_values(line) else line

    def _end_of_line(self) -> str:
        """Read on to the end of a line; its last characters."""
        tail = ""
        while piece := super().readline(LARGE):
            tail = (tail + piece)[-TAIL:]
            if piece.endswith("\n"):
                break
        return tail


def _notice(head: str, tail: str, reason: str) -> str:
    found = FIRST.match(head, 0, 1_000) or LAST.search(tail)
    id_ = json.loads(found[1]) if found else None
    params = {"id": id_, "reason": reason}
    return json.dumps({"jsonrpc": "2.0", "method": REFUSED, "params": params}) + "\n"
