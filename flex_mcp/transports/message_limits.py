"""How much one message may hold, on any transport; pure.

Each limit has its reason beside it, and whoever goes over one is told which, and what to do.
"""

import re

MAX_MESSAGE = 16 * 1024 * 1024  # bytes: a trajectory of 5 MiB with everything in it escaped
MAX_VALUES = 250_000  # 8 for each of 10,000 steps, thrice; a parsed value takes 20 times its text
LARGE = 512 * 1024  # characters; what is smaller cannot hold enough to be counted
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


def too_many_values(message: str | bytes) -> bool:
    """Whether a message holds more values than we parse; what stands in texts does not count."""
    if len(message) < LARGE:
        return False
    if isinstance(message, str):
        bare = TEXT.sub("", message)
        return sum(map(bare.count, ",[{")) > MAX_VALUES
    rest = TEXT_BYTES.sub(b"", message)
    return sum(map(rest.count, (b",", b"[", b"{"))) > MAX_VALUES
