-- Statements of domains.

-- name: domains
-- In the order of a tree: what lies below a path follows it. Trajectories have no zone and level.
SELECT domain, sum(active) AS active, sum(experiences) AS experiences,
    sum(trajectories) AS trajectories
FROM (
    SELECT domain, sum(status = 'active') AS active, count(*) AS experiences, 0 AS trajectories
    FROM experiences
    WHERE domain IS NOT NULL
      AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
      AND (:zones IS NULL OR zone IN (SELECT value FROM json_each(:zones)))
      AND (:levels IS NULL OR level IN (SELECT value FROM json_each(:levels)))
      AND (:domain IS NULL OR domain = :domain
           OR (domain >= :domain || '/' AND domain < :domain || '0'))
    GROUP BY domain
    UNION ALL
    SELECT domain, 0, 0, count(*) FROM trajectories
    WHERE domain IS NOT NULL
      AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
      AND (:domain IS NULL OR domain = :domain
           OR (domain >= :domain || '/' AND domain < :domain || '0'))
    GROUP BY domain)
GROUP BY domain ORDER BY replace(domain, '/', char(1));

-- name: most_used_domains
SELECT domain FROM experiences
WHERE status = 'active' AND domain IS NOT NULL
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
  AND (:zones IS NULL OR zone IN (SELECT value FROM json_each(:zones)))
  AND (:levels IS NULL OR level IN (SELECT value FROM json_each(:levels)))
  AND (:domain IS NULL OR domain = :domain
       OR (domain >= :domain || '/' AND domain < :domain || '0'))
GROUP BY domain ORDER BY count(*) DESC, domain LIMIT :limit;

-- name: experiences_of_domains
SELECT id FROM experiences WHERE domain IN (SELECT value FROM json_each(:domains)) ORDER BY number;

-- name: move_trajectories
-- All at once: a new path may be another's old one.
UPDATE trajectories SET domain = json_extract(moved.value, '$[1]')
FROM json_each(:paths) AS moved
WHERE trajectories.domain = json_extract(moved.value, '$[0]')
RETURNING id;
