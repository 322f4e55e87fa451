"""The terminal's door. Each command checks, calls, presents; the server is reached by transports.

Exit codes: 0 done, also when nothing is relevant or a list is empty; 2 the input, the library or a
setting was refused; 1 the work ran and failed.
"""

import functools
from collections.abc import Sequence
from io import TextIOWrapper

import click

from flex_mcp.app import App
from flex_mcp.cli import backups as on_copies
from flex_mcp.cli import clients as on_clients
from flex_mcp.cli import embedders as on_embedders
from flex_mcp.cli import forgetting as on_forgetting
from flex_mcp.cli import library as on_library
from flex_mcp.cli import prompts as on_prompts
from flex_mcp.cli import trajectories as on_trajectories
from flex_mcp.cli.commands import Commands, fail, json_option, library_option
from flex_mcp.settings import HOST, PORT, Transport
from flex_mcp.transports import fast_start
from flex_mcp.version import __version__


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, prog_name="flex-mcp")
@library_option()
@click.pass_context
def main(ctx: click.Context, library: str | None) -> None:
    """An experience library for any assistant: lessons from earlier work, found when needed.

    Without a command it serves MCP over stdio, which is what a client starts. Try `flex-mcp demo`
    first; then `flex-mcp COMMAND --help`.

    \b
    FLEX_MCP_LIBRARY        the library's file
    FLEX_MCP_EMBEDDER       static (the default, offline) or fastembed:MODEL
    FLEX_MCP_EMBEDDER_PATH  a folder with that model's files
    FLEX_MCP_DISTILLER      who writes lessons: auto, anthropic, sampling, assistant
    FLEX_MCP_MODEL          the model asked with ANTHROPIC_API_KEY, at ANTHROPIC_BASE_URL
    FLEX_MCP_PROMPTS        a folder with prompts of your own
    """  # noqa: D301  click's mark for lines to keep
    if ctx.invoked_subcommand is None:
        _serve(library)


@click.command()
@click.option(
    "--transport",
    type=click.Choice([*map(str, Transport)]),
    default="stdio",
    show_default=True,
    help="http serves /mcp and /sse, the last two one each.",
)
@click.option("--host", default=HOST, show_default=True, help="Where to listen, over HTTP.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name of this server that clients may use; repeatable.",
)
@library_option()
def serve(
    *, transport: str, host: str, port: int, allowed_hosts: Sequence[str], library: str | None
) -> None:
    """Serve MCP over stdio (what a client's configuration runs) or HTTP.

    Over HTTP it says on stderr where it listens. Anywhere but on this machine's own address it
    needs FLEX_MCP_TOKEN (reads and writes) or FLEX_MCP_READ_TOKEN, and --allowed-host.
    """
    if transport == Transport.STDIO:
        _serve(library)
        return
    from flex_mcp.transports.http import serve_http

    serve_http(
        App(library=library),
        Transport(transport),
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
    )


def _serve(library: str | None) -> None:
    fast_start.serve(lambda: functools.partial(_server, App(library=library)))


def _server(app: App, *wire: TextIOWrapper) -> None:
    from flex_mcp.transports.stdio import serve_stdio

    serve_stdio(app, *wire)


@click.command()
@library_option("Keep the demonstration's library in this new file.")
@json_option
def demo(*, library: str | None, as_json: bool) -> None:
    """Watch the main job on real input: record, distil, and find the lessons in a new session."""
    from flex_mcp.demo.demo import run_demo

    if failure := run_demo(library, as_json=as_json):
        fail(failure, 1)


for command in (
    serve,
    demo,
    on_library.search,
    on_library.show,
    on_library.list_,
    on_trajectories.record,
    on_trajectories.distill,
    on_prompts.prompts,
    on_library.curate,
    on_library.import_,
    on_library.export,
    on_library.stats,
    on_library.log,
    on_embedders.embedder,
    on_library.reindex,
    on_copies.backup,
    on_copies.restore,
    on_forgetting.forget,
    on_clients.install,
    on_clients.uninstall,
    on_clients.doctor,
):
    main.add_command(command)
