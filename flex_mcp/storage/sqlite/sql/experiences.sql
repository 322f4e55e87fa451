-- Statements of experiences and their evidence.

-- name: experiences
-- json_each keeps the order in which the ids were asked for.
SELECT e.*,
    (SELECT json_group_array(v.trajectory_id ORDER BY v.place)
       FROM evidence v WHERE v.experience_id = e.id) AS evidence
FROM json_each(:ids) AS wanted JOIN experiences e ON e.id = wanted.value
ORDER BY wanted.key;

-- name: list_experiences
-- $what is the id or a count, $by what it is in the order of, $way ASC or DESC and $than < or >: all
-- of ours. A page begins after an experience, not after a count: nothing moves between pages.
-- Patterns: see `text_row`. `lowered` comes last, for it calls Python.
SELECT $what FROM experiences e
WHERE (:zones IS NULL OR e.zone IN (SELECT value FROM json_each(:zones)))
  AND (:levels IS NULL OR e.level IN (SELECT value FROM json_each(:levels)))
  AND (:statuses IS NULL OR e.status IN (SELECT value FROM json_each(:statuses)))
  AND (:domain IS NULL OR e.domain = :domain
       OR (e.domain >= :domain || '/' AND e.domain < :domain || '0'))
  AND (:projects IS NULL OR coalesce(e.project, '') IN (SELECT value FROM json_each(:projects)))
  AND (:since IS NULL OR e.created_at >= :since)
  AND (:pattern IS NULL
       OR e.title || char(10) || e."when" || char(10) || e.lesson LIKE :pattern ESCAPE '\')
  AND (:glob IS NULL
       OR e.title || char(10) || e."when" || char(10) || e.lesson GLOB :glob
       OR e.title || char(10) || e."when" || char(10) || e.lesson GLOB :other_glob
       OR e.title || char(10) || e."when" || char(10) || e.lesson GLOB :third_glob)
  AND (:lowered IS NULL
       OR instr(lowered(e.title || char(10) || e."when" || char(10) || e.lesson), :lowered))
  AND (:after IS NULL
       OR ($by, e.number) $than (SELECT $by, e.number FROM experiences e WHERE e.id = :after))
ORDER BY $by $way, e.number $way
LIMIT :limit;

-- name: newest
-- A page that begins after a place, not after a count: nothing moves between pages while others
-- write.
SELECT id FROM experiences
WHERE status = 'active'
  AND (:created_at IS NULL OR (created_at, id) < (:created_at, :id))
  AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
ORDER BY created_at DESC, id DESC LIMIT :limit;

-- name: evidenced_by
SELECT DISTINCT experience_id FROM evidence
WHERE trajectory_id IN (SELECT value FROM json_each(:trajectory_ids));

-- name: identical
-- One in service before one that is not.
SELECT id FROM experiences WHERE fingerprint = :fingerprint
ORDER BY status = 'active' DESC, number;

-- name: approved
-- Golden experiences whose text is still the one that was approved.
SELECT DISTINCT e.id FROM experiences e JOIN revisions r ON r.experience_id = e.id
WHERE r.kind = 'approve' AND e.status = 'active' AND e.zone = 'golden'
  AND (:projects IS NULL OR coalesce(e.project, '') IN (SELECT value FROM json_each(:projects)))
  AND json_extract(r.after, '$.title') = e.title
  AND json_extract(r.after, '$.when') = e."when"
  AND json_extract(r.after, '$.lesson') = e.lesson
  AND json_extract(r.after, '$.examples') = json(e.examples)
ORDER BY e.id;

-- name: put_experience
-- Counters are left alone: they belong to retrievals, not to the text. Another text, status or
-- project is compared anew.
INSERT INTO experiences (id, zone, level, title, "when", lesson, examples, domain, project,
    tags, priority, status, superseded_by, fingerprint, origin_kind, origin_by, origin_road, origin_model,
    origin_prompts, origin_tokens, revision, created_at, updated_at, served, successes, failures,
    helpful, harmful)
VALUES (:id, :zone, :level, :title, :when, :lesson, :examples, :domain, :project,
    :tags, :priority, :status, :superseded_by, :fingerprint, :origin_kind, :origin_by, :origin_road, :origin_model,
    :origin_prompts, :origin_tokens, :revision, :created_at, :updated_at, :served, :successes,
    :failures, :helpful, :harmful)
ON CONFLICT (id) DO UPDATE SET zone = excluded.zone, level = excluded.level,
    title = excluded.title, "when" = excluded."when", lesson = excluded.lesson,
    examples = excluded.examples, domain = excluded.domain, project = excluded.project, tags = excluded.tags,
    priority = excluded.priority, status = excluded.status,
    superseded_by = excluded.superseded_by, fingerprint = excluded.fingerprint,
    revision = excluded.revision, updated_at = excluded.updated_at,
    compared = compared AND fingerprint = excluded.fingerprint AND status = excluded.status
        AND project IS excluded.project
RETURNING number;

-- name: clear_evidence
DELETE FROM evidence WHERE experience_id = :id;

-- name: add_evidence
INSERT INTO evidence (experience_id, place, trajectory_id) VALUES (:id, :place, :trajectory_id);

-- name: number
SELECT number FROM experiences WHERE id = :id;

-- name: lost_experiences
SELECT r.*, (SELECT min(at) FROM revisions f WHERE f.experience_id = r.experience_id) AS created_at
FROM revisions r
WHERE NOT EXISTS (SELECT 1 FROM experiences e WHERE e.id = r.experience_id)
  AND r.revision = (SELECT max(revision) FROM revisions l WHERE l.experience_id = r.experience_id);

-- name: identities
SELECT number, zone, level, title, "when", lesson FROM experiences;

-- name: set_fingerprint
UPDATE experiences SET fingerprint = :fingerprint WHERE number = :number;
