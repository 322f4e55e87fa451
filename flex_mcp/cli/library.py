"""Commands on a library: looking things up, changing them, in and out of files."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    caller,
    is_project_chosen,
    main,
    options_of_projects,
    progress_bar,
    project_options,
    projects_of,
    say,
    with_library,
    with_library_or_new,
)
from flex_mcp.cli.identifiers import DOMAIN
from flex_mcp.cli.output import Page
from flex_mcp.errors import InputError
from flex_mcp.models import Level, Zone
from flex_mcp.safety.redaction import redaction_note
from flex_mcp.tools import tools
from flex_mcp.tools.answers import Answer
from flex_mcp.tools.arguments import SearchArguments
from flex_mcp.validation import checked

ZONES, LEVELS = [*map(str, Zone)], [*map(str, Level)]


@main.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "--domain",
    type=DOMAIN,
    help="Only this path and what lies below it, such as python/packaging.",
)
@click.option("--zone", "zones", multiple=True, type=click.Choice(ZONES))
@click.option("--level", "levels", multiple=True, type=click.Choice(LEVELS))
@options_of_projects("General ones and those of this project, instead of this folder's.")
@click.option("--limit", type=int, default=5, show_default=True, help="Hits, at most 20.")
@click.option("--detailed", is_flag=True, help="Whole lessons.")
@with_library
def search(
    query: Sequence[str],
    *,
    domain: str | None,
    zones: Sequence[str],
    levels: Sequence[str],
    limit: int,
    detailed: bool,
    app: App,
    **projects: Any,
) -> Page:
    """Find lessons for a task, in your own words."""
    asks = caller(app)
    if is_project_chosen(projects) and projects["general"]:
        asks = asks._replace(project=None)
    raw = {"query": " ".join(query), "domain": domain, "limit": limit}
    raw |= {"zones": zones or None, "levels": levels or None}
    raw |= {"project": projects["project"], "all_projects": projects["all_projects"]}
    raw |= {"detail": "detailed" if detailed else "concise"}
    found = tools.search_experience(app, checked(SearchArguments, raw), asks)
    return Page.of(found).noting(app.library.catalogue.missing_project(projects["project"]))


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--trust", is_flag=True, help="Skip the screening; approvals of a bundle count.")
@click.option("--project", metavar="NAME", help="What comes in is of this project.")
@click.option("--general", is_flag=True, help="What comes in is of no project.")
@with_library_or_new
def import_(file: Path, *, trust: bool, project: str | None, general: bool, app: App) -> Answer:
    """Take in a library: FLEX's JSON, or what `export` has written.

    Twice adds nothing. What reads like orders to a model is held back as quarantined until you
    approve it.
    """
    from flex_mcp.exchange.files import import_file

    if general and project:
        raise InputError("give --project or --general, only one of them")
    with progress_bar("Importing") as progress:
        imported = import_file(
            app.library,
            file,
            client=CALLER.name,
            project=False if general else project,
            trust=trust,
            progress=progress,
        )
        app.library.calibrate()
    counts = imported.added
    lines = [
        f"- {count} {zone} {level}s"
        for level in Level
        for zone, count in counts.get(level, {}).items()
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
    if imported.unused:
        named = "; ".join(f"{name} ({count})" for name, count in imported.unused.items())
        lines.append(f"In no experience, and kept as it came where it can be: {named}.")
    content: dict[str, Any] = {
        "added": counts,
        "total": imported.total,
        "already": imported.already,
        "trajectories": imported.trajectories,
        "redacted": imported.redacted or None,
        "quarantined": imported.held,
    }
    if imported.unused:
        content["unused"] = imported.unused
    return Answer(content, "\n".join([made, *lines]))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "flex", "markdown"]),
    default="jsonl",
    show_default=True,
    help="jsonl: everything. flex: FLEX's file, texts of what is active. markdown: for reading.",
)
@click.option("--force", is_flag=True, help="Also over a file that is no earlier export.")
@project_options
@with_library
@click.pass_context
def export(
    ctx: click.Context, /, file: Path, *, form: str, force: bool, app: App, **projects: Any
) -> Page | None:
    """Write the library to FILE, or to stdout.

    All of it, unless a project is named.
    """
    chosen = projects_of(projects, None)
    from flex_mcp.exchange.files import Format, export_file, export_library

    missing = app.library.catalogue.missing_project(projects["project"])
    if str(file) != "-":
        export_file(app.library, file, Format(form), chosen, force=force)
        return Page({"file": file, "format": form}, [f"Written: {file}"]).noting(missing)
    if ctx.params["as_json"]:
        raise InputError("to stdout goes the export itself: leave out --json, or name a FILE")
    for piece in export_library(app.library, Format(form), chosen):
        # whatever the terminal's encoding: redirected, it is a file for import
        click.echo(piece if sys.stdout.isatty() else piece.encode(), nl=False)
    if missing:
        say(missing)
    return None


@main.command()
@click.option(
    "--embedder",
    metavar="NAME",
    help="ours, static or fastembed:MODEL. Default: as set, or its own.",
)
@with_library
def reindex(*, embedder: str | None, app: App) -> Answer:
    """Make all vectors anew, for another embedder or version.

    It resumes where it was stopped. Searches go on with the old ones until it is done. A model that
    is not on this machine is fetched, unless FLEX_MCP_EMBEDDER_PATH names a folder with its files.
    """
    with progress_bar("Embedding") as progress:
        vectors = app.library.reindex(embedder, client=CALLER.name, progress=progress)
    experiences = app.library.statistics().experiences
    text = (
        f"{experiences} experiences have vectors of {vectors.embedder} "
        f"(version {vectors.version}, {vectors.dimension} dimensions)."
    )
    return Answer(asdict(vectors) | {"experiences": experiences}, text)
