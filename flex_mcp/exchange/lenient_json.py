"""JSON as others write it: what no reader but Python's takes is let go, and counted."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

NO_NUMBER = "NaN and Infinity, which are null now"
TWICE = "what a key held that stands twice"


def read(text: str) -> tuple[Any, Counter[str]]:
    """What a text holds, and what of it was let go, in words.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    gone: Counter[str] = Counter()

    def number(written: str) -> float | None:
        value = float(written)
        if math.isfinite(value):
            return value
        gone[NO_NUMBER] += 1
        return None

    def pairs(found: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        gone[TWICE] += len(found) - len(made)
        return made

    content = json.loads(text, parse_constant=number, parse_float=number, object_pairs_hook=pairs)
    return content, +gone
