"""What `backup`, `restore` and `doctor --repair` say."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flex_mcp.answers import Answer

if TYPE_CHECKING:
    from flex_mcp.sqlite.repair import Mended
    from flex_mcp.sqlite.restoring import Restored


def backup_answer(made: Path) -> Answer:
    text = f"Copied and checked: {made}\n`flex-mcp restore` with this file goes back to it."
    return Answer({"file": str(made), "bytes": made.stat().st_size}, text)


def restored_answer(path: Path, backup: Path, restored: "Restored") -> Answer:
    lines = [f"Restored {path} from {backup}: {restored.experiences:,} experiences."]
    if restored.copy:
        lines.append(f"What was there before: {restored.copy}")
    if restored.damaged:
        lines.append(f"The file that could not be used: {restored.damaged}")
    content = {
        "library": str(path),
        "backup": str(backup),
        "experiences": restored.experiences,
        "copy": _text(restored.copy),
        "damaged": _text(restored.damaged),
    }
    return Answer(content, "\n".join(lines))


def mended_answer(path: Path, mended: "Mended") -> Answer:
    """What was found, what was done about it, and what could not be saved."""
    if not mended.found:
        lines = [f"There is nothing to mend in {path}."]
    elif mended.rebuilt:
        lines = [f"Full text and the vectors' index of {path} are made anew from its tables."]
    else:
        lines = [f"{path} is a new file with what could be read of the damaged one."]
        lines += [f"The damaged one is kept: {mended.damaged}"] if mended.damaged else []
        lines.append(f"Saved: {_counts(mended.saved)}")
        lines.append(f"Lost: {_counts(mended.lost) if mended.lost else 'no row that was seen'}")
        if mended.pages_lost:
            lines.append(
                f"{mended.pages_lost:,} pages could not be read, and their rows are not counted: "
                "if you have a backup, look whether it holds more."
            )
        if mended.unembedded:
            lines.append(
                f"{mended.unembedded:,} experiences have no vectors: run `flex-mcp reindex`."
            )
    lines += [f"Found: {one}" for one in mended.found if one.strip()]
    content = {
        "library": str(path),
        "found": list(mended.found),
        "rebuilt": mended.rebuilt,
        "damaged": _text(mended.damaged),
        "saved": dict(mended.saved),
        "lost": dict(mended.lost),
        "pages_lost": mended.pages_lost,
        "unembedded": mended.unembedded,
    }
    return Answer(content, "\n".join(lines))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
