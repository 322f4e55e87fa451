"""The connections of the HTTP server: how many, and how long one may take to say what it wants.

uvicorn bounds neither: a client that opens sockets and says nothing would keep them for ever.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 512  # half of the descriptors that a process usually has
MAX_HEAD = 64 * 1024  # bytes of a request's line and headers
HEAD_SECONDS = 10  # for these to arrive; twice as long at most
KEPT_ALIVE = 75  # seconds that a connection stays after an answer; proxies keep theirs for 60
FULL = b"%d connections are open here: close some, or try again later" % MAX_CONNECTIONS
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Retry-After: 5\r\nContent-Length: %d\r\n\r\n%b" % (len(FULL), FULL)
)


class Connection(H11Protocol):
    """A connection that is closed where there are too many, or nothing comes on it."""

    _timer: asyncio.TimerHandle | None = None
    _waited: object = None  # the request after which it waited when we last looked

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(REFUSAL)
            transport.close()
        else:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def _look(self) -> None:
        """Close it if it has waited for a head since we last looked."""
        answered = self.timeout_keep_alive_task is not None  # and nothing came since
        waits = self.conn.their_state is h11.IDLE and not answered
        if waits and self._waited is self.cycle:
            self.transport.close()
            return
        self._waited = self.cycle if waits else self
        self._timer = self.loop.call_later(HEAD_SECONDS, self._look)
