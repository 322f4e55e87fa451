"""One snapshot of a library file."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import apsw

from flex_mcp.models import (
    Brief,
    Experience,
    Filter,
    Outcome,
    Place,
    RecordedTrajectory,
    Retrieval,
    Revision,
    Road,
    Statistics,
    Status,
    Vectors,
    Write,
)
from flex_mcp.models.briefs import Turn
from flex_mcp.storage.protocol import Entry, EntryPart, Scored, Standing, Term
from flex_mcp.storage.sqlite import rows, search_index
from flex_mcp.storage.sqlite.file import QUERIES, runner
from flex_mcp.storage.sqlite.search_index import SearchIndex

if TYPE_CHECKING:
    from flex_mcp.models.forgetting import Held, Kind

TOKENIZER = "porter", ["unicode61"]  # as the words table has it
NAMED = 20  # ids of what it touched that a write names


class SqliteReading:
    """See `flex_mcp.storage.protocol.Reading`."""

    def __init__(self, connection: apsw.Connection, index: SearchIndex) -> None:
        self._connection = connection
        self._index = index
        self._tuples = runner(connection)

    def _run(self, query: str, /, **values: Any) -> list[dict[str, Any]]:
        cursor = self._connection.execute(QUERIES[query], values)
        if (first := next(cursor, None)) is None:
            return []
        names = [column[0] for column in cursor.get_description()]
        return [dict(zip(names, row, strict=True)) for row in (first, *cursor)]

    def _one(self, query: str, /, **values: Any) -> dict[str, Any] | None:
        found = self._run(query, **values)
        return found[0] if found else None

    def vectors_made_by(self) -> Vectors | None:
        found = self._one("vectors_made_by")
        return rows.vectors_of(found["value"]) if found else None

    def setting(self, name: str) -> str | None:
        found = self._one("setting", name=name)
        return found["value"] if found else None

    def experiences(self, ids: Sequence[str]) -> list[Experience]:
        return [rows.experience(row) for row in self._run("experiences", ids=rows.as_json(ids))]

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        return [rows.standing(row) for row in self._tuples("standings", ids=rows.as_json(ids))]

    def experience_ids(
        self, wanted: Filter, *, statuses: Iterable[Status] = (), limit: int | None = None
    ) -> list[str]:
        chosen = sorted(statuses)
        found = self._run(
            "experience_ids",
            **rows.filter_row(wanted),
            statuses=rows.as_json(chosen) if chosen else None,
            limit=-1 if limit is None else limit,
        )
        return [row["id"] for row in found]

    def newest(self, after: Place | None, limit: int) -> list[str]:
        created_at = after and after.created_at.isoformat()
        found = self._run("newest", created_at=created_at, id=after and after.id, limit=limit)
        return [row["id"] for row in found]

    def experience_ids_from(self, start: str, limit: int) -> list[str]:
        return [row["value"] for row in self._run("experience_ids_from", start=start, limit=limit)]

    def trajectory_ids_from(self, start: str, limit: int) -> list[str]:
        return [row["value"] for row in self._run("trajectory_ids_from", start=start, limit=limit)]

    def domains_from(self, start: str, limit: int) -> list[str]:
        return [row["value"] for row in self._run("domains_from", start=start, limit=limit)]

    def approved(self) -> list[str]:
        return [row["id"] for row in self._run("approved")]

    def last_change(self) -> int:
        return self._run("last_change")[0]["number"]

    def changes(self, since: int, limit: int) -> list[Revision]:
        return [rows.revision(row) for row in self._run("changes", since=since, limit=limit)]

    def evidenced_by(self, trajectory_ids: Sequence[str]) -> list[str]:
        found = self._run("evidenced_by", trajectory_ids=rows.as_json(trajectory_ids))
        return [row["experience_id"] for row in found]

    def identical(self, fingerprint: str) -> str | None:
        found = self._one("identical", fingerprint=fingerprint)
        return found["id"] if found else None

    def revisions(self, experience_id: str) -> list[Revision]:
        found = self._run("revisions", experience_id=experience_id)
        return [rows.revision(row) for row in found]

    def last_revisions(self, limit: int) -> list[Revision]:
        return [rows.revision(row) for row in self._run("last_revisions", limit=limit)]

    def last_writes(self, limit: int, about: str | None = None) -> list[Write]:
        return [rows.write(row) for row in self._run("last_writes", limit=limit, about=about)]

    def holds(self, id_: str) -> bool:
        return self._one("known_since", id=id_) is not None

    def long_writes(self, limit: int, about: str) -> list[Write]:
        if (known := self._one("known_since", id=about)) is None:
            return []
        found = self._run(
            "long_writes", limit=limit, about=about, named=NAMED, since=known["since"]
        )
        return [rows.write(row) for row in found]

    def trajectories(self, ids: Sequence[str]) -> list[RecordedTrajectory]:
        return [rows.trajectory(row) for row in self._run("trajectories", ids=rows.as_json(ids))]

    def trajectory_ids(self) -> list[str]:
        return [row["id"] for row in self._run("trajectory_ids")]

    def trajectory_by_key(self, key: str) -> tuple[str, str] | None:
        found = self._one("trajectory_by_key", key=key)
        return (found["id"], found["content_hash"]) if found else None

    def pending(
        self,
        now: datetime,
        *,
        limit: int | None = None,
        like: str | None = None,
        skip: Iterable[str] = (),
    ) -> list[str]:
        found = self._run(
            "pending" if like is None else "pending_of_task",
            now=now.isoformat(),
            limit=-1 if limit is None else limit,
            skip=rows.as_json(skip),
            **({} if like is None else {"id": like}),
        )
        return [row["id"] for row in found]

    def count_pending(self, now: datetime) -> int:
        return self._run("count_pending", now=now.isoformat())[0]["count"]

    def claims(self, road: Road | None, now: datetime) -> tuple[int, datetime | None]:
        found = self._run("claims", road=road and str(road), now=now.isoformat())[0]
        until = found["until"]
        return found["count"], datetime.fromisoformat(until) if until else None

    def claimed(self, ids: Sequence[str], now: datetime) -> dict[str, str]:
        found = self._run("claimed", ids=rows.as_json(ids), now=now.isoformat())
        return {row["trajectory_id"]: row["brief_id"] for row in found}

    def brief(self, brief_id: str) -> Brief | None:
        found = self._one("brief", id=brief_id)
        return rows.brief(found) if found else None

    def turns(self, brief_id: str) -> list[Turn]:
        found = (rows.turn(row) for row in self._run("turns", id=brief_id))
        return [turn for turn in found if turn]

    def cost(self, brief_id: str) -> tuple[int | None, str | None]:
        found = self._run("cost", id=brief_id)[0]
        return found["tokens"], found["model"]

    def batches(self, now: datetime) -> dict[str, list[str]]:
        found = self._run("batches", now=now.isoformat())
        return {row["batch"]: json.loads(row["brief_ids"]) for row in found}

    def independent(self, trajectory_ids: Sequence[str]) -> int:
        return self._run("independent", ids=rows.as_json(trajectory_ids))[0]["count"]

    def retrieval(self, retrieval_id: str) -> Retrieval | None:
        found = self._one("retrieval", id=retrieval_id)
        if found is None:
            return None
        hits = self._run("retrieval_hits", id=retrieval_id)
        return Retrieval(
            id=found["id"],
            query=found["query"],
            at=datetime.fromisoformat(found["at"]),
            client=found["client"],
            served=tuple(hit["experience_id"] for hit in hits),
            scores=tuple(hit["score"] for hit in hits),
            credits=tuple(hit["credit"] for hit in hits),
            outcome=Outcome(found["outcome"]) if found["outcome"] else None,
        )

    def retrieval_ids(self) -> list[str]:
        return [row["id"] for row in self._run("retrieval_ids")]

    def nearest(self, vector: bytes, *, depth: int, wanted: Filter) -> list[Scored]:
        if self.vectors_made_by() is None:
            return []
        with search_index.sound_vectors():
            return self._nearest(self._tuples, vector, depth, wanted)

    def _nearest(
        self, run: search_index.Run, vector: bytes, depth: int, wanted: Filter
    ) -> list[Scored]:
        return self._index.nearest(run, vector, depth, wanted)

    def matching(self, words: Sequence[str], *, depth: int, wanted: Filter) -> list[Scored]:
        if not words:
            return []
        expression = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
        found = cast("list[tuple[int, float]]", list(self._tuples("matching", words=expression)))
        return search_index.placed(self._tuples, found, depth, wanted, in_order=True)

    def terms(self, text: str) -> list[Term]:
        words: dict[str, str] = {}
        for word, stem in self._tokens(text):
            words.setdefault(stem, word)
        counts = self._index.documents(self._tuples, list(words))
        return [Term(word, stem, counts.get(stem, 0)) for stem, word in words.items()]

    def stems(self, text: str) -> frozenset[str]:
        return frozenset(stem for _, stem in self._tokens(text))

    def _tokens(self, text: str) -> Iterable[tuple[str, str]]:
        """The words of a text with their stems, by the tokenizer of the words table itself."""
        encoded = text.encode()
        tokenizer = self._connection.fts5_tokenizer(*TOKENIZER)
        found = tokenizer(encoded, apsw.FTS5_TOKENIZE_QUERY, None, include_colocated=False)
        tokens = cast("list[tuple[int, int, str]]", found)  # without colocated ones
        return ((encoded[start:end].decode(), stem) for start, end, stem in tokens)

    def vectors(self, ids: Sequence[str]) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        if self.vectors_made_by() is None:
            return found
        with search_index.sound_vectors():
            for id_, vector in self._tuples("vectors", ids=rows.as_json(ids)):
                found.setdefault(id_, []).append(vector)
        return found

    def tokens(self, ids: Sequence[str], version: str) -> dict[str, bytes]:
        return dict(self._tuples("tokens", ids=rows.as_json(ids), version=version))

    def active(self) -> int:
        return int(next(self._tuples("active"))[0])

    def entries(self) -> list[Entry]:
        parts: dict[int, list[EntryPart]] = {}
        for row in self._run("entry_parts"):
            part = EntryPart(row["kind"], row["identity"], row["experience_id"])
            parts.setdefault(row["entry"], []).append(part)
        return [
            Entry(row["identity"], row["zone"], row["json"], tuple(parts.get(row["number"], ())))
            for row in self._run("entries")
        ]

    def part(self, identity: str) -> str | None:
        found = self._one("part", identity=identity)
        return found["experience_id"] if found else None

    def held(self, kind: "Kind") -> "Iterator[Held]":
        from flex_mcp.storage.sqlite import forgetting  # late: few processes forget

        return forgetting.held(self._tuples, kind)

    def naming(self, kind: "Kind", ids: Collection[str]) -> set[str]:
        from flex_mcp.storage.sqlite import forgetting  # late: as above

        return forgetting.naming(self._tuples, kind, ids)

    def linked(self, kind: "Kind", ids: Collection[str]) -> set[str]:
        return {row["id"] for row in self._run(f"linked_{kind}", ids=rows.as_json(ids))}

    def unembedded(self, limit: int, after: str | None = None) -> list[Experience]:
        found = self._run("unembedded", limit=limit, after=after)
        return self.experiences([row["id"] for row in found])

    def unstaged(self) -> int:
        return self._run("unstaged")[0]["count"]

    def statistics(self) -> Statistics:
        counts: dict[str, dict[str, int]] = {}
        for row in self._run("count_by"):
            counts.setdefault(row["what"], {})[row["name"]] = row["count"]
        last = self.last_revisions(1)
        return Statistics(
            library_id=self.setting("library_id") or "",
            schema_version=int(self._connection.pragma("user_version")),
            vectors=self.vectors_made_by(),
            experiences=sum(counts.get("status", {}).values()),
            by_status=counts.get("status", {}),
            by_zone=counts.get("zone", {}),
            by_level=counts.get("level", {}),
            by_domain=counts.get("domain", {}),
            trajectories=sum(counts.get("state", {}).values()),
            by_state=counts.get("state", {}),
            retrievals=counts["retrievals"][""],
            revisions=counts["revisions"][""],
            last_change=last[0].at if last else None,
            spent=tuple(rows.spent(row) for row in self._run("spent")),
            held=search_index.memory_bytes(self._tuples),
        )


def staging_name(vectors: Vectors) -> str:
    return f"{vectors.embedder} {vectors.version} {vectors.dimension}"
