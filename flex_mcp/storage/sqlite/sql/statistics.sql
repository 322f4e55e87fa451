-- Statements of statistics, and of completing what is typed.

-- name: count_by
-- All groupings of the statistics, each from an index that holds all that it asks for. Searches and
-- revisions are those of all projects.
WITH active AS MATERIALIZED (
    SELECT zone, level, project, domain, count(*) AS count
    FROM experiences INDEXED BY experiences_active
    WHERE status = 'active'
      AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
    GROUP BY zone, level, project, domain)
SELECT 'status' AS what, status AS name, count(*) AS count
FROM experiences INDEXED BY experiences_by_time
WHERE :projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects))
GROUP BY status
UNION ALL SELECT 'zone', zone, sum(count) FROM active GROUP BY zone
UNION ALL SELECT 'level', level, sum(count) FROM active GROUP BY level
UNION ALL SELECT 'domain', coalesce(domain, ''), sum(count) FROM active GROUP BY domain
UNION ALL SELECT 'project', coalesce(project, ''), sum(count) FROM active GROUP BY project
UNION ALL SELECT 'state', state, count(*) FROM trajectories INDEXED BY trajectories_by_time
WHERE :projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects))
GROUP BY state
UNION ALL SELECT 'retrievals', '', count(*) FROM retrievals
UNION ALL SELECT 'revisions', '', count(*) FROM revisions;

-- name: spent
SELECT b.road, t.model, count(*) AS questions,
    sum(t.input_tokens) AS input_tokens, sum(t.output_tokens) AS output_tokens
FROM brief_turns t JOIN briefs b ON b.id = t.brief_id
WHERE t.model IS NOT NULL GROUP BY b.road, t.model ORDER BY b.road, t.model;

-- name: complete_experience_ids
SELECT id AS value FROM experiences
WHERE id >= :start AND id < :start || '~' AND status = 'active'
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
ORDER BY id LIMIT :limit;

-- name: complete_trajectory_ids
SELECT id AS value FROM trajectories WHERE id >= :start AND id < :start || '~'
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
ORDER BY id LIMIT :limit;

-- name: complete_ids
-- Of all kinds, whatever became of them.
SELECT id AS value FROM experiences WHERE id >= :start AND id < :start || '~'
UNION ALL SELECT id FROM trajectories WHERE id >= :start AND id < :start || '~'
UNION ALL SELECT id FROM retrievals WHERE id >= :start AND id < :start || '~'
UNION ALL SELECT id FROM briefs WHERE id >= :start AND id < :start || '~'
ORDER BY value LIMIT :limit;

-- name: complete_domains
-- substr, not LIKE: a domain may hold % and _.
SELECT DISTINCT domain AS value FROM experiences
WHERE status = 'active' AND substr(domain, 1, length(:start)) = :start
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
ORDER BY domain LIMIT :limit;

-- name: complete_projects
SELECT project FROM experiences
WHERE project >= :start AND substr(project, 1, length(:start)) = :start
  AND (:projects IS NULL OR project IN (SELECT value FROM json_each(:projects)))
UNION
SELECT project FROM trajectories
WHERE project >= :start AND substr(project, 1, length(:start)) = :start
  AND (:projects IS NULL OR project IN (SELECT value FROM json_each(:projects)))
ORDER BY project LIMIT :limit;
