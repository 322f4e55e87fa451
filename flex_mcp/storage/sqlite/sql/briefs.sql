-- Statements of briefs.

-- name: brief
SELECT b.*,
    (SELECT json_group_array(c.trajectory_id ORDER BY c.place)
       FROM brief_trajectories c WHERE c.brief_id = b.id) AS trajectory_ids
FROM briefs b WHERE b.id = :id;

-- name: pending_claims
-- Which pending trajectories open briefs claim.
SELECT c.trajectory_id, b.id AS brief_id, b.road, b.expires_at AS until
FROM briefs b JOIN brief_trajectories c ON c.brief_id = b.id
JOIN trajectories t ON t.id = c.trajectory_id
WHERE b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now
  AND t.state = 'pending';

-- name: claims
SELECT c.trajectory_id, b.id AS brief_id, b.road, b.expires_at AS until
FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
WHERE c.trajectory_id IN (SELECT value FROM json_each(:ids))
  AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now;

-- name: add_brief
INSERT INTO briefs (id, rendered, created_at, expires_at, road, prompts)
VALUES (:id, :rendered, :created_at, :expires_at, :road, :prompts);

-- name: add_brief_trajectory
INSERT INTO brief_trajectories (brief_id, place, trajectory_id)
VALUES (:brief_id, :place, :trajectory_id);

-- name: close_brief
UPDATE briefs SET answer_hash = :answer_hash, decisions = :decisions WHERE id = :id;

-- name: extend_brief
UPDATE briefs SET expires_at = :expires_at WHERE id = :id AND answer_hash IS NULL;
