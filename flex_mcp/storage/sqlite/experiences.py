"""Experiences: their rows, their evidence, and their places in both indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flex_mcp.models import (
    Experience,
    ExperienceFilter,
    Origin,
    Place,
    Projects,
    Sort,
    identity,
)
from flex_mcp.storage.protocol import IndexedText
from flex_mcp.storage.sqlite import search_index, words
from flex_mcp.storage.sqlite.queries import (
    Queries,
    Row,
    Run,
    as_json,
    columns_of,
    filter_row,
    projects_json,
    sound,
    text_row,
    value_of,
)

SORTED = {  # by column, and whether it rises; levels rise from the narrowest
    Sort.NEWEST: ("e.number", False),
    Sort.UPDATED: ("e.updated_at", False),
    Sort.TITLE: ("lower(e.title)", True),
    Sort.DOMAIN: ("coalesce(e.domain, '')", True),
    Sort.ZONE: ("e.zone", True),
    Sort.LEVEL: ("e.level", False),
    Sort.STATUS: ("e.status", True),
    Sort.PRIORITY: ("e.priority", False),
    Sort.SERVED: ("e.served", False),
    Sort.SUCCESSES: ("e.successes", False),
    Sort.FAILURES: ("e.failures", False),
    Sort.HELPFUL: ("e.helpful", False),
    Sort.HARMFUL: ("e.harmful", False),
}
ORIGIN = "origin_"  # begins the names of the columns that hold where an experience comes from


@dataclass(slots=True)
class Experiences:
    """See `storage.protocol.Experiences`."""

    queries: Queries

    def get(self, ids: Sequence[str]) -> list[Experience]:
        rows = self.queries.rows("experiences", ids=as_json(ids)) if ids else ()
        return [experience(row) for row in rows]

    def ids(
        self,
        wanted: ExperienceFilter,
        *,
        sort: Sort = Sort.NEWEST,
        reverse: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[str]:
        by, rises = SORTED[sort]
        way, than = ("ASC", ">") if rises is not reverse else ("DESC", "<")
        words = {"what": "id", "by": by, "way": way, "than": than}
        most = -1 if limit is None else limit
        return self.queries.listed(
            "list_experiences", words, **_wanted_row(wanted), after=after, limit=most
        )

    def count(self, wanted: ExperienceFilter) -> int:
        words = {"what": "count(*)", "by": "number", "way": "ASC", "than": ">"}
        (count,) = self.queries.listed(
            "list_experiences", words, **_wanted_row(wanted), after=None, limit=-1
        )
        return count

    def newest(self, after: Place | None, limit: int, projects: Projects = None) -> list[str]:
        created_at = after and after.created_at.isoformat()
        values = {"created_at": created_at, "id": after and after.id, "limit": limit}
        return self.queries.column("newest", **values, projects=projects_json(projects))

    def approved(self, projects: Projects = None) -> list[str]:
        return self.queries.column("approved", projects=projects_json(projects))

    def evidenced_by(self, trajectory_ids: Sequence[str]) -> list[str]:
        return self.queries.column("evidenced_by", trajectory_ids=as_json(trajectory_ids))

    def identical(self, fingerprint: str) -> list[str]:
        return self.queries.column("identical", fingerprint=fingerprint)

    def put(
        self,
        value: Experience,
        vectors: Sequence[bytes] | None,
        text: IndexedText | None,
    ) -> None:
        run = self.queries.tuples
        self.queries.touch(value.id)
        (number,) = self.queries.column("put_experience", **experience_row(value))
        run("clear_evidence", id=value.id)
        for place, trajectory_id in enumerate(value.evidence):
            run("add_evidence", id=value.id, place=place, trajectory_id=trajectory_id)
        words.put(run, number, value.status, text)
        search_index.put(run, number, value, vectors)


def _wanted_row(wanted: ExperienceFilter) -> dict[str, Any]:
    chosen = {
        "statuses": None if wanted.statuses is None else as_json(sorted(wanted.statuses)),
        "since": wanted.since and wanted.since.isoformat(),
    }
    return filter_row(wanted) | chosen | text_row(wanted.text)


@sound
def experience(row: Row) -> Experience:
    origin = {name.removeprefix(ORIGIN): row[name] for name in row if name.startswith(ORIGIN)}
    return value_of(Experience, row, origin=value_of(Origin, origin))


def experience_row(value: Experience) -> dict[str, Any]:
    origin = {ORIGIN + name: content for name, content in columns_of(value.origin).items()}
    return columns_of(value, fingerprint=value.fingerprint, **origin)


def renew_fingerprints(run: Run) -> None:
    """Make anew what tells identical experiences, of the texts that are there."""
    for number, *texts in list(run("identities")):
        run("set_fingerprint", number=number, fingerprint=identity(*texts))
