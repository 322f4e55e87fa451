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
    for item in _files(folder, migrations=False):
        text = item.read_text(encoding="utf-8")
        parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
        named = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
        if twice := found.keys() & named.keys():
            raise ValueError(f"{item.name}: {', '.join(sorted(twice))} is there twice")
        found |= named
    return found


def migrations(folder: Traversable) -> list[str]:
    """The numbered migrations, in order; number n takes a file from version n - 1 to n."""
    return [item.read_text(encoding="utf-8") for item in _files(folder, migrations=True)]


def _files(folder: Traversable, *, migrations: bool) -> list[Traversable]:
    items = (item for item in folder.iterdir() if item.name.endswith(".sql"))
    wanted = (item for item in items if bool(MIGRATION.match(item.name)) is migrations)
    return sorted(wanted, key=lambda item: item.name)
