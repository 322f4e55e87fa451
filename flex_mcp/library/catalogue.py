"""The catalogue: what a library holds, page by page, and what has changed in it."""

from collections.abc import Callable

from flex_mcp.models import Changes, Experience, Place
from flex_mcp.store import Reading, Store

MANY = 1_000  # changes at once that are not looked at one by one


class Catalogue:
    """Reads a library as a list; each verb is one snapshot."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, after: Place | None, limit: int) -> list[Experience]:
        """The active experiences after a place, newest first.

        A place is that of an experience, so what others add or retire between two pages moves
        nothing: no experience comes twice, and none is left out.
        """
        with self._store.reading() as reading:
            return reading.experiences(reading.newest(after, limit))

    def experience_ids(self, start: str, limit: int) -> list[str]:
        """The first ids of active experiences that begin so."""
        return self._read(lambda reading: reading.experience_ids_from(start, limit))

    def trajectory_ids(self, start: str, limit: int) -> list[str]:
        """The first ids of trajectories that begin so."""
        return self._read(lambda reading: reading.trajectory_ids_from(start, limit))

    def domains(self, start: str, limit: int) -> list[str]:
        """The first domains of active experiences that begin so."""
        return self._read(lambda reading: reading.domains_from(start, limit))

    def approved(self) -> list[Experience]:
        """The active golden experiences whose text is still the one that was approved."""
        with self._store.reading() as reading:
            return reading.experiences(reading.approved())

    def last_change(self) -> int:
        """The number of the last change; 0 in a library that never changed."""
        with self._store.reading() as reading:
            return reading.last_change()

    def changes(self, since: int) -> Changes:
        """What happened after the change of that number, by whatever process."""
        with self._store.reading() as reading:
            last = reading.last_change()
            if last <= since:
                return Changes(last, (), whole=last == since)
            found = reading.changes(since, MANY + 1)
        return Changes(last, found[:MANY], whole=len(found) <= MANY)

    def _read(self, read: Callable[[Reading], list[str]]) -> list[str]:
        with self._store.reading() as reading:
            return read(reading)
