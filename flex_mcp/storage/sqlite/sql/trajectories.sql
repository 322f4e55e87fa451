-- Statements of trajectories.

-- name: trajectories
SELECT t.*,
    (SELECT json_group_array(r.retrieval_id) FROM trajectory_retrievals r
      WHERE r.trajectory_id = t.id) AS retrieval_ids
FROM json_each(:ids) AS wanted JOIN trajectories t ON t.id = wanted.value
ORDER BY wanted.key;

-- name: trajectory_ids
SELECT id FROM trajectories
WHERE :projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects))
ORDER BY number;

-- name: list_trajectories
-- $what is the id or a count, of ours. Pages and texts as in `list_experiences`.
SELECT $what FROM trajectories t
WHERE (:state IS NULL OR t.state = :state)
  AND (:outcome IS NULL OR t.outcome = :outcome)
  AND (:domain IS NULL OR t.domain = :domain
       OR (t.domain >= :domain || '/' AND t.domain < :domain || '0'))
  AND (:projects IS NULL OR coalesce(t.project, '') IN (SELECT value FROM json_each(:projects)))
  AND (:since IS NULL OR t.recorded_at >= :since)
  AND (:pattern IS NULL OR t.task LIKE :pattern ESCAPE '\')
  AND (:glob IS NULL OR t.task GLOB :glob OR t.task GLOB :other_glob OR t.task GLOB :third_glob)
  AND (:lowered IS NULL OR instr(lowered(t.task), :lowered))
  AND (:after IS NULL OR t.number < (SELECT number FROM trajectories WHERE id = :after))
ORDER BY t.number DESC
LIMIT :limit;

-- name: trajectory_by_key
SELECT id, content_hash FROM trajectories WHERE key = :key;

-- name: pending
SELECT t.id FROM trajectories t
WHERE t.state = 'pending'
  AND t.id NOT IN (SELECT value FROM json_each(:skip))
  AND (:projects IS NULL OR coalesce(t.project, '') IN (SELECT value FROM json_each(:projects)))
  AND NOT EXISTS (
    SELECT 1 FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
    WHERE c.trajectory_id = t.id AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now)
ORDER BY t.number LIMIT :limit;

-- name: pending_count
SELECT count(*) FROM trajectories t
WHERE t.state = 'pending'
  AND (:projects IS NULL OR coalesce(t.project, '') IN (SELECT value FROM json_each(:projects)))
  AND NOT EXISTS (
    SELECT 1 FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
    WHERE c.trajectory_id = t.id AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now);

-- name: pending_of_task
-- Those of the same task as a trajectory: the oldest of every outcome first, so that a few of many
-- still show failure and success side by side.
SELECT t.id FROM trajectories t
WHERE t.state = 'pending' AND t.task = (SELECT task FROM trajectories WHERE id = :id)
  AND t.id NOT IN (SELECT value FROM json_each(:skip))
  AND (:projects IS NULL OR coalesce(t.project, '') IN (SELECT value FROM json_each(:projects)))
  AND NOT EXISTS (
    SELECT 1 FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
    WHERE c.trajectory_id = t.id AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now)
ORDER BY row_number() OVER (PARTITION BY t.outcome ORDER BY t.number), t.number LIMIT :limit;

-- name: independent
-- The same task once again by the same agent proves nothing new.
SELECT count(*) AS count FROM (
    SELECT DISTINCT task, agent_name, agent_model FROM trajectories
    WHERE id IN (SELECT value FROM json_each(:ids)));

-- name: add_trajectory
INSERT INTO trajectories (id, key, content_hash, task, domain, project, outcome, answer, score, feedback,
    verified_by, agent_name, agent_model, body, compressed, state, recorded_at, block)
VALUES (:id, :key, :content_hash, :task, :domain, :project, :outcome, :answer, :score, :feedback,
    :verified_by, :agent_name, :agent_model, :body, :compressed, :state, :recorded_at, :block);

-- name: add_trajectory_retrieval
INSERT OR IGNORE INTO trajectory_retrievals (trajectory_id, retrieval_id)
VALUES (:trajectory_id, :retrieval_id);

-- name: keep_replaced
INSERT INTO replaced_trajectories (trajectory_id, task, outcome, answer, feedback, body, compressed,
    replaced_at)
SELECT id, task, outcome, answer, feedback, body, compressed, :recorded_at FROM trajectories
WHERE id = :id;

-- name: replace_trajectory
UPDATE trajectories SET content_hash = :content_hash, task = :task, domain = :domain, project = :project,
    outcome = :outcome, answer = :answer, score = :score, feedback = :feedback,
    verified_by = :verified_by, agent_name = :agent_name, agent_model = :agent_model, body = :body,
    compressed = :compressed, block = :block
WHERE id = :id;

-- name: set_trajectory_outcome
UPDATE trajectories SET outcome = :outcome, score = :score, feedback = :feedback,
    verified_by = :verified_by
WHERE id = :trajectory_id;

-- name: set_state
UPDATE trajectories SET state = :state WHERE id IN (SELECT value FROM json_each(:ids));
