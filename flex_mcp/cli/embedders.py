"""Commands on the embedders: which there are, and going over to another."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    main,
    progress_bar,
    say,
    with_library,
    with_library_or_new,
)
from flex_mcp.tools.answers import Answer, plain

if TYPE_CHECKING:
    from flex_mcp.maintenance.embedders import Offer

HEADS = "  embedder", "where", "disk", "dimensions", "query", "load", "nDCG@10"


@main.group(invoke_without_command=True)
@click.pass_context
def embedder(ctx: click.Context) -> None:
    """See what turns texts into vectors, and choose a better model."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@embedder.command("list")
@click.option("--all", "every", is_flag=True, help="All models that fastembed knows.")
@with_library
def list_embedders(*, every: bool, app: App) -> Answer:
    """List embedders: what is here, what each costs and gives, which one the library uses.

    No network is used.
    """
    from flex_mcp.maintenance.embedders import offers

    library, found = str(app.settings.library), offers(app, every=every)
    table = [HEADS, *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {where:<{widths[1]}}  "
        + "  ".join(map(str.rjust, figures, widths[2:]))
        for name, where, *figures in table
    ]
    notes = (
        f"* what {library} uses, or will when it is made.",
        "query: one of 100 tokens; load: a process's first; both on two cores. nDCG@10: in %, the",
        "mean of five sets, with full text (docs/retrieval.md). -: not measured.",
        "`flex-mcp embedder use NAME` goes over to one; `--path FOLDER` where there is no network.",
    )
    content = {
        "library": library,
        "embedders": [{"name": one.name, "used": one.used} | asdict(one) for one in found],
    }
    return Answer(content, "\n".join([*lines, "", *notes]))


@embedder.command("use")
@click.argument("model")
@click.option(
    "--path", metavar="FOLDER", help="The model's files, where there is no network; a copy is kept."
)
@with_library_or_new
def use_embedder(model: str, *, path: str | None, app: App) -> Answer:
    """Go over to MODEL: ours, static, or one that `flex-mcp embedder list --all` names.

    It is fetched where it is not here, and tried before anything changes. Then all experiences are
    embedded anew while searches go on with the old vectors, which serve until all is done. Stop it
    whenever you like: the next run goes on where it was. `flex-mcp embedder use static` goes back.
    """
    from flex_mcp.maintenance.embedders import use

    with progress_bar("Embedding") as progress:
        switched = use(app, model, path, say, progress, CALLER.name)
    vectors = switched.vectors
    about = f"{vectors.embedder} (version {vectors.version}, {vectors.dimension} dimensions)"
    if switched.embedded:
        text = f"The library uses {about} now: {switched.experiences:,} experiences are embedded."
    else:
        text = f"The library uses {about} already: nothing was embedded."
    if switched.folder is not None:
        text += f" The model is kept in {switched.folder}."
    if switched.previous not in {None, vectors.embedder}:
        text += f" `flex-mcp embedder use {switched.previous}` goes back."
    content = plain(switched)
    return Answer(content.pop("vectors") | content, text)


def _cells(one: "Offer") -> list[str]:
    figures = (
        (one.megabytes, " MB"),
        (one.dimension, ""),
        (one.query_ms, " ms"),
        (one.load_seconds, " s"),
        (one.ndcg, ""),
    )
    shown = ["-" if value is None else f"{value:,}{unit}" for value, unit in figures]
    return [("*" if one.used else " ") + f" {one.name}", one.where, *shown]
