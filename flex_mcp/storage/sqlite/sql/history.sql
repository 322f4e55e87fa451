-- Statements of the history: revisions of experiences.

-- name: revisions
SELECT * FROM revisions WHERE experience_id = :experience_id ORDER BY revision;

-- name: last_revision_number
SELECT coalesce(max(number), 0) AS number FROM revisions;

-- name: revisions_since
SELECT * FROM revisions WHERE number > :number ORDER BY number LIMIT :limit;

-- name: last_revisions
SELECT * FROM revisions ORDER BY number DESC LIMIT :limit;

-- name: add_revision
INSERT INTO revisions (experience_id, revision, kind, before, after, actor, at, reason,
    trajectory_id, origin)
VALUES (:experience_id, :revision, :kind, :before, :after, :actor, :at, :reason, :trajectory_id,
    :origin);

-- name: drop_revisions
DELETE FROM revisions WHERE experience_id = :id AND revision < :revision;
