"""What the command line says beyond the tools: lists, counts, what an import or reindex made."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flex_mcp.models import Experience, Level, Road, Vectors, Write
from flex_mcp.safety.quoting import one_line
from flex_mcp.safety.redaction import redaction_note
from flex_mcp.tools.answers import Answer, distill_answer, group_lines, plain
from flex_mcp.tools.pages import listed

if TYPE_CHECKING:
    from flex_mcp.learning.backlog import Report
    from flex_mcp.library.importing import Imported


def backlog_answer(report: "Report", *, dry_run: bool) -> Answer:
    """What `flex-mcp distill` made: the shape of the tool's answer, over all groups."""
    groups = [distill_answer(made) for made in report.made]
    tokens = [made.tokens for made in report.made if made.tokens is not None]
    contents = [group.content for group in groups]
    content: dict[str, Any] = {
        "road": str(Road.ANTHROPIC),
        "model": _common(contents, "model"),
        "prompts": _common(contents, "prompts"),
        "tokens": sum(tokens) if tokens else None,
        "trajectories": [one for group in contents for one in group["trajectories"]],
        "decisions": [
            one | {"index": index}
            for index, one in enumerate(one for group in contents for one in group["decisions"])
        ],
        "remaining": report.remaining,
        "elsewhere": report.elsewhere,
        "dry_run": dry_run,
        "groups": contents,
        "failures": [dataclasses.asdict(failure) for failure in report.failures],
        "stopped": report.stopped,
    }
    counts = Counter(one["decision"] for one in content["decisions"])
    done = "Dry run, nothing is changed:" if dry_run else "Distilled"
    cost = f", {content['tokens']:,} tokens" if tokens else ""
    by_reason: dict[str, list[str]] = {}
    for one in report.failures:
        by_reason.setdefault(one.reason, []).extend(one.trajectory_ids)
    pending = [f"{', '.join(ids)}: {reason}" for reason, ids in by_reason.items()]
    became = listed(counts) if counts else "no lesson"
    whole = f"{done} {len(content['trajectories'])} trajectories{cost}: {became}."
    lines = [
        whole if report.made or pending or report.stopped else "Nothing is free to be distilled.",
        *(line for made in report.made for line in group_lines(made)),
        *(f"Still pending: {one}" for one in pending),
        f"{report.remaining} trajectories are left to distil.",
    ]
    if report.elsewhere:
        lines.append(
            f"{report.elsewhere} are in work in another process, or in a message batch: "
            "`flex-mcp distill --batch` takes its results."
        )
    return Answer(content, "\n".join(lines))


def _common(contents: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """What the groups say, each thing once."""
    said = (part for one in contents if one[name] for part in one[name].split(", "))
    return ", ".join(dict.fromkeys(said)) or None


def prompts_answer(versions: Mapping[str, str], strays: Sequence[str]) -> Answer:
    notes = [f"{one_line(name)} takes the place of no prompt: rename it" for name in strays]
    content = {"prompts": dict(versions), "strays": list(strays)}
    return Answer(content, "\n".join([*versions.values(), *notes]))


def prompt_answer(name: str, text: str, version: str) -> Answer:
    return Answer({"name": name, "version": version, "text": text}, text)


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


def import_answer(imported: "Imported") -> Answer:
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
    if imported.redacted:
        made += f" {redaction_note(imported.redacted)}."
    if imported.held:
        lines.append(
            f"{imported.held} of them are held back as quarantined: "
            "`flex-mcp list --status quarantined` lists them, `flex-mcp show ID` says why, "
            "`flex-mcp curate ID approve` serves one."
        )
    content = {
        "added": counts,
        "total": imported.total,
        "already": imported.already,
        "trajectories": imported.trajectories,
        "redacted": imported.redacted or None,
        "quarantined": imported.held,
    }
    return Answer(content, "\n".join([made, *lines]))


def log_answer(
    writes: Sequence[Write], about: str | None = None, perhaps: Sequence[Write] = ()
) -> Answer:
    """One line a transaction: when, what, who (and its process), on what.

    `perhaps` touched more than they name, and so maybe what is asked about.
    """
    content = {
        "writes": [plain(one) for one in writes],
        "perhaps": [plain(one) for one in perhaps],
    }
    none = "Nothing was written." if about is None else f"No write that is kept names {about}."
    lines = [*map(_write, writes)] or [none]
    if perhaps:
        lines += ["These touched more than they name, perhaps it too:", *map(_write, perhaps)]
    return Answer(content, "\n".join(lines))


def _write(one: Write) -> str:
    more = f" and {one.touched - len(one.ids)} more" if one.touched > len(one.ids) else ""
    who = f"{one_line(one.client)} ({one.process})"
    return f"{one.at:%Y-%m-%d %H:%M:%S}  {one.verb:<12}  {who}  {', '.join(one.ids)}{more}".rstrip()


def reindex_answer(vectors: Vectors, experiences: int) -> Answer:
    text = (
        f"{experiences} experiences have vectors of {vectors.embedder} "
        f"(version {vectors.version}, {vectors.dimension} dimensions)."
    )
    return Answer(dataclasses.asdict(vectors) | {"experiences": experiences}, text)


def export_answer(file: str, form: str) -> Answer:
    return Answer({"file": file, "format": form}, f"Written: {file}")
