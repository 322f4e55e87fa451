"""What a process on stdio loads when it is needed: the library for usual searches, then the server.

Only the standard library is imported here, and of that what starts fast.
"""

import contextlib
import gc
import sys
import threading

TYPE_CHECKING = False  # see `flex_mcp`
if TYPE_CHECKING:
    from collections.abc import Generator
    from io import TextIOWrapper
    from typing import Any

    from flex_mcp.app import App
    from flex_mcp.transports.fast_start import Server

GARBAGE = 50_000  # new objects until it is looked for


class Process:
    """One library for the front's calls and for the server, each loaded when it is first needed."""

    def __init__(self, library: str | None) -> None:
        self._library = library
        self._app: App | None = None
        self._lock = threading.Lock()

    @property
    def app(self) -> "App":
        from flex_mcp.app import App

        with self._lock:
            if self._app is None:
                self._app = App(library=self._library)
            return self._app

    def call(
        self, tool: str, arguments: "dict[str, Any]", name: str, version: str, *, roots: bool
    ) -> "tuple[str, dict[str, Any]] | None":
        """A tool's usual call, answered without the server; None for any other."""
        with quickly() if self._app is None else contextlib.nullcontext():
            from flex_mcp.transports import fast_calls
            from flex_mcp.transports.logs import log_to_stderr

            log_to_stderr()
            return fast_calls.answered(self.app, tool, arguments, name, version, roots=roots)

    def server(self) -> "Server":
        """The server itself, loaded."""
        with quickly():
            from flex_mcp.errors import FlexError
            from flex_mcp.transports.stdio import serve_stdio

        def serve(*wire: "TextIOWrapper") -> None:
            try:
                serve_stdio(self.app, *wire)
            except FlexError as error:
                sys.stderr.write(f"flex-mcp: {error}\n")
                sys.exit(2)  # as the terminal's door says it

        return serve

    def close(self) -> None:
        if self._app is not None:
            self._app.close()


@contextlib.contextmanager
def quickly() -> "Generator[None]":
    """Import: what that leaves is no garbage; looking for it takes a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE)  # the first call imports a lot, too
        gc.enable()
