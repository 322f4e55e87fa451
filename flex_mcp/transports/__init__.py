"""Serving over stdio (here) or HTTP (`http`, behind `gate`), until clients go or a signal comes.

The library is opened once, outside all connections, and closed at the end. An end takes at most
three seconds: what is then still at work (a model that was asked, say) is given up, as a killed
process would; what was acknowledged is stored by then.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterable, Callable
from typing import TextIO

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from flex_mcp.app import App
from flex_mcp.server import build_server, sdk

PATIENCE = 2.5  # seconds from the wish to end until the process ends


def serve_stdio(app: App, *wire: TextIO) -> None:
    """Serve one client on stdin and stdout until it goes away; nothing else writes to stdout.

    `wire` is what to read and to write where the front has claimed the process's own already.
    """
    log_to_stderr()
    anyio.run(_serve_stdio, app, *wire)


async def _serve_stdio(app: App, *wire: TextIO) -> None:
    low = sdk.lowlevel(build_server(app))
    try:
        async with stdio_server(*map(anyio.wrap_file, wire)) as (read, write):
            stopped = anyio.Event()
            passed_on, given = anyio.create_memory_object_stream[SessionMessage | Exception]()
            async with read, passed_on, given, anyio.create_task_group() as tasks:
                tasks.start_soon(stop_on_signal, stopped.set, tasks.cancel_scope.cancel)
                tasks.start_soon(_relay, read, passed_on)
                await low.run(given, write, low.create_initialization_options())
                tasks.cancel_scope.cancel()
            if stopped.is_set():
                app.close()
                sys.stderr.flush()
                os._exit(0)  # the thread that reads stdin cannot be cancelled, and keeps a process
    except* BrokenPipeError:
        pass  # the client went away before its answer: nobody is left to tell
    finally:
        app.close()


async def _relay(
    read: AsyncIterable[SessionMessage | Exception],
    passed_on: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    """Pass on what the client sends, and notice its end before what it asked for has ended."""
    try:
        async with passed_on:
            async for message in read:
                await passed_on.send(message)
    finally:
        end_soon()


def end_soon() -> None:
    """End the process in a while, also where a worker thread is busy for longer.

    What that thread does was not acknowledged, and is not ours to wait for.
    """
    timer = threading.Timer(PATIENCE, os._exit, (0,))
    timer.daemon = True
    timer.start()


async def stop_on_signal(*stops: Callable[[], object]) -> None:
    """Call these when SIGTERM or SIGINT comes; the process ends soon then, whatever they reach."""
    if sys.platform == "win32":  # it has no such thing: Ctrl-C ends the process as usual
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            end_soon()
            for stop in stops:
                stop()
            return


def log_to_stderr() -> None:
    """What has to be said while serving is said there, in one form."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="flex-mcp: %(message)s")
