"""The catalogue: what a library holds, page by page, and what has changed in it."""

from collections.abc import Collection
from dataclasses import replace

from flex_mcp.library import domains
from flex_mcp.models import (
    Changes,
    Experience,
    Filter,
    Moment,
    Place,
    Projects,
    clean_domain,
    clean_project,
)
from flex_mcp.storage.protocol import EPOCH, Completable, Store, Transaction

MANY = 1_000  # changes at once that are not looked at one by one; projects that are compared


class Catalogue:
    """Reads a library as a list; each verb is one snapshot."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, after: Place | None, limit: int, projects: Projects = None) -> list[Experience]:
        """The active experiences after a place, newest first.

        A place is that of an experience, so what others add or retire between two pages moves
        nothing: no experience comes twice, and none is left out.
        """
        with self._store.reading() as reading:
            return reading.experiences.get(reading.experiences.newest(after, limit, projects))

    def complete(
        self, what: Completable, start: str, limit: int, projects: Projects = None
    ) -> list[str]:
        """The first of these that begin so: of what is active; `ids` and `projects` of all."""
        with self._store.reading() as reading:
            return reading.complete(what, start, limit, projects)

    def missing_domain(self, wanted: Filter) -> str | None:
        """What to say of the filter's domain where nothing in it is active, else None.

        The sentence names those that there are, near ones first.
        """
        if (path := clean_domain(wanted.domain)) is None:
            return None
        with self._store.reading() as reading:
            return domains.missing(reading, replace(wanted, domain=path))

    def missing_project(self, name: str | None) -> str | None:
        """What to say of a project of which nothing is here, else None."""
        wanted = clean_project(name)
        with self._store.reading() as reading:
            known = reading.complete("projects", "", MANY)
        if wanted is None or wanted in known:
            return None
        instead = domains.among(wanted, known, "nothing here is of any project")
        return f"nothing here is of project {instead}"

    def most_used_domains(self, limit: int, projects: Projects = None) -> list[str]:
        """The domains of active experiences, those of the most first."""
        with self._store.reading() as reading:
            return reading.domains.most_used(Filter(projects=projects), limit)

    def names(self, ids: Collection[str], projects: Projects = None) -> dict[str, str]:
        """By what a person knows them: titles and tasks of these projects, and searches."""
        with self._store.reading() as reading:
            return reading.log.names(ids, projects)

    def approved(self, projects: Projects = None) -> list[Experience]:
        """The active golden experiences whose text is still the one that was approved."""
        with self._store.reading() as reading:
            return reading.experiences.get(reading.experiences.approved(projects))

    def last_change(self) -> Moment:
        """The moment of the last change."""
        with self._store.reading() as reading:
            return _last(reading)

    def changes(self, since: Moment) -> Changes:
        """What happened after that moment, by whatever process."""
        with self._store.reading() as reading:
            last = _last(reading)
            if last.epoch != since.epoch or last.number <= since.number:
                return Changes(last, (), whole=last == since)
            found = reading.history.since(since.number, MANY + 1)
        return Changes(last, found[:MANY], whole=len(found) <= MANY)


def _last(reading: Transaction) -> Moment:
    return Moment(reading.settings.get(EPOCH), reading.history.number())
