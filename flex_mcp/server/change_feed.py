"""Who hears of changes: clients of both protocol eras, whichever process made the change.

In the newer era a client opens a stream (`subscriptions/listen`, spec 2026-07-28), in the older one
it is told on its connection, and subscribes to single resources (spec 2025-11-25, Resources). The
library's file is looked at twice a second while anybody listens: its history says what changed,
whoever wrote it. Counters leave no history, so they are never told of.
"""

import contextlib
from collections.abc import AsyncGenerator, Iterable
from itertools import chain
from typing import Any

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
)
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    EmptyResult,
    NotificationParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from flex_mcp.app import App
from flex_mcp.errors import FlexError
from flex_mcp.models import Changes, Moment, Revision, Snapshot, Status
from flex_mcp.server.limits import MAX_LISTENING, check_addresses
from flex_mcp.server.sdk import RequestContext, connection, lowlevel
from flex_mcp.tools.uris import touched as touched_by

INTERVAL = 0.5  # seconds
SENDING = 5  # seconds; a client that does not read for so long misses a message


class ChangeFeed:
    """The clients of one server, and up to which change they have heard."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._subscribed: dict[Connection, set[str]] = {}
        self._streams: list[list[str]] = []  # what those of the newer era want to hear of
        self._heard: Moment | None = None
        self._looking = anyio.Lock()
        self._looked = -INTERVAL
        self._opened = anyio.Event()
        self.bus = InMemorySubscriptionBus()
        self._stream = ListenHandler(self.bus)

    def serve(self, server: MCPServer[Any]) -> None:
        """Take in the clients of a server that want to hear of changes."""
        low = lowlevel(server)
        low.add_notification_handler("notifications/initialized", NotificationParams, self._join)
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        low.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe
        )
        low.add_request_handler(
            "subscriptions/listen", SubscriptionsListenRequestParams, self._listen
        )

    async def _join(self, ctx: RequestContext, _: object) -> None:
        """Take in a client of the older era, until it leaves."""
        joining = connection(ctx.session)
        if joining.has_standalone_channel and joining not in self._subscribed:
            self._subscribed[joining] = set()
            joining.exit_stack.callback(self._subscribed.pop, joining, None)

    async def _subscribe(self, ctx: RequestContext, params: SubscribeRequestParams) -> EmptyResult:
        await self._join(ctx, params)
        if (uris := self._subscribed.get(connection(ctx.session))) is not None:
            check_addresses(uris | {params.uri})
            uris.add(params.uri)
        await self.begin()
        return EmptyResult()

    async def _unsubscribe(
        self, ctx: RequestContext, params: UnsubscribeRequestParams
    ) -> EmptyResult:
        self._subscribed.get(connection(ctx.session), set()).discard(params.uri)
        return EmptyResult()

    async def _listen(
        self, ctx: RequestContext, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """A stream of the newer era; refused where there are too many, or it wants too much."""
        if len(self._streams) >= MAX_LISTENING:
            raise MCPError(
                INTERNAL_ERROR,
                f"{MAX_LISTENING} streams of changes are open here: close one, or try again later",
            )
        uris = params.notifications.resource_subscriptions or []
        check_addresses(uris)
        self._streams.append(uris)
        self._opened.set()
        try:
            return await self._stream(ctx, params)
        finally:
            self._streams.remove(uris)

    async def begin(self) -> None:
        """Before a client sees or changes anything here: from now on it hears of changes.

        What it searched before the server was loaded (`transports.fast_start`) does not count.
        """
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
        return bool(self._subscribed or self._streams)

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
        touched = {uri for one in found.revisions for uri in touched_by(one)}
        listed = not found.whole or any(map(changes_list, found.revisions))
        async with anyio.create_task_group() as tasks:
            for connection, subscribed in self._subscribed.items():
                updated = sorted(subscribed & touched if found.whole else subscribed)
                tasks.start_soon(_send, connection, listed, updated)
        if listed:
            await self.bus.publish(ResourcesListChanged())
        for uri in sorted(touched if found.whole else {*chain(*self._streams)}):
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
