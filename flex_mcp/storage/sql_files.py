"""SQL files: statements by name, and numbered migrations."""

import re
from importlib.resources.abc import Traversable

MIGRATION = re.compile(r"\d{4}_\w+\.sql$")


def named_queries(folder: Traversable) -> dict[str, str]:
    """The statements of all files that are no migrations, by the `-- name:` line above each.

    Raises:
        ValueError: a name is there twice.
    """
    found: dict[str, str] = {}
    for name, text in _texts(folder):
        if not MIGRATION.match(name):
            parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
            named = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
            if twice := found.keys() & named.keys():
                raise ValueError(f"{name}: {', '.join(sorted(twice))} is there twice")
            found |= named
    return found


def migrations(folder: Traversable) -> list[str]:
    """The numbered migrations, in order; number n takes a file from version n - 1 to n."""
    return [text for name, text in _texts(folder) if MIGRATION.match(name)]


def _texts(folder: Traversable) -> list[tuple[str, str]]:
    items = sorted((item.name, item) for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(name, item.read_text(encoding="utf-8")) for name, item in items]
