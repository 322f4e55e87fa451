"""The log of what was served, written behind the search so that no search waits for the file."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from flex_mcp.errors import BusyLibraryError, FlexError, InputError
from flex_mcp.models import Outcome, Retrieval

DELAY = 0.25  # seconds until a retrieval is written, unless a transaction takes it along first
MOST = 1_000  # retrievals that wait while the file is busy; beyond, the oldest are lost


class RetrievalLog:
    """Retrievals on their way to the file.

    `write` makes a transaction, which takes what waits along. `refusal` is why the file takes none
    at present; each further search tries again.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._waiting: list[Retrieval] = []
        self._lock = threading.Lock()
        self._flushing = threading.Lock()  # close waits for a flush that is under way
        self._timer: threading.Timer | None = None
        self.refusal: str | None = None

    def hand_over(self, retrieval: Retrieval) -> None:
        with self._lock:
            self._waiting = [*self._waiting[-MOST + 1 :], retrieval]
            self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(DELAY, self.flush)
            self._timer.daemon = True
            self._timer.start()

    def take(self) -> list[Retrieval]:
        """The waiting retrievals, for the transaction that is open."""
        with self._lock:
            taken, self._waiting = self._waiting, []
            return taken

    def put_back(self, retrievals: Sequence[Retrieval]) -> None:
        """Those of a transaction that failed."""
        with self._lock:
            self._waiting = [*retrievals, *self._waiting]
            if self._waiting:
                self._arm()

    def flush(self) -> None:
        """Write what waits, now; one that is under way is waited for."""
        with self._flushing:
            with self._lock:
                self._timer = None
                if not self._waiting:
                    return
            try:
                self._write()
            except BusyLibraryError:
                with self._lock:
                    self._arm()  # another process writes for long: try again
            except FlexError as error:
                self.take()  # these are lost, and the next answers say so
                self.refusal = str(error)
            else:
                self.refusal = None

    def close(self) -> None:
        with self._lock:
            timer = self._timer
        if timer is not None:
            timer.cancel()
        self.flush()
        self.take()
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def check_named(
    retrievals: Sequence[Retrieval], helpful: Sequence[str], harmful: Sequence[str]
) -> None:
    """Find out whether what is named helpful or harmful was served.

    Raises:
        InputError: one that is named was not served, or is named both ways.
    """
    served = list(dict.fromkeys(id_ for one in retrievals for id_ in one.served))
    if strangers := [id_ for id_ in (*helpful, *harmful) if id_ not in served]:
        named = ", ".join(dict.fromkeys(strangers))
        if not retrievals:
            raise InputError(f"no search of it served {named}: leave that out")
        which = ", ".join(one.id for one in retrievals)
        raise InputError(
            f"{which} did not serve {named}; it served {', '.join(served) or 'nothing'}"
        )
    if both := sorted(set(helpful) & set(harmful)):
        raise InputError(f"{', '.join(both)} cannot be both helpful and harmful")


def credited(retrieval: Retrieval, outcome: Outcome, named: Mapping[str, int]) -> dict[str, int]:
    """What an outcome counts for each experience served: 1 a success, -1 a failure.

    Where any is `named` helpful (1) or harmful (-1), only these count.
    """
    match outcome:
        case Outcome.PARTIAL | Outcome.UNKNOWN:
            return {}
        case Outcome.SUCCESS | Outcome.FAILURE if named:
            return dict(named)
        case Outcome.SUCCESS:
            return dict.fromkeys(retrieval.served, 1)
        case Outcome.FAILURE:
            return dict.fromkeys(retrieval.served, -1)
        case _:
            assert_never(outcome)
