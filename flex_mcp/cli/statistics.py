"""The command that counts: what a library holds, and what happened week by week."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import main, project_options, projects_of, with_library
from flex_mcp.cli.output import Page, Part, Table, moment
from flex_mcp.models import Outcome, Projects, Spent, Statistics, Week, with_general
from flex_mcp.safety.quoting import one_line
from flex_mcp.search.embedder_choice import advice
from flex_mcp.tools.answers import plain
from flex_mcp.tools.pages import listed, statistics

DOMAINS, CHANGES = 10, 5  # that are shown
GROWTH = "week", "new", "active", "recorded", "success", "failure"
SEARCHES = "week", "searches", "served", "helpful", "harmful"


@main.command()
@click.option(
    "--weeks",
    type=click.IntRange(min=1),
    metavar="N",
    help="The last N weeks instead, a line each, newest last.",
)
@project_options
@with_library
def stats(*, weeks: int | None, app: App, **chosen: Any) -> Page:
    """Count what the library holds, or what happened week by week.

    Of general lessons and work, and those of the project of this folder, unless another is named.
    Searches belong to no project: all of them count. `flex-mcp list --since 7d` lists what was
    learned in the last seven days. Of a week: new lessons, those active at its end, work that was
    recorded and how it ended, searches, and those of them that served something.
    """
    projects = projects_of(chosen, with_general(app.project))
    return _counts(app, projects) if weeks is None else _weeks(app, weeks, projects)


def _counted(projects: Projects) -> str:
    """What is counted, in words."""
    if projects is None:
        return "Counted: all projects"
    names = [name or "general" for name in sorted(projects, key=lambda name: name or "")]
    return f"Counted: {' and '.join(names)}; --all-projects counts all"


def _counts(app: App, projects: Projects) -> Page:
    counts, last, content = statistics(app.library, CHANGES, projects)
    of_projects = listed(counts.by_project, "general")
    by_project = [("by project", "", of_projects)] if len(counts.by_project) > 1 else []
    rows = [
        ("Experiences", f"{counts.experiences:,}", listed(counts.by_status)),
        ("by level", "", listed(counts.by_level)),
        ("by zone", "", listed(counts.by_zone)),
        *by_project,
        ("Trajectories", f"{counts.trajectories:,}", listed(counts.by_state)),
        ("Searches", f"{counts.retrievals:,}", "of all projects"),
        ("Revisions", f"{counts.revisions:,}", "of all projects"),
    ]
    parts: list[Part] = [
        f"Library {app.library.name} ({counts.library_id}, schema {counts.schema_version})",
        _counted(projects),
        Table(("", "", ""), rows),
        *_embedder(counts, app.library.name),
        *(f"Asked {_spent(one)}" for one in counts.spent),
        *_domains(counts.by_domain),
    ]
    changed = [
        (moment(one.at), one.kind, one.experience_id, one_line(one.after.title)) for one in last
    ]
    if changed:
        parts += ["Last changes", Table(("when", "what", "id", "title"), changed)]
    return Page(content, parts)


def _embedder(counts: Statistics, library: str) -> Iterator[str]:
    vectors = counts.vectors
    embedder = f"{vectors.embedder}, version {vectors.version}" if vectors else "none yet"
    yield f"Embedder: {embedder}"
    if better := advice(vectors, Path(library)):
        yield f"  better: {better}"
    yield f"In memory: {counts.held / 1_000_000:.1f} MB in each process that searches"


def _spent(one: Spent) -> str:
    cost = "tokens not counted"
    if one.input_tokens is not None and one.output_tokens is not None:
        cost = f"{one.input_tokens:,} tokens read, {one.output_tokens:,} written"
    return f"{one_line(one.model)} by {one.road}: {one.questions} questions, {cost}"


def _domains(counts: Mapping[str, int]) -> Iterator[Part]:
    """The largest."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if ordered:
        rows = [(f"{count:,}", name or "(no domain)") for name, count in ordered[:DOMAINS]]
        yield "Domains"
        yield Table(("", ""), rows)
    if len(ordered) > DOMAINS:
        yield f"and {len(ordered) - DOMAINS:,} smaller ones: --json has all"


def _weeks(app: App, count: int, projects: Projects) -> Page:
    weeks = app.library.weeks(count, projects)
    parts = [
        f"{_counted(projects)}. A week begins on Monday (UTC).",
        Table(GROWTH, [*map(_growth, weeks)], headed=True),
        "",
        "Searches of all projects, and what was named of what they served",
        Table(SEARCHES, [*map(_searches, weeks)], headed=True),
    ]
    return Page({"library": app.library.name, "weeks": [*map(plain, weeks)]}, parts)


def _growth(one: Week) -> tuple[str, ...]:
    ended = (one.by_outcome.get(outcome, 0) for outcome in (Outcome.SUCCESS, Outcome.FAILURE))
    return _row(one, one.experiences, sum(one.active.values()), one.trajectories, *ended)


def _searches(one: Week) -> tuple[str, ...]:
    return _row(one, one.searches, one.serving, one.helpful, one.harmful)


def _row(one: Week, *counts: int) -> tuple[str, ...]:
    return (one.first_day.isoformat(), *(f"{count:,}" for count in counts))
