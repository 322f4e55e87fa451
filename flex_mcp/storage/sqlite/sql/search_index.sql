-- Statements of the search index: vectors in sqlite-vec's vec0, and which experience each is of.
-- vec0 holds level and zone by their places in search_index.py. An experience that is not active,
-- and a vector of zeros, which has no direction, are never near: active = 0.

-- name: vectors_made_by
SELECT value FROM meta WHERE name = 'vectors';

-- name: create_vectors
-- $dimension is a whole number of ours; DDL takes no bound parameters. By the default chunk_size of
-- 1024 rows a library of three lessons would take megabytes.
CREATE VIRTUAL TABLE vectors USING vec0 (
    chunk INTEGER PRIMARY KEY,
    active INTEGER,
    zone INTEGER,
    level INTEGER,
    embedding FLOAT[$dimension] DISTANCE_METRIC = cosine,
    chunk_size = 64
);

-- name: drop_vectors
DROP TABLE IF EXISTS vectors;

-- name: vectors_table
SELECT 1 FROM sqlite_schema WHERE name = 'vectors';

-- name: index_state
-- The last change, the last chunk, and what tells one building of the table from another.
SELECT
    coalesce((SELECT max(change) FROM chunks), 0),
    coalesce((SELECT max(chunk) FROM chunks), 0),
    (SELECT value FROM meta WHERE name = 'epoch'),
    (SELECT value FROM meta WHERE name = 'vectors_built');

-- name: nearest
SELECT c.experience, 1 - v.distance
FROM (SELECT chunk, distance FROM vectors
       WHERE embedding MATCH :vector AND k = :k AND active = 1
         AND level IN (SELECT value FROM json_each(:levels))
         AND zone IN (SELECT value FROM json_each(:zones))) AS v
JOIN chunks c ON c.chunk = v.chunk
ORDER BY v.distance, c.experience;

-- name: has_projects
SELECT EXISTS (SELECT 1 FROM experiences WHERE project IS NOT NULL);

-- name: nearest_among
SELECT c.experience, 1 - v.distance
FROM (SELECT chunk, distance FROM vectors
       WHERE embedding MATCH :vector AND k = :k AND active = 1
         AND level IN (SELECT value FROM json_each(:levels))
         AND zone IN (SELECT value FROM json_each(:zones))
         AND chunk IN (
            SELECT c.chunk FROM chunks c JOIN experiences e ON e.number = c.experience
            WHERE (:domain IS NULL OR e.domain = :domain
                   OR (e.domain >= :domain || '/' AND e.domain < :domain || '0'))
              AND (:projects IS NULL
                   OR coalesce(e.project, '') IN (SELECT value FROM json_each(:projects))))) AS v
JOIN chunks c ON c.chunk = v.chunk
ORDER BY v.distance, c.experience;

-- name: candidates
-- As this snapshot has them: what proposed them may be newer.
SELECT number, id FROM experiences e
WHERE number IN (SELECT value FROM json_each(:numbers)) AND status = 'active'
  AND (:zones IS NULL OR zone IN (SELECT value FROM json_each(:zones)))
  AND (:levels IS NULL OR level IN (SELECT value FROM json_each(:levels)))
  AND (:domain IS NULL OR domain = :domain
       OR (domain >= :domain || '/' AND domain < :domain || '0'))
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)));

-- name: changed_vectors
SELECT c.chunk, c.change, coalesce(e.number, 0), e.status, e.zone, e.level, e.domain, e.project, v.embedding
FROM chunks c JOIN vectors v ON v.chunk = c.chunk
LEFT JOIN experiences e ON e.number = c.experience
WHERE c.change > :since ORDER BY c.change;

-- name: vectors
SELECT e.id, v.embedding FROM json_each(:ids) AS wanted
JOIN experiences e ON e.id = wanted.value
JOIN chunks c ON c.experience = e.number JOIN vectors v ON v.chunk = c.chunk
ORDER BY wanted.key, c.chunk;

-- name: chunks_of
SELECT chunk FROM chunks WHERE experience = :number ORDER BY chunk;

-- name: add_chunk
INSERT INTO chunks (experience, change)
VALUES (:number, (SELECT coalesce(max(change), 0) + 1 FROM chunks)) RETURNING chunk;

-- name: touch_chunk
UPDATE chunks SET experience = :number,
    change = (SELECT max(change) + 1 FROM chunks) WHERE chunk = :chunk;

-- name: add_vector
INSERT INTO vectors (chunk, active, zone, level, embedding)
VALUES (:chunk, :active, :zone, :level, :vector);

-- name: set_vector
-- In place: vec0 never uses the room of a deleted row again.
UPDATE vectors SET active = :active, zone = :zone, level = :level, embedding = :vector
WHERE chunk = :chunk;

-- name: clear_vector
UPDATE vectors SET active = 0, embedding = zeroblob(length(embedding)) WHERE chunk = :chunk;

-- name: clear_chunks
DELETE FROM chunks;

-- name: put_chunk
INSERT INTO chunks (chunk, experience, change) VALUES (:chunk, :number, :chunk);

-- name: kept_vectors
SELECT e.number, e.status, e.zone, e.level, v.embedding
FROM chunks c JOIN vectors v ON v.chunk = c.chunk JOIN experiences e ON e.number = c.experience
ORDER BY c.chunk;

-- name: staged_vectors
SELECT e.number, e.status, e.zone, e.level, s.vector
FROM staged s JOIN experiences e ON e.number = s.experience ORDER BY s.chunk;

-- name: carried_vectors
SELECT e.number, e.status, e.zone, e.level, c.vector
FROM carried c JOIN experiences e ON e.number = c.experience ORDER BY c.chunk;

-- name: drop_carried
DROP TABLE carried;

-- name: staged_halves
SELECT chunk, vector FROM staged;

-- name: set_staged
UPDATE staged SET vector = :vector WHERE chunk = :chunk;

-- name: all_chunks
SELECT chunk, experience FROM chunks WHERE experience IS NOT NULL ORDER BY chunk;

-- name: places
SELECT number, status, zone, level FROM experiences;

-- name: old_vectors
-- Of a schema before 7.
SELECT experience, vector FROM embeddings ORDER BY chunk;

-- name: expected_vectors
SELECT c.chunk, e.status, e.zone, e.level FROM chunks c JOIN experiences e ON e.number = c.experience;

-- name: indexed_vectors
SELECT chunk, active, zone, level, embedding FROM vectors;

-- name: vector
SELECT embedding FROM vectors WHERE chunk = :chunk;

-- name: count_chunks
SELECT count(*) FROM chunks;

-- name: count_unembedded
SELECT count(*) FROM experiences e
WHERE status = 'active' AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.experience = e.number);
