"""Where `flex-mcp` and `python -m flex_mcp` begin: at the server's front, or in the terminal.

A client starts the server anew in every session, so that start is told from its words alone;
whatever else was asked for, and every mistake, is the terminal's.
"""

import gc
import sys

from flex_mcp.transports import fast_start

TYPE_CHECKING = False  # see `flex_mcp`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import TextIOWrapper


GARBAGE = 50_000  # new objects until it is looked for


def main() -> None:
    library = served(sys.argv[1:])
    if library is None:
        from flex_mcp.cli.main import main as terminal

        terminal()
    else:
        fast_start.serve(lambda: server(library))


def served(words: "Sequence[str]") -> str | None:
    """The library that is to be served over stdio, empty for the usual one; None: do not serve."""
    split = [
        part for word in words for part in (word.split("=", 1) if word[:2] == "--" else [word])
    ]
    match split:
        case [] | ["serve"] | ["serve", "--transport", "stdio"]:
            return ""
        case (
            ["--library", library]
            | ["--library", library, "serve"]
            | ["--library", library, "serve", "--transport", "stdio"]
            | ["serve", "--library", library]
            | ["serve", "--library", library, "--transport", "stdio"]
            | ["serve", "--transport", "stdio", "--library", library]
        ):
            return None if library.startswith("-") else library
        case _:
            return None


def server(library: str) -> "fast_start.Server":
    """The server itself, loaded."""
    gc.disable()  # what imports leave is no garbage; looking for it takes a tenth of the start
    from flex_mcp.app import App
    from flex_mcp.errors import FlexError
    from flex_mcp.transports.stdio import serve_stdio

    gc.freeze()
    gc.set_threshold(GARBAGE)  # the first call imports a lot, too
    gc.enable()

    def serve(*wire: "TextIOWrapper") -> None:
        try:
            serve_stdio(App(library=library or None), *wire)
        except FlexError as error:
            sys.stderr.write(f"flex-mcp: {error}\n")
            sys.exit(2)  # as the terminal's door says it

    return serve


if __name__ == "__main__":
    main()
