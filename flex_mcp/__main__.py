"""Where `flex-mcp` and `python -m flex_mcp` begin: at the server's front, or in the terminal.

A client starts the server anew in every session, so that start is told from its words alone;
whatever else was asked for, what a person starts by hand, and every mistake, is the terminal's.
"""

import sys

from flex_mcp.transports import fast_start
from flex_mcp.transports.process import Process

TYPE_CHECKING = False  # see `flex_mcp`
if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    library = served(sys.argv[1:])
    if library is None or fast_start.is_for_a_person():
        from flex_mcp.cli.main import main as terminal

        terminal(prog_name="flex-mcp")
    else:
        fast_start.serve(Process(library or None))


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
            return None if library[:1] in {"", "-"} else library
        case _:
            return None


if __name__ == "__main__":
    main()
