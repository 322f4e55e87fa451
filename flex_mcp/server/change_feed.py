"""Who hears of changes: clients of both protocol eras, whichever process made the change.

In the newer era a client opens a stream (`subscriptions/listen`, spec 2026-07-28), in the older one
it is told on its connection, and subscribes to single resources (spec 2025-11-25, Resources). The
library's file is looked at twice a second while anybody listens: its history says what changed,
whoever wrote it. Counters leave no history, so they are never told of.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterable

import anyio
import anyio.to_thread
from mcp.server.connection import Connection
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
)
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from flex_mcp.app import App
from flex_mcp.errors import FlexError
from flex_mcp.models import Changes, Moment, Revision, Snapshot, Status
from flex_mcp.server.limits import MAX_LISTENING, check_addresses
from flex_mcp.tools import uris

INTERVAL = 0.5  # seconds
SENDING = 5  # seconds; a client that does not read for so long misses a message


class Bus(InMemorySubscriptionBus):
    """The streams of the newer era; says when one opens."""

    def __init__(self, opened: Callable[[], None]) -> None:
        super().__init__()
        self._opened = opened
        self.listening: set[object] = set()

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        leave, stream = super().subscribe(listener), object()
        self.listening.add(stream)
        self._opened()

        def unsubscribe() -> None:
            self.listening.discard(stream)  # it may be called twice
            leave()

        return unsubscribe


class ChangeFeed:
    """The clients of one server, and up to which change they have heard."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._subscribed: dict[Connection, set[str]] = {}
        self._streamed = Counter[str]()  # what the streams of the newer era want to hear of
        self._heard: Moment | None = None
        self._looking = anyio.Lock()
        self._looked = -INTERVAL
        self._opened = anyio.Event()
        self.bus = Bus(self._wake)

    def _wake(self) -> None:
        self._opened.set()

    async def join(self, connection: Connection) -> None:
        """Take in a client of the older era, until it leaves."""
        if connection.has_standalone_channel and connection not in self._subscribed:
            self._subscribed[connection] = set()
            connection.exit_stack.callback(self._subscribed.pop, connection, None)

    async def subscribe(self, connection: Connection, uri: str) -> None:
        await self.join(connection)
        if connection in self._subscribed:
            check_addresses([*self._subscribed[connection] - {uri}, uri])
            self._subscribed[connection].add(uri)
        await self.begin()

    async def unsubscribe(self, connection: Connection, uri: str) -> None:
        self._subscribed.get(connection, set()).discard(uri)

    @contextlib.contextmanager
    def listening(self, uris: list[str]) -> Generator[None]:
        """A stream of the newer era; refused where there are too many, or it wants too much.

        Raises:
            MCPError: names the limit.
        """
        if len(self.bus.listening) >= MAX_LISTENING:
            raise MCPError(
                INTERNAL_ERROR,
                f"{MAX_LISTENING} streams of changes are open here: close one, or try again later",
            )
        check_addresses(uris)
        self._streamed.update(uris)
        try:
            yield
        finally:
            self._streamed -= Counter(uris)

    async def begin(self) -> None:
        """Before a client sees or changes anything: from here on it hears of changes."""
        if self._heard is None and self._anybody():
            async with self._looking:
                await self._look()

    @contextlib.asynccontextmanager
    async def watched(self, _: object) -> AsyncGenerator[None]:
        """Look for changes as long as this lasts: a server's lifespan.

        Over SSE every connection has one; whichever is awake first looks for all.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            yield
            tasks.cancel_scope.cancel()

    async def _watch(self) -> None:
        while True:
            with anyio.move_on_after(INTERVAL):
                await self._opened.wait()
            self._opened = anyio.Event()
            async with self._looking:
                due = anyio.current_time() - self._looked >= INTERVAL or self._heard is None
                if due and self._anybody():
                    await self._look()

    def _anybody(self) -> bool:
        return bool(self._subscribed or self.bus.listening)

    async def _look(self) -> None:
        self._looked = anyio.current_time()
        found = await anyio.to_thread.run_sync(self._changes, abandon_on_cancel=True)
        if found is None:
            return
        told, self._heard = self._heard is not None, found.last
        if told and (found.revisions or not found.whole):
            await self._tell(found)

    def _changes(self) -> Changes | None:
        """What nobody has heard of; None while the library cannot be read: then the next look."""
        try:
            if not self._app.is_there:
                return Changes(Moment(), (), whole=True)
            catalogue = self._app.library.catalogue
            if self._heard is None:
                return Changes(catalogue.last_change(), (), whole=True)
            return catalogue.changes(self._heard)
        except FlexError:
            return None

    async def _tell(self, found: Changes) -> None:
        touched = {uri for one in found.revisions for uri in uris.touched(one)}
        listed = not found.whole or any(map(changes_list, found.revisions))
        async with anyio.create_task_group() as tasks:
            for connection, subscribed in self._subscribed.items():
                updated = sorted(subscribed & touched if found.whole else subscribed)
                tasks.start_soon(_send, connection, listed, updated)
        if listed:
            await self.bus.publish(ResourcesListChanged())
        for uri in sorted(touched if found.whole else self._streamed):
            await self.bus.publish(ResourceUpdated(uri=uri))


def changes_list(revision: Revision) -> bool:
    """Whether a revision changes which active experiences there are, or what they are called."""
    return _listed(revision.before) != _listed(revision.after)


def _listed(one: Snapshot | None) -> str | None:
    return one.title if one is not None and one.status is Status.ACTIVE else None


async def _send(connection: Connection, listed: bool, updated: Iterable[str]) -> None:  # noqa: FBT001
    with anyio.move_on_after(SENDING):
        if listed:
            await connection.send_resource_list_changed()
        for uri in updated:
            await connection.send_resource_updated(uri)
