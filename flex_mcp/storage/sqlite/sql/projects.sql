-- Statements of projects.

-- name: projects
-- What is general, whose project is NULL, comes first.
SELECT project, sum(active) AS active, sum(experiences) AS experiences,
    sum(trajectories) AS trajectories
FROM (
    SELECT project, sum(status = 'active') AS active, count(*) AS experiences, 0 AS trajectories
    FROM experiences GROUP BY project
    UNION ALL
    SELECT project, 0, 0, count(*) FROM trajectories GROUP BY project)
GROUP BY project ORDER BY project;

-- name: experiences_of_project
SELECT id FROM experiences WHERE project = :project ORDER BY number;

-- name: keys_of_project
SELECT id, key, content_hash FROM trajectories WHERE project = :project ORDER BY number;

-- name: move_trajectories_of_project
UPDATE trajectories SET project = :new WHERE project = :old RETURNING id;

-- name: move_keys
-- Work that the other project has too keeps the key that it has: a key is one trajectory's.
UPDATE OR IGNORE trajectories SET key = json_extract(moved.value, '$[1]')
FROM json_each(:keys) AS moved
WHERE trajectories.id = json_extract(moved.value, '$[0]');
