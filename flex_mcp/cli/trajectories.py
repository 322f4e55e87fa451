"""Commands on trajectories: recording them, distilling them."""

import contextlib
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    WorkFailedError,
    fail,
    main,
    progress_bar,
    with_library,
    with_library_or_new,
)
from flex_mcp.cli.identifiers import ID
from flex_mcp.errors import InputError
from flex_mcp.library.library import silent
from flex_mcp.models import TRAJECTORIES, Recorded, Road
from flex_mcp.tools.answers import Answer, distill_answer, group_lines, record_answer
from flex_mcp.tools.arguments import RecordArguments
from flex_mcp.tools.pages import listed
from flex_mcp.validation import checked

if TYPE_CHECKING:
    from flex_mcp.learning.backlog import Report


@main.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@with_library_or_new
def record(file: Path, *, app: App) -> Answer:
    """Record trajectories from a JSON FILE, or stdin.

    FILE holds one object, an array of them, or one a line. An object has task and outcome (success,
    failure, partial, unknown), and may have steps [{kind, content, name}] or transcript, answer,
    feedback, score, verified_by, domain, project, agent, retrieval_ids, helpful, harmful, lessons,
    key.
    """
    items, is_list = _objects(file)
    given = [_named(number, items, item) for number, item in enumerate(items, start=1)]
    given = [dataclasses.replace(one, project=one.project or app.project) for one in given]
    with progress_bar("Recording") if is_list else contextlib.nullcontext(silent) as progress:
        found = app.library.record_many(given, client=CALLER.name, progress=progress)
    wrong = {n: one for n, one in enumerate(found, start=1) if isinstance(one, InputError)}
    if len(found) == len(wrong) == 1:
        raise wrong[1]
    if wrong:
        said = "; ".join(f"object {n}: {error}" for n, error in wrong.items())
        raise InputError(f"{said}; the others were recorded")
    made = [record_answer(one) for one in found if isinstance(one, Recorded)]
    if not is_list:
        return made[0]
    recorded = [one.content for one in made]
    return Answer({"recorded": recorded}, _summary(recorded))


def _summary(recorded: Sequence[Mapping[str, Any]]) -> str:
    """What became of many trajectories, in one line."""
    if not recorded:
        return "Nothing to record."
    new = sum(one["new"] for one in recorded)
    states = Counter(one["state"] for one in recorded)
    lessons = Counter(each["decision"] for one in recorded for each in one["decisions"])
    redacted = sum(one.get("redacted", 0) for one in recorded)
    unmatched = sum(len(one.get("unmatched", ())) for one in recorded)
    parts = [
        f"{len(recorded):,} trajectories: {new:,} new ({listed(states)})",
        f"lessons: {listed(lessons)}" if lessons else "no lessons",
        f"{redacted:,} secrets taken out" if redacted else "",
        f"{unmatched:,} ids that no search served" if unmatched else "",
        "--json says what became of each",
    ]
    return f"Recorded {'; '.join(filter(None, parts))}."


def _named(number: int, items: Sequence[object], item: object) -> RecordArguments:
    """One of the objects, checked before any is recorded."""
    try:
        return checked(RecordArguments, item)
    except InputError as error:
        which = f"object {number}: " if len(items) > 1 else ""
        raise InputError(f"{which}{error}; nothing was recorded") from error


def _objects(file: Path) -> tuple[list[object], bool]:
    """The objects of a JSON object, an array, or JSON lines; and whether they came as a list."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: nothing was recorded") from error
    if not text.strip():
        raise InputError("there is nothing to record: give an object with task and outcome")
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(text)
        is_list = isinstance(content, list)
        return (cast("list[object]", content) if is_list else [content]), is_list
    lines = [line for line in text.split("\n") if line.strip()]
    objects: list[object] = []
    for number, line in enumerate(lines, start=1):
        try:
            objects.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"line {number} is no JSON: give one object, an array of them, or one a line"
            ) from error
    return objects, True


@main.command()
@click.argument("trajectory_ids", metavar="[ID]...", nargs=-1, type=ID)
@click.option("--all", "everything", is_flag=True, help="All that is pending.")
@click.option("--limit", type=click.IntRange(min=1), help="So many trajectories. Default: 5.")
@click.option("--dry-run", is_flag=True, help="Ask, show the decisions, change nothing.")
@click.option("--batch", is_flag=True, help="Ask by message batches: within a day, at half price.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=32),
    default=4,
    show_default=True,
    help="Groups at a time.",
)
@with_library
def distill(
    trajectory_ids: Sequence[str],
    *,
    everything: bool,
    limit: int | None,
    dry_run: bool,
    batch: bool,
    jobs: int,
    app: App,
) -> Answer:
    """Turn pending trajectories into lessons by a model.

    It is that of ANTHROPIC_API_KEY. Trajectories of one task are distilled side by side. It can be
    stopped and run again at any moment.
    """
    from flex_mcp.learning.backlog import Job, work_in_batches, work_through

    if sum([bool(trajectory_ids), everything, limit is not None]) > 1:
        raise InputError("give ids, --all or --limit, only one of them")
    job = Job(
        ids=trajectory_ids or None,
        limit=None if everything or trajectory_ids else limit or TRAJECTORIES,
        dry_run=dry_run,
        at_once=jobs,
        client=CALLER.name,
    )
    llm, work = app.llm, work_in_batches if batch else work_through
    try:
        with progress_bar("Distilling") as progress:
            report = work(app.library, app.distiller, llm, job, progress)
    except KeyboardInterrupt:
        fail("stopped; run it again to go on, a batch goes on by itself", 1)
    answer = _distilled(report, dry_run=dry_run)
    if report.failures or report.stopped:
        raise WorkFailedError(answer, report.stopped or report.failures[0].reason)
    return answer


def _distilled(report: "Report", *, dry_run: bool) -> Answer:
    """What `flex-mcp distill` made: the shape of the tool's answer, over all groups."""
    groups = [distill_answer(made).content for made in report.made]
    tokens = [made.tokens for made in report.made if made.tokens is not None]
    trajectories = [one for group in groups for one in group["trajectories"]]
    decisions = [one for group in groups for one in group["decisions"]]
    content: dict[str, Any] = {
        "road": str(Road.ANTHROPIC),
        "model": _common(groups, "model"),
        "prompts": _common(groups, "prompts"),
        "tokens": sum(tokens) if tokens else None,
        "trajectories": trajectories,
        "decisions": [one | {"index": index} for index, one in enumerate(decisions)],
        "remaining": report.remaining,
        "elsewhere": report.elsewhere,
        "dry_run": dry_run,
        "groups": groups,
        "failures": [dataclasses.asdict(failure) for failure in report.failures],
        "stopped": report.stopped,
    }
    counts = Counter(one["decision"] for one in decisions)
    done = "Dry run, nothing is changed:" if dry_run else "Distilled"
    cost = f", {sum(tokens):,} tokens" if tokens else ""
    by_reason: dict[str, list[str]] = {}
    for one in report.failures:
        by_reason.setdefault(one.reason, []).extend(one.trajectory_ids)
    pending = [f"{', '.join(ids)}: {reason}" for reason, ids in by_reason.items()]
    became = listed(counts) if counts else "no lesson"
    whole = f"{done} {len(trajectories)} trajectories{cost}: {became}."
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


def _common(groups: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """What the groups say, each thing once."""
    said = (part for one in groups if one[name] for part in one[name].split(", "))
    return ", ".join(dict.fromkeys(said)) or None
