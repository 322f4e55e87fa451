"""Sessions of the page, in memory alone: the keys that open one, and what each may do."""

import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flex_mcp.errors import InputError
from flex_mcp.settings import Access, Token

KEY_SECONDS = 10 * 60  # for which a key can be used, once
IDLE_SECONDS = 12 * 60 * 60  # after which a session that nobody uses ends
TRIES, TRY_SECONDS = 10, 60  # keys and tokens that may be tried, in so many seconds
MOST = 1_000  # sessions at once; the one that was idle longest makes room


@dataclass(slots=True)
class Session:
    """A browser that was let in: `name` stands in the log, `csrf` in each of its forms.

    `notices` are what the next page says first.
    """

    id: str
    csrf: str
    name: str
    access: Access
    last: float
    notices: list["Notice"] = field(default_factory=list["Notice"])

    @property
    def writes(self) -> bool:
        """Whether it may change lessons."""
        return self.access is not Access.READ

    @property
    def curates(self) -> bool:
        """Whether it may also approve and forget."""
        return self.access is Access.CURATE


@dataclass(frozen=True, slots=True)
class Notice:
    """What was done, in a sentence; the form `undo`, sent to an address, takes it back."""

    text: str
    to: str = ""
    undo: Mapping[str, object] | None = None
    is_error: bool = False


class Sessions:
    """Who is let in.

    Args:
        by_token: the token that a text is; None where there are none, and keys are used.
        access: what a key allows.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        *,
        by_token: Callable[[bytes], Token | None] | None = None,
        access: Access = Access.WRITE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._by_token = by_token
        self._access = access
        self._clock = clock
        self._keys: dict[str, float] = {}
        self._sessions: dict[str, Session] = {}
        self._tries: deque[float] = deque(maxlen=TRIES)

    @property
    def takes_tokens(self) -> bool:
        return self._by_token is not None

    def new_key(self) -> str:
        """A key that opens one session."""
        key = secrets.token_urlsafe(24)
        self._keys[key] = self._clock()
        return key

    def open(self, given: str) -> Session | None:
        """The session that a key or token opens; None where it opens none.

        Raises:
            InputError: too many were tried.
        """
        now = self._clock()
        if len(self._tries) == TRIES and now - self._tries[0] < TRY_SECONDS:
            raise InputError(f"{TRIES} keys were tried within a minute: wait a minute, try again")
        token = self._by_token(given.encode()) if self._by_token else self._use(given, now)
        if token is None:
            self._tries.append(now)
            return None
        session = Session(
            id=secrets.token_urlsafe(32),
            csrf=secrets.token_urlsafe(32),
            name=f"web ({token.name})" if token.name else "web",
            access=token.access,
            last=now,
        )
        if len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda id_: self._sessions[id_].last)]
        self._sessions[session.id] = session
        return session

    def _use(self, key: str, now: float) -> Token | None:
        given = key.encode()
        known = next((one for one in self._keys if hmac.compare_digest(one.encode(), given)), None)
        if known is None or now - self._keys.pop(known) >= KEY_SECONDS:
            return None
        return Token(token=known, access=self._access)

    def get(self, id_: str) -> Session | None:
        """The session of a cookie, unless it ended."""
        session, now = self._sessions.get(id_), self._clock()
        if session is None or now - session.last > IDLE_SECONDS:
            self._sessions.pop(id_, None)
            return None
        session.last = now
        return session

    def close(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
