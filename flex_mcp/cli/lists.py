"""Commands that show what a library holds: lists, one thing whole, the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    is_project_chosen,
    main,
    project_options,
    projects_of,
    since_of,
    with_library,
)
from flex_mcp.cli.identifiers import DOMAIN, ID, short
from flex_mcp.cli.output import (
    HEAD,
    Line,
    Page,
    Part,
    Quote,
    Table,
    as_cell,
    moment,
)
from flex_mcp.cli.revisions import revision_lines, undo, with_name
from flex_mcp.errors import NotFoundError
from flex_mcp.learning.excerpts import cut
from flex_mcp.models import (
    Experience,
    Filter,
    Level,
    Outcome,
    RecordedTrajectory,
    ReportedOutcome,
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
LONG = 60  # characters of a cell, where two of them make it too long

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
        click.option(
            "--after", metavar="ID", type=ID, help="The next page: what comes after this one."
        ),
    )

    def decorated(function: C) -> C:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


def since_option(what: str) -> Callable[[C], C]:
    return click.option("--since", metavar="WHEN", help=f"{what} since 2026-01-31, 36h, 7d or 2w.")


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
    help="Texts from A to Z, figures from the highest.",
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
        "since": since_of(since),
        "text": text,
    }
    library = app.library
    page = partial(library.experiences, sort=Sort(sort), reverse=reverse, **wanted)
    found, more = _read(page, **_part(shown))
    total = library.count_experiences(**wanted)
    missing = library.catalogue.missing_project(shown["project"])
    if not found and not missing:
        missing = library.catalogue.missing_domain(Filter(domain=domain, projects=projects))
    elsewhere = _elsewhere(
        shown, lambda: library.count_experiences(**{**wanted, "projects": None}) - total
    )
    told = Told(total, elsewhere, missing, more=more)
    return _listed("experiences", found, EXPERIENCE, shown["columns"], told)


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
    """List trajectories, what was tried, newest first.

    `flex-mcp show` shows one whole. General ones, and those of the project of this folder, unless
    another is named.
    """
    wanted: WantedTrajectories = {
        "state": TrajectoryState(state) if state else None,
        "outcome": Outcome(outcome) if outcome else None,
        "domain": domain,
        "projects": projects_of(shown, with_general(app.project)),
        "since": since_of(since),
        "text": text,
    }
    library = app.library
    found, more = _read(partial(library.trajectories, **wanted), **_part(shown))
    total = library.count_trajectories(**wanted)
    missing = library.catalogue.missing_project(shown["project"])
    elsewhere = _elsewhere(
        shown, lambda: library.count_trajectories(**{**wanted, "projects": None}) - total
    )
    told = Told(total, elsewhere, missing, more=more)
    return _listed("trajectories", found, TRAJECTORY, shown["columns"], told)


def _elsewhere(shown: Mapping[str, Any], count: Callable[[], int]) -> int:
    """How many are of projects that nobody named, where nobody named any."""
    return 0 if is_project_chosen(shown) else count()


def _part(shown: Mapping[str, Any]) -> dict[str, Any]:
    limit = None if shown["everything"] else shown["limit"]
    return {"after": shown["after"], "limit": limit}


def _read(
    page: Callable[..., list[T]], *, after: str | None, limit: int | None
) -> tuple[list[T], bool]:
    """The rows, read page by page, and whether there are more."""
    found: list[T] = []
    while limit is None or len(found) <= limit:
        wanted = AT_ONCE if limit is None else min(limit + 1 - len(found), AT_ONCE)
        found += (read := page(after=found[-1].id if found else after, limit=wanted))
        if len(read) < wanted:
            return found, False
    return found[:limit], True


@dataclass(frozen=True, slots=True)
class Told:
    """What is said beside a list's rows: how many fit, here and in projects that nobody named.

    `missing` says of a project or a domain that it is not here.
    """

    total: int
    elsewhere: int
    missing: str | None
    more: bool = field(kw_only=True)

    @property
    def notice(self) -> str | None:
        """What explains rows that are not there."""
        if self.missing or self.elsewhere < 1:
            return self.missing
        if self.elsewhere == 1:
            return f"1{self._more} is of another project: --all-projects"
        return f"{self.elsewhere:,}{self._more} are of other projects: --all-projects"

    @property
    def _more(self) -> str:
        return " more" if self.total else ""


def _listed(
    what: str,
    found: Sequence[T],
    known: Mapping[str, Callable[[T], object]],
    columns: Sequence[str],
    told: Told,
) -> Page:
    rows = [{name: read(one) for name, read in known.items()} for one in found]
    table = Table(columns, [[_first_line(as_cell(row[name])) for name in columns] for row in rows])
    after = found[-1].id if told.more else None
    content = {what: [*map(plain, rows)], "total": told.total, "after": after}
    cut = f"{len(found):,} of {told.total:,}: --all, or --after {after} for the next ones"
    if rows:
        return Page(content, [table], cut if after else "").noting(told.notice)
    content |= {"notice": told.notice} if told.notice else {}
    return Page(content, [f"Nothing fits{f': {told.notice}' if told.notice else ''}."])


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
    ids, library = list(dict.fromkeys(ids)), app.library
    works = library.whole_trajectories([id_ for id_ in ids if id_.startswith("t_")])
    others = [id_ for id_ in ids if not id_.startswith("t_")]
    lessons = library.whole(checked(GetArguments, {"ids": others}).ids) if others else []
    here = [one.experience.id for one in lessons]
    there = {*here, *(one.trajectory.id for one in works)}
    missing = [id_ for id_ in ids if id_ not in there]
    if not there:
        raise NotFoundError(_none_of(missing))
    content: dict[str, Any] = {}
    parts: list[Part] = [NATURE]
    if lessons:
        content = tools.get_experience(app, GetArguments(ids=(*here,)), CALLER).content
        for one in lessons:
            parts += ["", *_experience(one, app)]
    if works:
        content["trajectories"] = [_content(one) for one in works]
        for work in works:
            parts += ["", *_trajectory(work)]
    content["missing"] = missing
    if missing:
        parts += ["", f"Not here: {glances(missing)}."]
    return Page(content, parts)


def _none_of(ids: Sequence[str]) -> str:
    """What to say where none of some ids is here."""
    works = [id_ for id_ in ids if id_.startswith("t_")]
    others = [id_ for id_ in ids if id_ not in works]
    said = {
        "experience": (others, "a search gives ids"),
        "trajectory": (works, "`flex-mcp trajectories` lists them"),
    }
    none = " and ".join(f"no {kind} {glances(each)}" for kind, (each, _) in said.items() if each)
    return f"there is {none}: {'; '.join(what for each, what in said.values() if each)}"


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
    lines = [Line(with_name(id_, names)) for id_ in one.evidence[-EVIDENCE:]]
    if (more := len(one.evidence) - len(lines)) > 0:
        lines.insert(0, Line(f"{more:,} earlier ones: --json has more of them"))
    yield Quote(f"Evidence{many}:" if lines else "Evidence: none", lines)
    told = [line for change in found.history for line in revision_lines(change, names)]
    yield Quote("History:", told)
    for line in undo(*found.history[-1:]):
        yield f"{line} takes the last change back, --revision N that one and all after it."


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
