"""Commands on domains and projects: which there are, and giving one another name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    asking_options,
    confirm,
    main,
    project_options,
    projects_of,
    with_library,
)
from flex_mcp.cli.identifiers import DOMAIN
from flex_mcp.cli.output import Page
from flex_mcp.errors import InputError
from flex_mcp.models import DomainCount, ProjectCount, Renaming, clean_domain, with_general
from flex_mcp.safety.quoting import one_line
from flex_mcp.tools.answers import Answer

HEADS = "active", "others", "trajectories"
SHOWN = 20  # paths, before they change


@main.group(invoke_without_command=True)
@project_options
@with_library
@click.pass_context
def domains(ctx: click.Context, *, app: App, **shown: Any) -> Page | None:
    """List the domains and what stands under each, or rename one.

    Of general lessons and those of the project of this folder, unless another is named. Active
    lessons are served; others are retired or held back.
    """
    if ctx.invoked_subcommand is not None:
        if any(shown.values()):
            raise InputError("a domain is renamed in every project: leave the project out")
        return None
    chosen = projects_of(shown, with_general(app.project))
    found = app.library.domains(chosen)
    hidden = {one.domain for one in app.library.domains()} - {one.domain for one in found}
    lines = [*_table("domain", [(one, one.domain) for one in found])]
    lines += [
        f"A search does not find '{one.domain}': `flex-mcp domains rename` with a path mends it."
        for one in found
        if clean_domain(one.domain) != one.domain
    ]
    note = f"{len(hidden):,} more in other projects: --all-projects" if hidden else ""
    content = {"domains": [asdict(one) for one in found]}
    return Page(content, ["\n".join(lines) or "Nothing here has a domain."], note)


@main.group(invoke_without_command=True)
@with_library
@click.pass_context
def projects(ctx: click.Context, *, app: App) -> Page | None:
    """List the projects and what is of each, or rename one.

    General is what is of no project. Active lessons are served; others are retired or held back.
    """
    if ctx.invoked_subcommand is not None:
        return None
    found = app.library.projects()
    lines = _table("project", [(one, one.project or "general") for one in found])
    content = {"projects": [asdict(one) for one in found]}
    return Page(content, ["\n".join(lines) or "The library is empty."])


def _table(what: str, named: Sequence[tuple[DomainCount | ProjectCount, str]]) -> Iterator[str]:
    """Counts with the name that they are of, below their heads; nothing where there are none."""
    rows = [[f"{count:,}" for count in _counts_of(one)] for one, _ in named]
    names = [one_line(name) for _, name in named]
    for cells, name in zip([HEADS, *rows], [what, *names], strict=True) if named else ():
        yield "  ".join([*map(str.rjust, cells, map(len, HEADS)), name])


def _counts_of(one: DomainCount | ProjectCount) -> tuple[int, int, int]:
    return one.active, one.experiences - one.active, one.trajectories


@domains.command()
@click.argument("old", type=DOMAIN)
@click.argument("new")
@asking_options
@with_library
def rename(old: str, new: str, *, yes: bool, dry_run: bool, app: App) -> Answer:
    """Rename the domain OLD to NEW, with all that lies below it, in every project.

    So docker/node becomes devops/docker/node where docker becomes devops/docker. A NEW that is
    there already is merged with it. Every lesson keeps its history: `flex-mcp curate ID revert`.
    """
    return _renamed(app.library.rename_domain, old, new, "domain", yes=yes, dry_run=dry_run)


@projects.command("rename")
@click.argument("old")
@click.argument("new")
@asking_options
@with_library
def rename_project(old: str, new: str, *, yes: bool, dry_run: bool, app: App) -> Answer:
    """Rename the project OLD to NEW: its lessons, and what was tried in it.

    A NEW that is there already is merged with it. Every lesson keeps its history: `flex-mcp curate
    ID revert`. A folder's project is the name of its git repository, whatever it is called here:
    FLEX_MCP_PROJECT says another.
    """
    return _renamed(app.library.rename_project, old, new, "project", yes=yes, dry_run=dry_run)


def _renamed(
    rename: Callable[..., Renaming], old: str, new: str, what: str, *, yes: bool, dry_run: bool
) -> Answer:
    plan = rename(old, new, dry_run=True)
    if not (yes or dry_run):
        because = f"{_counts(plan)} would change their {what}"
        shown = "\n".join(_lines(plan, "would become"))
        confirm(shown, "Rename?", because=because, undone="nothing was renamed")
    if not dry_run:
        plan = rename(old, new, client=CALLER.name)
    lines = _lines(plan, "would become" if dry_run else "is now")
    return Answer(asdict(plan) | {"dry_run": dry_run}, "\n".join(lines))


def _lines(plan: Renaming, verb: str) -> list[str]:
    paths = [*plan.paths.items()]
    lines = [f"{one_line(old)} {verb} {one_line(new)}" for old, new in paths[:SHOWN]]
    if len(paths) > SHOWN:
        lines.append(f"and {len(paths) - SHOWN} more paths below")
    lines.append(f"{_counts(plan)}.")
    if plan.merged:
        lines.append(f"There are others under {one_line(plan.new)}: they are merged with these.")
    return lines


def _counts(plan: Renaming) -> str:
    return ", ".join(
        f"{count:,} {one if count == 1 else many}"
        for count, one, many in (
            (plan.experiences, "lesson", "lessons"),
            (plan.trajectories, "trajectory", "trajectories"),
        )
    )
