"""The command that makes a library forget."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flex_mcp.answers import Answer
from flex_mcp.app import App
from flex_mcp.cli.commands import CALLER, WorkFailedError, fail, say, with_library
from flex_mcp.errors import InputError

if TYPE_CHECKING:
    from flex_mcp.forgotten import Choice

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--domain", help="Trajectories and experiences of this path and what lies below it.")
@click.option("--text", help="Whatever holds these words, exactly, in either case.")
@click.option("--older-than", metavar="AGE", help="Recorded longer ago, such as 90d, 12w or 36h.")
@click.option("--before", metavar="DATE", help="Recorded before, such as 2026-01-31 (UTC).")
@click.option("--keep-shared", is_flag=True, help="Keep experiences that have other evidence too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would go, change nothing.")
@click.option("--finish", is_flag=True, help="Go on with a cleaning that was stopped.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    help="Seconds that other programs are waited for.",
)
@with_library
def forget(  # noqa: PLR0913  its options
    ids: Sequence[str],
    *,
    domain: str | None,
    text: str | None,
    older_than: str | None,
    before: str | None,
    keep_shared: bool,
    yes: bool,
    dry_run: bool,
    finish: bool,
    wait: float,
    app: App,
) -> Answer:
    """Delete trajectories (t_…) or experiences (e_…) for good, and prove it.

    With a trajectory goes all that stems from it: experiences, their history, searches, briefs.
    Ids stand alone; of the options all that are given must fit. An experience takes no trajectory
    along. Automatic copies of the library are deleted, and known backups named.
    """
    from flex_mcp.answers import forgetting as answers  # late: few processes forget
    from flex_mcp.forgotten import Choice
    from flex_mcp.sqlite.copies import copies_of

    choice = Choice(ids=tuple(ids), domain=domain, text=text, before=_time(older_than, before))
    _check(choice, finish=finish)
    if finish:
        cleaned = app.library.finish_forgetting(patience=wait, say=say)
        return _told(answers.finished_answer(cleaned), cleaned.unfinished)
    plan = app.library.forgettable(choice, keep_shared=keep_shared)
    copies = [str(copy) for copy in copies_of(Path(app.library.name))]
    if plan.stems and not dry_run and not yes:
        _ask(answers.plan_answer(plan, copies).text)
        keep_shared = keep_shared or _keeps(len(plan.stems.shared & plan.stems.experiences))
    if dry_run:
        return answers.plan_answer(plan, copies)
    try:
        done = app.library.forget(
            choice, keep_shared=keep_shared, client=CALLER.name, patience=wait, say=say
        )
    except KeyboardInterrupt:
        fail(
            "stopped: if something is deleted already, the file is not clean yet, "
            "so run `flex-mcp forget --finish` with the same --library",
            1,
        )
    return _told(answers.forgotten_answer(done, plan), done.cleaned.unfinished)


def _told(answer: Answer, unfinished: str | None) -> Answer:
    if unfinished is not None:
        raise WorkFailedError(answer, unfinished)
    return answer


def _check(choice: "Choice", *, finish: bool) -> None:
    chosen = [choice.domain is not None, choice.text is not None, choice.before is not None]
    if finish and (choice.ids or any(chosen)):
        raise InputError("--finish stands alone: what is to go was said before")
    if choice.ids and any(chosen):
        raise InputError("give ids, or --domain, --text and an age, not both")
    if not (finish or choice.ids or any(chosen)):
        raise InputError(
            "say what to forget: ids, --domain, --text, --older-than or --before; "
            "--finish goes on with what was stopped"
        )
    if choice.domain is not None and not choice.domain.strip(" /"):
        raise InputError("--domain needs a path, such as python/packaging")


def _ask(shown: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(
            "forgetting cannot be undone: look with --dry-run, and say --yes; nothing was forgotten"
        )
    click.echo(shown, err=True)
    if not click.confirm("Forget all this for good?", err=True):
        raise InputError("nothing was forgotten: you did not want it")


def _keeps(shared: int) -> bool:
    question = f"Keep the {shared} experiences that have other evidence too?"
    return bool(shared) and click.confirm(question, err=True)


def _time(age: str | None, before: str | None) -> datetime | None:
    """The moment before which all goes.

    Raises:
        InputError: it is no age, or no time.
    """
    if age is not None and before is not None:
        raise InputError("give --older-than or --before, not both")
    if age is not None:
        found = re.fullmatch(r"(\d{1,5})([hdw])", age.strip())
        if found is None:
            raise InputError(f"--older-than cannot be {age!r}: say 90d, 12w or 36h")
        return datetime.now(UTC) - int(found[1]) * UNITS[found[2]]
    if before is None:
        return None
    try:
        time = datetime.fromisoformat(before.strip())
    except ValueError as error:
        raise InputError(f"--before cannot be {before!r}: say 2026-01-31") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
