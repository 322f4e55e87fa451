"""The command that makes a library forget."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    WorkFailedError,
    ago,
    confirm,
    date_of,
    fail,
    main,
    say,
    with_library,
)
from flex_mcp.cli.identifiers import DOMAIN, ID
from flex_mcp.errors import InputError
from flex_mcp.safety.quoting import one_line
from flex_mcp.tools.answers import Answer

if TYPE_CHECKING:
    from flex_mcp.library.forgetting import Plan
    from flex_mcp.models.forgetting import Affected, Checked, Choice, Cleaned

LINE = 100  # characters of a task or title


@main.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=ID)
@click.option(
    "--domain",
    type=DOMAIN,
    help="Trajectories and experiences of this path and what lies below it.",
)
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
def forget(
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
    """Delete trajectories or experiences, and what stems from them.

    For good: trajectories (t_…) or experiences (e_…); it checks that they are gone.

    With a trajectory goes all that stems from it: experiences, their history, searches, briefs.
    Ids stand alone; of the options all that are given must fit. An experience takes no trajectory
    along. Automatic copies of the library are deleted, and known backups named.
    """
    from flex_mcp.models.forgetting import Choice
    from flex_mcp.storage.sqlite.backups import copies_of

    choice = Choice(ids=tuple(ids), domain=domain, text=text, before=_time(older_than, before))
    _check(choice, finish=finish)
    if finish:
        return _ended(app.library.finish_forgetting(patience=wait, say=say))
    plan = app.library.forgettable(choice, keep_shared=keep_shared)
    copies = [str(copy) for copy in copies_of(Path(app.library.name))]
    if plan.affected and not dry_run and not yes:
        shared = len(plan.affected.shared & plan.affected.experiences)
        keep_shared |= _keeps_shared(plan_answer(plan, copies).text, shared)
    if dry_run:
        return plan_answer(plan, copies)
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
    affected = done.plan.affected
    went = "Nothing here fits: nothing was forgotten."
    if affected:
        went = f"Forgotten: {_counts(affected)}."
    return _ended(done.cleaned, [went], _content(dataclasses.replace(plan, affected=affected)))


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


def _keeps_shared(shown: str, shared: int) -> bool:
    """Ask whether all that is shown shall go, or without what has other evidence too."""
    confirm(
        shown,
        "Forget all this for good?",
        because="forgetting cannot be undone",
        undone="nothing was forgotten",
    )
    question = f"Keep the {shared} experiences that have other evidence too?"
    return bool(shared) and click.confirm(question, err=True)


def _time(age: str | None, before: str | None) -> datetime | None:
    """The moment before which all goes.

    Raises:
        InputError: it is no age, or no time.
    """
    time = None
    if age is not None and before is not None:
        raise InputError("give --older-than or --before, not both")
    if age is not None and (time := ago(age)) is None:
        raise InputError(f"--older-than cannot be {age!r}: say 90d, 12w or 36h")
    if before is not None and (time := date_of(before)) is None:
        raise InputError(f"--before cannot be {before!r}: say 2026-01-31")
    return time


def plan_answer(plan: "Plan", copies: Sequence[str] = ()) -> Answer:
    """What would go, and which automatic copies of the library with it."""
    affected = plan.affected
    if not affected:
        return Answer(_content(plan), "Nothing here fits: there is nothing to forget.")
    experiences = affected.experiences | affected.shared
    titles = [(id_, _marked(id_, title, affected)) for id_, title in plan.titles]
    lines = [
        f"To be forgotten: {_counts(affected)}.",
        *_titles(plan.tasks, len(affected.trajectories), "more trajectory", "more trajectories"),
        *_titles(titles, len(experiences), "more experience", "more experiences"),
    ]
    if affected.shared & affected.experiences:
        lines.append("What is marked shared has other evidence too: --keep-shared keeps it.")
    if copies:
        lines.append(f"The automatic copies of the library go too: {', '.join(copies)}.")
    return Answer(_content(plan) | {"copies": copies}, "\n".join(lines))


def _marked(id_: str, title: str, affected: "Affected") -> str:
    if id_ not in affected.shared:
        return title
    return f"{title} (shared{'' if id_ in affected.experiences else ', stays without its history'})"


def _titles(shown: Sequence[tuple[str, str]], count: int, one: str, many: str) -> list[str]:
    lines = [f"- {id_}  {_short(text)}" for id_, text in shown]
    more = count - len(shown)
    return [*lines, f"- and {_counted(more, one, many)}"] if more > 0 else lines


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LINE else f"{line[: LINE - 1]}…"


def _counts(affected: "Affected") -> str:
    counts = (
        (affected.trajectories, "trajectory", "trajectories"),
        (affected.experiences, "experience with its history", "experiences with their history"),
        (affected.retrievals, "search", "searches"),
        (affected.briefs, "brief", "briefs"),
        (affected.entries, "imported entry as it came", "imported entries as they came"),
        (affected.clients, "name of a client in the log", "names of clients in the log"),
        (
            affected.cleaned,
            "history of an experience that stays",
            "histories of experiences that stay",
        ),
    )
    listed = [_counted(len(ids), one, many) for ids, one, many in counts if ids]
    if affected.document:
        listed.append("what a FLEX file held beside")
    return ", ".join(listed)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _content(plan: "Plan") -> dict[str, Any]:
    affected = dataclasses.asdict(plan.affected)
    return {
        "forgotten": {k: v if isinstance(v, bool) else len(v) for k, v in affected.items()},
        "trajectories": [{"id": id_, "task": _short(task)} for id_, task in plan.tasks],
        "experiences": [
            {"id": id_, "title": _short(title), "shared": id_ in plan.affected.shared}
            for id_, title in plan.titles
        ],
    }


def _ended(
    cleaned: "Cleaned", went: Sequence[str] = (), content: Mapping[str, Any] | None = None
) -> Answer:
    """What went, and how the cleaning of the file ended.

    Raises:
        WorkFailedError: it is unfinished.
    """
    lines = [*went, *_checked(cleaned.checked)]
    lines += [f"Deleted the automatic copy {one}." for one in cleaned.copies]
    lines += [f"A backup still holds it: {one}" for one in cleaned.backups]
    if cleaned.unfinished:
        lines.append("The file is not clean yet.")
    cleaning = {
        "done": cleaned.unfinished is None,
        "unfinished": cleaned.unfinished,
        "checked": cleaned.checked and dataclasses.asdict(cleaned.checked),
        "copies_deleted": cleaned.copies,
        "backups": cleaned.backups,
    }
    answer = Answer(
        {**(content or {}), **cleaning}, "\n".join(lines or ["Nothing was left unfinished."])
    )
    if cleaned.unfinished is not None:
        raise WorkFailedError(answer, cleaned.unfinished)
    return answer


def _checked(checked: "Checked | None") -> Iterator[str]:
    if checked is None:
        return
    looked = f"{_counted(checked.rows, 'row', 'rows')} of {checked.tables} tables"
    if checked.found:
        yield f"Checked {looked}; still found: {'; '.join(checked.found)}."
    else:
        yield (
            f"Checked: none of {looked} names what went, the file was written anew without a free "
            "page, and its -wal was emptied."
        )
    if checked.named:
        named = ", ".join(checked.named)
        yield f"What stays and quotes an id of it: {named}. Forget that too if it should go."
