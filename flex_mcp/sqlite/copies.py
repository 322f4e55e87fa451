"""Automatic copies of a library, beside its file."""

from pathlib import Path


def copies_of(path: Path) -> list[Path]:
    """`NAME.schema-N-TIME.bak`, oldest first."""
    name = path.name
    found = (one for one in path.parent.iterdir() if one.name.startswith(f"{name}.schema-"))
    return sorted(one for one in found if one.name.endswith(".bak"))
