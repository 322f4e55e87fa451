"""The terminal's door. Each command checks, calls, presents; the server is reached by transports.

Exit codes: 0 done, also when nothing is relevant or a list is empty; 2 the input, the library or a
setting was refused; 1 the work ran and failed.
"""

from collections.abc import Sequence

import click

from flex_mcp.app import App
from flex_mcp.cli import (
    backups,
    clients,
    curating,
    embedders,
    forgetting,
    lessons,
    library,
    lists,
    prompts,
    renaming,
    review,
    statistics,
    trajectories,
    web,
)
from flex_mcp.cli.commands import fail, is_typed, json_option, library_option, main, say
from flex_mcp.settings import HOST, PORT, Transport
from flex_mcp.transports import fast_start
from flex_mcp.transports.process import Process

# They add their commands.
__all__ = [
    "backups",
    "clients",
    "curating",
    "embedders",
    "forgetting",
    "lessons",
    "library",
    "lists",
    "prompts",
    "renaming",
    "review",
    "statistics",
    "trajectories",
    "web",
]


@main.command()
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
    """Serve MCP over stdio, as a client starts it, or over HTTP.

    Over HTTP it says on stderr where it listens. Anywhere but on this machine's own address it
    needs FLEX_MCP_TOKEN (reads and writes) or FLEX_MCP_READ_TOKEN, and --allowed-host.
    """
    if transport == Transport.STDIO:
        if is_typed():
            say(
                "this waits for a client's messages on stdin, as a client starts it; "
                "Ctrl-C stops it, `flex-mcp install` adds it to a client"
            )
        fast_start.serve(Process(library))
        return
    from flex_mcp.transports.http import serve_http

    app = App(library=library)
    serve_http(app, Transport(transport), host=host, port=port, allowed_hosts=allowed_hosts)


@main.command()
@library_option("Keep the demonstration's library in this new file.")
@json_option
def demo(*, library: str | None, as_json: bool) -> None:
    """Watch it learn from two real pieces of work.

    They are recorded and distilled, and a new session finds the lessons for another task.
    """
    from flex_mcp.demo.demo import run_demo

    if failure := run_demo(library, as_json=as_json):
        fail(failure, 1)
