-- Statements of weeks, each named by its Monday, from the :first one on; times are in UTC.

-- name: active_now
SELECT zone, count(*) AS count FROM experiences INDEXED BY experiences_active
WHERE status = 'active'
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
GROUP BY zone;

-- name: weekly_experiences
-- Those that were made, and how many of them are active now.
SELECT date(created_at, 'weekday 0', '-6 days') AS week, zone, level, count(*) AS made,
    sum(status = 'active') AS active
FROM experiences
WHERE created_at >= :first
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
GROUP BY 1, 2, 3;

-- name: weekly_changes
-- How many more were active after these changes than before, by the week in which they were made.
SELECT date(e.created_at, 'weekday 0', '-6 days') AS made,
    date(r.at, 'weekday 0', '-6 days') AS week, e.zone,
    sum((r.after ->> '$.status' = 'active') - (r.before ->> '$.status' = 'active')) AS more
FROM revisions r JOIN experiences e ON e.id = r.experience_id
WHERE r.kind NOT IN ('add', 'merge') AND r.at >= :first
  AND (:projects IS NULL OR coalesce(e.project, '') IN (SELECT value FROM json_each(:projects)))
GROUP BY 1, 2, 3 HAVING more <> 0;

-- name: weekly_trajectories
SELECT date(recorded_at, 'weekday 0', '-6 days') AS week, outcome, count(*) AS count
FROM trajectories
WHERE recorded_at >= :first
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
GROUP BY 1, 2;

-- name: weekly_searches
-- Of all projects: a search has none.
SELECT week, count(*) AS searches, sum(served) AS serving, sum(helpful) AS helpful,
    sum(harmful) AS harmful
FROM (SELECT date(r.at, 'weekday 0', '-6 days') AS week, count(h.place) > 0 AS served,
          coalesce(sum(h.named = 1), 0) AS helpful, coalesce(sum(h.named = -1), 0) AS harmful
      FROM retrievals r LEFT JOIN retrieval_hits h ON h.retrieval_id = r.id
      WHERE r.at >= :first GROUP BY r.id)
GROUP BY week;
