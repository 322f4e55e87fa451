"""Commands on the embedders: which there are, and going over to another."""

import click

from flex_mcp.answers import Answer
from flex_mcp.app import App
from flex_mcp.cli.commands import CALLER, progress_lines, say, with_library, with_library_or_new


@click.group(invoke_without_command=True)
@click.pass_context
def embedder(ctx: click.Context) -> None:
    """See what turns texts into vectors, and choose a model that does it better."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@embedder.command("list")
@click.option("--all", "every", is_flag=True, help="All models that fastembed knows.")
@with_library
def list_embedders(*, every: bool, app: App) -> Answer:
    """List embedders: what is here, what each costs and gives, which one the library uses.

    No network is used.
    """
    from flex_mcp.answers.embedders import offers_answer
    from flex_mcp.choosing import offers

    return offers_answer(str(app.settings.library), offers(app, every=every))


@embedder.command("use")
@click.argument("model")
@click.option(
    "--path", metavar="FOLDER", help="The model's files, where there is no network; a copy is kept."
)
@with_library_or_new
def use_embedder(model: str, *, path: str | None, app: App) -> Answer:
    """Go over to MODEL: static, or one that `flex-mcp embedder list --all` names.

    It is fetched where it is not here, and tried before anything changes. Then all experiences are
    embedded anew while searches go on with the old vectors, which serve until all is done. Stop it
    whenever you like: the next run goes on where it was. `flex-mcp embedder use static` goes back.
    """
    from flex_mcp.answers.embedders import switched_answer
    from flex_mcp.choosing import Watcher, use

    with progress_lines("Embedding") as progress:
        return switched_answer(use(app, model, path, Watcher(say, progress, CALLER.name)))
