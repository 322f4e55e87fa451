"""The command that opens the page."""

import webbrowser

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import library_option, main


@main.command(short_help="Open the library in a browser: see, search, correct.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--no-open", is_flag=True, help="Only say the address, open no browser.")
@library_option()
def web(*, port: int, no_open: bool, library: str | None) -> None:
    """Open the library in a browser: see, search, correct. Ctrl-C ends it.

    It is served on this machine alone, to whoever has the address, which works once.
    """
    from flex_mcp.transports.http import serve_web

    def opened(address: str) -> None:
        if not no_open:
            webbrowser.open(address)

    app = App(library=library, new=False)
    app.library.statistics()  # one that is not there is refused at once
    serve_web(app, port=port, opened=opened)
