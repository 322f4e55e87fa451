-- Statements of the history: revisions of experiences.

-- name: revisions
SELECT * FROM revisions WHERE experience_id = :experience_id ORDER BY revision;

-- name: last_revision_number
SELECT coalesce(max(number), 0) AS number FROM revisions;

-- name: revisions_since
SELECT * FROM revisions WHERE number > :number ORDER BY number LIMIT :limit;

-- name: last_revisions
SELECT * FROM revisions r
WHERE :projects IS NULL OR EXISTS (
    SELECT 1 FROM experiences e WHERE e.id = r.experience_id
      AND coalesce(e.project, '') IN (SELECT value FROM json_each(:projects)))
ORDER BY number DESC LIMIT :limit;

-- name: merged_with
-- The two revisions of a merge are of one moment: what stays was merged, what went is superseded.
-- Neither comes from a lesson that was placed.
SELECT * FROM revisions
WHERE at = :at AND actor = :actor AND origin IS NULL AND trajectory_id IS NULL
  AND (:kind = 'merge' AND kind = 'supersede' AND json_extract(after, '$.superseded_by') = :id
       OR :kind = 'supersede' AND kind = 'merge' AND experience_id = :into);

-- name: add_revision
INSERT INTO revisions (experience_id, revision, kind, before, after, actor, at, reason,
    trajectory_id, origin)
VALUES (:experience_id, :revision, :kind, :before, :after, :actor, :at, :reason, :trajectory_id,
    :origin);

-- name: drop_revisions
-- What was dismissed holds fingerprints of earlier texts.
DELETE FROM revisions WHERE experience_id = :id AND revision < :revision;
DELETE FROM dismissed WHERE one = :id OR other = :id;
