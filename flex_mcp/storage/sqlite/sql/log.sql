-- Statements of the log of writes.

-- name: last_writes
SELECT * FROM writes
WHERE (:about IS NULL OR :about IN (SELECT value FROM json_each(ids)))
  AND verb NOT IN (SELECT value FROM json_each(:without))
ORDER BY number DESC LIMIT :limit;

-- name: long_writes
-- Those that may have touched an id without naming it, since there is this id.
SELECT * FROM writes
WHERE touched > :named AND julianday(at) >= julianday(:since)
  AND :about NOT IN (SELECT value FROM json_each(ids))
ORDER BY number DESC LIMIT :limit;

-- name: known_since
SELECT created_at AS since FROM experiences WHERE id = :id
UNION ALL SELECT recorded_at FROM trajectories WHERE id = :id
UNION ALL SELECT at FROM retrievals WHERE id = :id
UNION ALL SELECT created_at FROM briefs WHERE id = :id;

-- name: names
-- What a person knows them by.
SELECT id, title AS name FROM experiences WHERE id IN (SELECT value FROM json_each(:ids))
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
UNION ALL SELECT id, task FROM trajectories WHERE id IN (SELECT value FROM json_each(:ids))
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
UNION ALL SELECT id, query FROM retrievals WHERE id IN (SELECT value FROM json_each(:ids));

-- name: add_write
INSERT INTO writes (at, client, process, verb, ids, touched)
VALUES (:at, :client, :process, :verb, :ids, :touched) RETURNING number;

-- name: drop_writes
DELETE FROM writes WHERE number <= :last;
