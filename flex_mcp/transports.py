"""Serving over stdio, until stdin closes, SIGTERM or SIGINT; the library is closed each time."""

import logging
import os
import signal
import sys
from typing import TextIO

import anyio
from mcp.server.stdio import stdio_server

from flex_mcp.app import App
from flex_mcp.server import build_server


def serve_stdio(app: App, *wire: TextIO) -> None:
    """Serve one client on stdin and stdout until it goes away; nothing else writes to stdout.

    `wire` is what to read and to write where the front has claimed the process's own already.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="flex-mcp: %(message)s")
    anyio.run(_serve_stdio, app, *wire)


async def _serve_stdio(app: App, *wire: TextIO) -> None:
    low = build_server(app)._lowlevel_server  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    try:
        async with stdio_server(*map(anyio.wrap_file, wire)) as (read, write):
            stopped = anyio.Event()
            async with anyio.create_task_group() as tasks:
                if sys.platform != "win32":
                    tasks.start_soon(_stop_on_signal, stopped, tasks.cancel_scope)
                await low.run(read, write, low.create_initialization_options())
                tasks.cancel_scope.cancel()
            if stopped.is_set():
                app.close()
                sys.stderr.flush()
                os._exit(0)  # the thread that reads stdin cannot be cancelled, and keeps a process
    finally:
        app.close()


async def _stop_on_signal(stopped: anyio.Event, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stopped.set()
            scope.cancel()
            return
