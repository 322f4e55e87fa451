"""Serving over stdio (here) or HTTP (`http`, behind `access`), until clients go or a signal comes.

The library is opened once, outside all connections, and closed at the end. An end takes at most
three seconds: what is then still at work (a model that was asked, say) is given up, as a killed
process would; what was acknowledged is stored by then.
"""

import os
import signal
import sys
import threading
from collections.abc import AsyncIterable, Callable
from io import TextIOWrapper
from typing import cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification

from flex_mcp.app import App
from flex_mcp.server import sdk
from flex_mcp.server.server import build_server
from flex_mcp.transports.lines import Lines, refused
from flex_mcp.transports.logs import log_to_stderr

PATIENCE = 2.5  # seconds from the wish to end until the process ends
UNREAD = 64  # answers that wait for a client to read; beyond, we do not read either
A_MOMENT = 0.05  # seconds until we look whether it has

Item = SessionMessage | Exception


def serve_stdio(app: App, *wire: TextIOWrapper) -> None:
    """Serve one client on stdin and stdout until it goes away; nothing else writes to stdout.

    `wire` is what to read and to write where the front has claimed the process's own already.
    """
    log_to_stderr()
    anyio.run(_serve_stdio, app, *wire)


async def _serve_stdio(app: App, *wire: TextIOWrapper) -> None:
    low = sdk.lowlevel(build_server(app))
    try:
        async with stdio_server(*map(anyio.wrap_file, _in_lines(*wire))) as (read, write):
            stopped, told = anyio.Event(), anyio.Event()
            passed_on, given = anyio.create_memory_object_stream[Item]()
            said, to_say = anyio.create_memory_object_stream[SessionMessage]()
            async with read, passed_on, given, said, anyio.create_task_group() as tasks:
                tasks.start_soon(stop_on_signal, stopped.set, tasks.cancel_scope.cancel)
                tasks.start_soon(_relay, read, passed_on, said.clone())
                tasks.start_soon(_say, to_say, write, told)
                await low.run(given, said, low.create_initialization_options())
                await said.aclose()
                await told.wait()
                tasks.cancel_scope.cancel()
            if stopped.is_set():
                app.close()
                sys.stderr.flush()
                os._exit(0)  # the thread that reads stdin cannot be cancelled, and keeps a process
    except* BrokenPipeError:
        pass  # the client went away before its answer: nobody is left to tell
    finally:
        app.close()


def _in_lines(*wire: TextIOWrapper) -> tuple[TextIOWrapper, ...]:
    """The streams, stdin's lines as the SDK is to see them."""
    stdin, *stdout = wire or (cast("TextIOWrapper", sys.stdin),)
    return Lines(stdin.detach(), encoding="utf-8", errors="replace", newline="\n"), *stdout


async def _relay(
    read: AsyncIterable[Item],
    passed_on: MemoryObjectSendStream[Item],
    said: MemoryObjectSendStream[SessionMessage],
) -> None:
    """Pass on what the client sends, and notice its end before what it asked for has ended.

    A client that does not read what it is answered is not read from either.
    """
    try:
        async with passed_on, said:
            async for item in read:
                if refusal := _refusal(item):
                    await said.send(refusal)
                else:
                    await passed_on.send(item)
                while said.statistics().tasks_waiting_send > UNREAD:  # noqa: ASYNC110  rare
                    await anyio.sleep(A_MOMENT)
    finally:
        end_soon()


def _refusal(item: Item) -> SessionMessage | None:
    """What to say to a line that was not taken in; see `Lines`."""
    message = None if isinstance(item, Exception) else item.message
    if not isinstance(message, JSONRPCNotification):
        return None
    refusal = refused(message.method, message.params)
    if refusal is None:
        return None
    error = ErrorData(code=refusal.code, message=refusal.reason)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=refusal.id, error=error))


async def _say(
    to_say: MemoryObjectReceiveStream[SessionMessage],
    write: WriteStream[SessionMessage],
    told: anyio.Event,
) -> None:
    async with to_say, write:
        async for message in to_say:
            await write.send(message)
    told.set()


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
    ends = signal.SIGTERM, signal.SIGINT
    try:
        with anyio.open_signal_receiver(*ends) as signals:
            async for _ in signals:
                end_soon()
                for stop in stops:
                    stop()
                return
    finally:
        for number in ends:  # the process ends already: one more must not cut that short
            signal.signal(number, signal.SIG_IGN)
