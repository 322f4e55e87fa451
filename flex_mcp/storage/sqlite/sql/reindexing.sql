-- Statements of reindexing: vectors put aside.

-- name: unstaged
SELECT e.id FROM experiences e
WHERE e.number > coalesce((SELECT number FROM experiences WHERE id = :after), 0)
  AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.experience = e.number AND s.revision = e.revision)
ORDER BY e.number LIMIT :limit;

-- name: count_unstaged
SELECT count(*) AS count FROM experiences e
WHERE NOT EXISTS (SELECT 1 FROM staged s WHERE s.experience = e.number AND s.revision = e.revision);

-- name: clear_staged
DELETE FROM staged;

-- name: clear_staged_experience
DELETE FROM staged WHERE experience = (SELECT number FROM experiences WHERE id = :id);

-- name: add_staged
INSERT INTO staged (experience, revision, vector)
SELECT number, :revision, :vector FROM experiences WHERE id = :id;
