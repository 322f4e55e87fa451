"""Commands on trajectories: recording them, distilling them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from flex_mcp.app import App
from flex_mcp.cli import reports
from flex_mcp.cli.commands import (
    CALLER,
    WorkFailedError,
    fail,
    progress_bar,
    with_library,
    with_library_or_new,
)
from flex_mcp.errors import InputError
from flex_mcp.models import TRAJECTORIES
from flex_mcp.tools import tools
from flex_mcp.tools.answers import Answer
from flex_mcp.tools.arguments import RecordArguments
from flex_mcp.validation import checked


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@with_library_or_new
def record(file: Path, *, app: App) -> Answer:
    """Record trajectories from a JSON FILE, or stdin.

    FILE holds one object, an array of them, or one a line. An object has task and outcome (success,
    failure, partial, unknown), and may have steps [{kind, content, name}] or transcript, answer,
    feedback, score, verified_by, domain, agent, retrieval_ids, lessons, key.
    """
    items, listed = _objects(_read(file))
    given = [_named(number, items, item) for number, item in enumerate(items, start=1)]
    made: list[Answer] = []
    for one in given:
        try:
            made.append(tools.record_trajectory(app, one, CALLER))
        except InputError as error:
            if len(given) == 1:
                raise
            raise InputError(
                f"object {len(made) + 1}: {error}; those before it were recorded, the rest not"
            ) from error
    return reports.many(made) if listed else made[0]


def _named(number: int, items: Sequence[object], item: object) -> RecordArguments:
    """One of the objects, checked before any is recorded."""
    try:
        return checked(RecordArguments, item)
    except InputError as error:
        which = f"object {number}: " if len(items) > 1 else ""
        raise InputError(f"{which}{error}; nothing was recorded") from error


def _read(file: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: nothing was recorded") from error
    if not text.strip():
        raise InputError("there is nothing to record: give an object with task and outcome")
    return text


def _objects(text: str) -> tuple[list[object], bool]:
    """The objects of a JSON object, an array, or JSON lines; and whether they came as a list."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        lines = [line for line in text.split("\n") if line.strip()]
        return [_json_line(number, line) for number, line in enumerate(lines, start=1)], True
    return (
        (cast("list[object]", content), True) if isinstance(content, list) else ([content], False)
    )


def _json_line(number: int, line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"line {number} is no JSON: give one object, an array of them, or one a line"
        ) from error


@click.command()
@click.argument("trajectory_ids", metavar="[ID]...", nargs=-1)
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
    """Turn pending trajectories into lessons with the model of ANTHROPIC_API_KEY.

    Trajectories of one task are distilled side by side. It can be stopped and run again at any
    moment.
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
    answer = reports.backlog_answer(report, dry_run=dry_run)
    if report.failures or report.stopped:
        raise WorkFailedError(answer, report.stopped or report.failures[0].reason)
    return answer
