"""Sessions: which searches are of one stretch of work, as far as this process can see it."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flex_mcp.models import new_id

PAUSE = timedelta(minutes=30)  # between two searches of a block, at most
LONGEST = timedelta(hours=12)  # a block
RECENT = timedelta(hours=2)  # for which a record without names of searches looks back
MOST = 1_000  # sessions that are known, and searches of one


@dataclass(slots=True)
class Session:
    """One client's connection: its open block, and what it searched last."""

    block: str
    began: datetime
    searched: list[tuple[datetime, str]] = field(default_factory=list[tuple[datetime, str]])


class Sessions:
    """The sessions of a process.

    A block is the searches of one session with less than half an hour between two, twelve hours at
    most: somebody's stretch of work. A search of no session is a block of its own.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._told: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def searched(self, name: str | None, retrieval_id: str, now: datetime) -> str:
        """Note a search; returns its block."""
        if name is None:
            return new_id("k")
        with self._lock:
            one = self._known.get(name)
            if one is None or now - one.searched[-1][0] >= PAUSE or now - one.began >= LONGEST:
                before = one.searched if one else []
                one = Session(new_id("k"), now, before)
            one.searched = [*one.searched[-MOST + 1 :], (now, retrieval_id)]
            self._known[name] = one
            self._known.move_to_end(name)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
            return one.block

    def was_told(self, name: str) -> bool:
        """Whether a session was told what waits."""
        return name in self._told

    def tell(self, name: str) -> None:
        """Note that a session was told."""
        with self._lock:
            self._told[name] = None
            while len(self._told) > MOST:
                self._told.popitem(last=False)

    def block(self, name: str | None, now: datetime) -> str | None:
        """The block of a session that searched in the last two hours."""
        with self._lock:
            one = self._known.get(name or "")
            return one.block if one and now - one.searched[-1][0] < RECENT else None

    def recent(self, name: str | None, now: datetime) -> list[str]:
        """A session's retrievals of the last two hours, oldest first."""
        with self._lock:
            one = self._known.get(name or "")
            return [id_ for at, id_ in one.searched if now - at < RECENT] if one else []
