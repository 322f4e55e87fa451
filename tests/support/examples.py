"""How many examples Hypothesis tries: all with `HYPOTHESIS_PROFILE=ci`, a quarter elsewhere."""

import os

from hypothesis import settings

EVERY = os.environ.get("HYPOTHESIS_PROFILE") == "ci"  # noqa: TID251  of the tests


def examples(number: int) -> int:
    return number if EVERY else max(number // 4, 5)


def load_profile() -> None:
    """Nothing asserts on time, and a test run leaves no files."""
    settings.register_profile("house", deadline=None, database=None, max_examples=examples(60))
    settings.load_profile("house")
