"""Commands on domains: which there are, and giving one another name."""

from dataclasses import asdict

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import CALLER, confirm, main, with_library
from flex_mcp.models import DomainCount, Renaming, clean_domain
from flex_mcp.safety.quoting import one_line
from flex_mcp.tools.answers import Answer

HEADS = "active", "others", "trajectories", "domain"
SHOWN = 20  # paths, before they change


@main.group(invoke_without_command=True)
@with_library
@click.pass_context
def domains(ctx: click.Context, *, app: App) -> Answer | None:
    """List the domains and what stands under each, or rename one.

    Active lessons are served; others are retired or held back.
    """
    if ctx.invoked_subcommand is not None:
        return None
    found = app.library.domains()
    table = [HEADS, *map(_cells, found)] if found else []
    lines = ["  ".join([*map(str.rjust, row[:3], map(len, HEADS)), row[3]]) for row in table]
    lines += [
        f"A search does not find '{one.domain}': `flex-mcp domains rename` with a path mends it."
        for one in found
        if clean_domain(one.domain) != one.domain
    ]
    content = {"domains": [asdict(one) for one in found]}
    return Answer(content, "\n".join(lines) or "Nothing here has a domain.")


def _cells(one: DomainCount) -> tuple[str, ...]:
    counts = one.active, one.experiences - one.active, one.trajectories
    return (*(f"{count:,}" for count in counts), one_line(one.domain))


@domains.command()
@click.argument("old")
@click.argument("new")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
@with_library
def rename(old: str, new: str, *, yes: bool, dry_run: bool, app: App) -> Answer:
    """Rename the domain OLD to NEW, with all that lies below it.

    So docker/node becomes devops/docker/node where docker becomes devops/docker. A NEW that is
    there already is merged with it. Every lesson keeps its history: `flex-mcp curate ID revert`.
    """
    plan = app.library.rename_domain(old, new, dry_run=True)
    if not (yes or dry_run):
        because = f"{_counts(plan)} would change their domain"
        shown = "\n".join(_lines(plan, "would become"))
        confirm(shown, "Rename?", because=because, undone="nothing was renamed")
    if not dry_run:
        plan = app.library.rename_domain(old, new, client=CALLER.name)
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
