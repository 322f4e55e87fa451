"""Commands that show what a library holds: lists, one thing whole, the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    ago,
    date_of,
    main,
    project_options,
    projects_of,
    with_library,
)
from flex_mcp.cli.identifiers import DOMAIN, ID, short
from flex_mcp.cli.output import (
    ADDED,
    HEAD,
    REMOVED,
    Line,
    Page,
    Part,
    Quote,
    Table,
    as_cell,
    moment,
)
from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.learning.excerpts import cut
from flex_mcp.models import (
    Experience,
    Filter,
    Level,
    Outcome,
    RecordedTrajectory,
    ReportedOutcome,
    Revision,
    Sort,
    Status,
    TrajectoryState,
    WholeExperience,
    WholeTrajectory,
    Write,
    Zone,
    with_general,
)
from flex_mcp.safety.quoting import NATURE, facts, named, one_line, tags_line
from flex_mcp.tools import tools
from flex_mcp.tools.answers import counted, of_project, only_in, plain, quoted_whole
from flex_mcp.tools.arguments import GetArguments
from flex_mcp.tools.changes import Change, changes
from flex_mcp.validation import checked, glances

if TYPE_CHECKING:
    from flex_mcp.library.lists import WantedExperiences, WantedTrajectories

T = TypeVar("T", Experience, RecordedTrajectory)
C = TypeVar("C", bound=Callable[..., Any])

SHOWN = 50  # rows of a list
AT_ONCE = 500  # rows that are read together
NAMED = 3  # ids of a write with their names
EVIDENCE = 20  # trajectories of an experience
STEP = 1_000  # characters of a step
LONG = 60  # characters of a value, from which on it gets a line of its own

EXPERIENCE: dict[str, Callable[[Experience], object]] = {  # by column
    "id": lambda one: one.id,
    "level": lambda one: one.level,
    "zone": lambda one: one.zone,
    "status": lambda one: one.status,
    "domain": lambda one: one.domain,
    "project": lambda one: one.project,
    "title": lambda one: one.title,
    "priority": lambda one: one.priority,
    "served": lambda one: one.served,
    "successes": lambda one: one.successes,
    "failures": lambda one: one.failures,
    "helpful": lambda one: one.helpful,
    "harmful": lambda one: one.harmful,
    "evidence": lambda one: len(one.evidence),
    "created": lambda one: one.created_at,
    "updated": lambda one: one.updated_at,
}
TRAJECTORY: dict[str, Callable[[RecordedTrajectory], object]] = {
    "id": lambda one: one.id,
    "recorded": lambda one: one.recorded_at,
    "outcome": lambda one: one.outcome,
    "state": lambda one: one.state,
    "domain": lambda one: one.domain,
    "project": lambda one: one.project,
    "task": lambda one: one.task,
    "score": lambda one: one.score,
    "verified": lambda one: one.verified_by,
    "agent": lambda one: one.agent and (one.agent.name or one.agent.model),
    "searches": lambda one: len(one.retrieval_ids),
}


def paged(known: Mapping[str, object], default: str) -> Callable[[C], C]:
    """A list's columns, and which part of it is shown."""

    def chosen(_ctx: click.Context, _param: click.Parameter, text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if strange := [name for name in names if name not in known]:
            raise click.BadParameter(f"{strange[0]!r} is none of {', '.join(known)}")
        return names or default.split(",")

    options = (
        click.option(
            "--columns",
            metavar="NAMES",
            default=default,
            callback=chosen,
            show_default=True,
            help=f"With commas between: {', '.join(known)}.",
        ),
        click.option("--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True),
        click.option("--all", "everything", is_flag=True, help="All, without a limit."),
        click.option("--after", metavar="ID", type=ID, help="Go on behind this one."),
    )

    def decorated(function: C) -> C:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


def since_option(what: str) -> Callable[[C], C]:
    return click.option("--since", metavar="WHEN", help=f"{what} since a date, or 7d.")


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    if (time := ago(text) or date_of(text)) is None:
        raise InputError(f"--since cannot be {text!r}: say 2026-01-31, 36h, 7d or 2w")
    return time


@main.command("list")
@click.option("--text", help="Only those whose title, when or lesson holds it, in either case.")
@click.option("--domain", type=DOMAIN, help="Only this path and what lies below it.")
@click.option("--zone", "zones", multiple=True, type=click.Choice([*map(str, Zone)]))
@click.option("--level", "levels", multiple=True, type=click.Choice([*map(str, Level)]))
@click.option("--status", "statuses", multiple=True, type=click.Choice([*map(str, Status)]))
@since_option("Made")
@click.option(
    "--sort",
    type=click.Choice([*map(str, Sort)]),
    default=str(Sort.NEWEST),
    show_default=True,
    help="Texts begin with a, figures with the most.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@project_options
@paged(EXPERIENCE, "id,level,zone,status,title")
@with_library
def list_(
    *,
    text: str | None,
    domain: str | None,
    zones: Sequence[str],
    levels: Sequence[str],
    statuses: Sequence[str],
    since: str | None,
    sort: str,
    reverse: bool,
    app: App,
    **shown: Any,
) -> Page:
    """List experiences, newest first.

    General ones, and those of the project of this folder, unless another is named.
    """
    projects = projects_of(shown, with_general(app.project))
    wanted: WantedExperiences = {
        "levels": [*map(Level, levels)] or None,
        "zones": [*map(Zone, zones)] or None,
        "statuses": [*map(Status, statuses)],
        "domain": domain,
        "projects": projects,
        "since": _since(since),
        "text": text,
    }

    def page(after: str | None, limit: int) -> list[Experience]:
        return app.library.experiences(
            sort=Sort(sort), reverse=reverse, after=after, limit=limit, **wanted
        )

    found, more = _read(page, **_part(shown))
    total = app.library.count_experiences(**wanted)
    missing = None
    if not found:
        missing = app.library.catalogue.missing_domain(Filter(domain=domain, projects=projects))
    empty = f"No experience fits: {missing}." if missing else "No experience fits."
    made = _listed("experiences", found, EXPERIENCE, shown["columns"], total, empty, more=more)
    return replace(made, content=made.content | {"notice": missing}) if missing else made


@main.command()
@click.option("--text", help="Only those whose task holds it, in either case.")
@click.option("--domain", type=DOMAIN, help="Only this path and what lies below it.")
@click.option("--state", type=click.Choice([*map(str, TrajectoryState)]), help="Only these.")
@click.option("--outcome", type=click.Choice([*map(str, Outcome)]), help="Only these.")
@since_option("Recorded")
@project_options
@paged(TRAJECTORY, "id,recorded,outcome,state,task")
@with_library
def trajectories(
    *,
    text: str | None,
    domain: str | None,
    state: str | None,
    outcome: str | None,
    since: str | None,
    app: App,
    **shown: Any,
) -> Page:
    """List trajectories, what was tried, newest first; `flex-mcp show` shows one whole."""
    projects = projects_of(shown, with_general(app.project))
    wanted: WantedTrajectories = {
        "state": TrajectoryState(state) if state else None,
        "outcome": Outcome(outcome) if outcome else None,
        "domain": domain,
        "projects": projects,
        "since": _since(since),
        "text": text,
    }

    def page(after: str | None, limit: int) -> list[RecordedTrajectory]:
        return app.library.trajectories(after=after, limit=limit, **wanted)

    found, more = _read(page, **_part(shown))
    total = app.library.count_trajectories(**wanted)
    empty = "No trajectory fits."
    return _listed("trajectories", found, TRAJECTORY, shown["columns"], total, empty, more=more)


def _part(shown: Mapping[str, Any]) -> dict[str, Any]:
    limit = None if shown["everything"] else shown["limit"]
    return {"after": shown["after"], "limit": limit}


def _read(
    page: Callable[[str | None, int], list[T]], *, after: str | None, limit: int | None
) -> tuple[list[T], bool]:
    """The rows, read page by page, and whether there are more."""
    found: list[T] = []
    while limit is None or len(found) <= limit:
        wanted = AT_ONCE if limit is None else min(limit + 1 - len(found), AT_ONCE)
        found += (read := page(found[-1].id if found else after, wanted))
        if len(read) < wanted:
            return found, False
    return found[:limit], True


def _listed(
    what: str,
    found: Sequence[T],
    known: Mapping[str, Callable[[T], object]],
    columns: Sequence[str],
    total: int,
    empty: str,
    *,
    more: bool,
) -> Page:
    rows = [{name: read(one) for name, read in known.items()} for one in found]
    table = Table(columns, [[_first_line(as_cell(row[name])) for name in columns] for row in rows])
    note = ""
    if more:
        note = f"{len(found):,} of {total:,}: --all, or --after {found[-1].id} for the next ones"
    content = {what: [*map(plain, rows)], "total": total}
    return Page(content, [table if rows else empty], note)


def _first_line(text: str) -> str:
    """A task may be as long as a page."""
    return short(text) if len(text) > 2 * LONG else text


@main.command()
@click.argument("ids", nargs=-1, required=True, type=ID)
@with_library
def show(ids: Sequence[str], *, app: App) -> Page:
    """Show experiences or trajectories whole.

    Of an experience: examples, evidence, counters, and what each revision changed. Of a trajectory:
    its searches, steps and outcomes in order, and what was learnt from it.
    """
    ids = list(dict.fromkeys(ids))
    works = app.library.whole_trajectories([id_ for id_ in ids if id_.startswith("t_")])
    there = {one.trajectory.id for one in works}
    lost = [id_ for id_ in ids if id_.startswith("t_") and id_ not in there]
    others = [id_ for id_ in ids if not id_.startswith("t_")]
    if lost and not works and not others:
        raise NotFoundError(
            f"there is no trajectory {glances(lost)}: `flex-mcp trajectories` lists them"
        )
    content: dict[str, Any] = {}
    parts: list[Part] = [NATURE]
    if others:
        content = tools.get_experience(app, checked(GetArguments, {"ids": others}), CALLER).content
        for one in app.library.whole(others):
            parts += ["", *_experience(one, app)]
    if works:
        content["trajectories"] = [_content(one) for one in works]
        for work in works:
            parts += ["", *_trajectory(work)]
    content["missing"] = missing = [*content.get("missing", []), *lost]
    if missing:
        parts += ["", f"Not here: {', '.join(missing)}."]
    return Page(content, parts)


def _experience(found: WholeExperience, app: App) -> Iterator[Part]:
    one = found.experience
    sources = [change.trajectory_id for change in found.history if change.trajectory_id]
    names = app.library.catalogue.names({*one.evidence, *sources})
    superseded = f", superseded by {one.superseded_by}" if one.superseded_by else ""
    about = f"{one.zone} {one.level}", one.domain, only_in(one.project), f"{one.status}{superseded}"
    yield quoted_whole(f"**{one_line(one.title)}** ({one.id})", one, tags_line(one.tags))
    yield facts(*about, f"priority {one.priority}")
    yield counted(one)
    yield f"Made {moment(one.created_at)}, revision {one.revision}, {moment(one.updated_at)}"
    many = f", {found.independent} of them independent" if found.independent > 1 else ""
    lines = [Line(_with_name(id_, names)) for id_ in one.evidence[-EVIDENCE:]]
    if (more := len(one.evidence) - len(lines)) > 0:
        lines.insert(0, Line(f"{more:,} earlier ones: --json has more of them"))
    yield Quote(f"Evidence{many}:" if lines else "Evidence: none", lines)
    yield Quote("History:", [line for change in found.history for line in _revision(change, names)])


def _with_name(id_: str, names: Mapping[str, str]) -> str:
    return f"{id_} {short(names[id_])}" if id_ in names else id_


def _revision(one: Revision, names: Mapping[str, str]) -> Iterator[Line]:
    """What a revision changed, as lines: before, and after."""
    reason = f": {one_line(one.reason)}" if one.reason else ""
    source = f" (from {_with_name(one.trajectory_id, names)})" if one.trajectory_id else ""
    who = f"{one.revision} {one.kind} by {named(one.actor)}, {moment(one.at)}"
    yield Line(f"- {who}{source}{reason}")
    for change in changes(one):
        yield from _change(change)


def _change(one: Change) -> Iterator[Line]:
    removed, added = (one.removed or ("none",)), (one.added or ("none",))
    if not one.removed and not one.added:
        yield Line(f"    {one.field}: in another order, or with other spaces")
    elif len(removed) == len(added) == 1 and len(removed[0] + added[0]) < LONG:
        yield Line(f"    {one.field}: {one_line(removed[0])} → {one_line(added[0])}")
    else:
        yield Line(f"    {one.field}:")
        yield from (Line(f"    - {one_line(text)}", REMOVED) for text in one.removed)
        yield from (Line(f"    + {one_line(text)}", ADDED) for text in one.added)


def _content(one: WholeTrajectory) -> dict[str, Any]:
    """A trajectory as JSON, with what came before and after it."""
    return plain(one.trajectory) | {
        "searches": [
            {"id": each.id, "at": each.at.isoformat(), "query": each.query, "served": each.served}
            for each in one.searches
        ],
        "outcomes": [*map(plain, one.outcomes)],
        "learnt": [
            {"id": each.id, "title": each.title, "status": str(each.status)} for each in one.learnt
        ],
    }


def _trajectory(found: WholeTrajectory) -> Iterator[Part]:
    """What was done, in the order of time."""
    one = found.trajectory
    first = found.outcomes[0] if found.outcomes else one  # as it was recorded
    agent = one.agent and " ".join(filter(None, (one.agent.name, one.agent.model)))
    who = f"by {agent}" if agent else ""
    about = one.domain, of_project(one.project), str(one.state), who, f"key {named(one.key)}"
    yield f"**{short(one.task)}** ({one.id})"
    yield facts(*about)
    for search in found.searches:
        served = f"{len(search.served)} served"
        yield Quote(f"{moment(search.at)}  searched, {served} ({search.id})", [Line(search.query)])
    lines = [Line(f"Task: {one.task}")]
    for number, step in enumerate(one.steps or (), start=1):
        name = f" ({one_line(step.name)})" if step.name else ""
        lines += [Line(f"{number}. {step.kind}{name}:", HEAD), Line(cut(step.content, STEP))]
    lines += [Line(cut(one.transcript, 10 * STEP))] if one.transcript else []
    for name, text in (("Answer", one.answer), ("Feedback", first.feedback)):
        lines += [Line(f"{name}: {cut(text, STEP)}")] if text else []
    yield Quote(f"{moment(one.recorded_at)}  recorded, {_ended(first)}", lines)
    for outcome in found.outcomes[1:]:
        said = [Line(cut(outcome.feedback, STEP))] if outcome.feedback else []
        by = f" by {named(outcome.by)}" if outcome.by else ""
        yield Quote(f"{moment(outcome.at)}  told{by}, {_ended(outcome)}", said)
    learnt = [Line(f"{each.id} {one_line(each.title)}") for each in found.learnt]
    yield Quote("Learnt from it:" if learnt else "Nothing was learnt from it.", learnt)


def _ended(one: RecordedTrajectory | ReportedOutcome) -> str:
    """How it ended."""
    score = f", score {one.score}" if one.score is not None else ""
    return f"{one.outcome}{score}, verified by {one.verified_by}"


@main.command()
@click.option("--about", metavar="ID", type=ID, help="Only what touched this id.")
@click.option("--searches", is_flag=True, help="Also the writes that only keep a search.")
@click.option("--all-projects", is_flag=True, help="Titles and tasks of every project.")
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True)
@with_library
def log(*, about: str | None, searches: bool, all_projects: bool, limit: int, app: App) -> Page:
    """Tell who wrote what, and when, newest first."""
    library, searches = app.library, searches or about is not None
    writes = library.last_writes(limit, about, searches=searches)
    # touched more than they name, and so maybe what is asked about
    perhaps = [] if about is None else library.long_writes(limit, about)
    shown = [id_ for one in (*writes, *perhaps) for id_ in one.ids]
    projects = None if all_projects else with_general(app.project)
    names = {id_: short(name) for id_, name in library.catalogue.names(shown, projects).items()}
    none = "Nothing was written." if about is None else f"No write that is kept names {about}."
    parts: list[Part] = [_writes(writes, names) if writes else none]
    if perhaps:
        parts += ["These touched more than they name, perhaps it too:", _writes(perhaps, names)]
    content = {"writes": [*map(plain, writes)], "perhaps": [*map(plain, perhaps)], "names": names}
    return Page(content, parts)


def _writes(writes: Sequence[Write], names: Mapping[str, str]) -> Table:
    rows = [
        (moment(one.at), one.verb, f"{named(one.client)} ({one.process})", _touched(one, names))
        for one in writes
    ]
    return Table(("when", "verb", "who", "what"), rows)


def _touched(one: Write, names: Mapping[str, str]) -> tuple[str, ...]:
    told = [f"{id_} {names.get(id_, '')}".rstrip() for id_ in one.ids[:NAMED]]
    more = one.touched - len(told)
    return (*told, f"and {more} more") if more > 0 else tuple(told)
