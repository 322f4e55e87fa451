"""Serving over stdio, until stdin closes, SIGTERM or SIGINT; the library is closed each time."""

import logging
import os
import signal
import sys

import anyio
from mcp.server.stdio import stdio_server

from flex_mcp.app import App
from flex_mcp.server import build_server


def serve_stdio(app: App) -> None:
    """Serve one client on stdin and stdout until it goes away; nothing else writes to stdout."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="flex-mcp: %(message)s")
    anyio.run(_serve_stdio, app)


async def _serve_stdio(app: App) -> None:
    low = build_server(app)._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    stopped = False
    try:
        async with stdio_server() as (read, write), anyio.create_task_group() as tasks:

            async def watch() -> None:
                nonlocal stopped
                with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                    async for _ in signals:
                        stopped = True
                        tasks.cancel_scope.cancel()
                        return

            if sys.platform != "win32":
                tasks.start_soon(watch)
            await low.run(read, write, low.create_initialization_options())
            tasks.cancel_scope.cancel()
            if stopped:
                _leave(app)
    finally:
        app.close()


def _leave(app: App) -> None:
    """End now: the thread that reads stdin cannot be cancelled, and would keep the process."""
    app.close()
    sys.stderr.flush()
    os._exit(0)
