"""What the command line says beyond the tools: lists, counts, what an import or reindex made."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flex_mcp.answers import Answer, plain, revision_answer
from flex_mcp.library.importing import Imported
from flex_mcp.models import Experience, Level, Revision, Statistics, Vectors
from flex_mcp.quoting import one_line


def list_answer(experiences: Sequence[Experience]) -> Answer:
    """One line an experience."""
    names = ("id", "zone", "level", "status", "domain", "title")
    rows = [{name: getattr(one, name) for name in names} for one in experiences]
    lines = [
        f"{one.id}  {one.level:<9}  {one.zone:<7}  {one.status:<11}  {one_line(one.title)}"
        for one in experiences
    ]
    return Answer({"experiences": rows}, "\n".join(lines) or "No experience fits.")


def many(parts: Sequence[Answer]) -> Answer:
    """Several recordings as one answer."""
    content: dict[str, Any] = {"recorded": [part.content for part in parts]}
    return Answer(content, "\n\n".join(part.text for part in parts) or "Nothing to record.")


def import_answer(imported: Imported) -> Answer:
    """How many experiences of which level and zone an import made."""
    counts = imported.added
    lines = [
        f"- {counts[level][zone]} {zone} {level}s"
        for level in Level
        if level in counts
        for zone in counts[level]
    ]
    made = f"Made {imported.total} experiences, had {imported.already} already."
    if imported.trajectories:
        made += f" Took in {imported.trajectories} trajectories."
    content = {
        "added": counts,
        "total": imported.total,
        "already": imported.already,
        "trajectories": imported.trajectories,
    }
    return Answer(content, "\n".join([made, *lines]))


def statistics_answer(name: str, counts: Statistics, last: Sequence[Revision]) -> Answer:
    """The counts of a library, and its last changes."""
    vectors = counts.vectors
    embedder = f"{vectors.embedder}, version {vectors.version}" if vectors else "none yet"
    lines = [
        f"Library {name} ({counts.library_id}, schema {counts.schema_version})",
        f"Experiences   {counts.experiences}  {_listed(counts.by_status)}",
        f"  by level    {_listed(counts.by_level)}",
        f"  by zone     {_listed(counts.by_zone)}",
        f"  by domain   {_listed(counts.by_domain)}",
        f"Trajectories  {counts.trajectories}  {_listed(counts.by_state)}",
        f"Retrievals    {counts.retrievals}",
        f"Revisions     {counts.revisions}",
        f"Embedder      {embedder}",
    ]
    changes = [
        f"  {one.at:%Y-%m-%d %H:%M}  {one.kind:<10}  {one.experience_id}  "
        + one_line(one.after.title)
        for one in last
    ]
    content = plain(counts) | {
        "library": name,
        "last_changes": [
            {"experience_id": one.experience_id} | plain(revision_answer(one)) for one in last
        ],
    }
    return Answer(content, "\n".join([*lines, *(["Last changes", *changes] if changes else [])]))


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name or '(no domain)'} {count}" for name, count in ordered) or "-"


def reindex_answer(vectors: Vectors, experiences: int) -> Answer:
    text = (
        f"{experiences} experiences have vectors of {vectors.embedder} "
        f"(version {vectors.version}, {vectors.dimension} dimensions)."
    )
    return Answer(dataclasses.asdict(vectors) | {"experiences": experiences}, text)


def export_answer(file: str, form: str) -> Answer:
    return Answer({"file": file, "format": form}, f"Written: {file}")
