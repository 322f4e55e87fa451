-- Statements of suggestions: what is worth a look, what was compared, and what was dismissed.

-- name: concerns
-- Experiences by themselves, the newest first. Where nobody ever names what helped, nothing is told
-- that was never named.
SELECT concern, id FROM (
    SELECT CASE
        WHEN status = 'quarantined' THEN 'quarantined'
        WHEN harmful > 0 AND harmful >= helpful THEN 'harmful'
        WHEN served >= :often AND NOT helpful AND EXISTS (SELECT 1 FROM experiences WHERE helpful)
            THEN 'never_helpful'
        WHEN NOT served AND created_at < :before
            AND created_at < (SELECT at FROM retrievals ORDER BY at DESC LIMIT 1 OFFSET :searches)
            THEN 'never_served'
        END AS concern, number, id, fingerprint
    FROM experiences
    WHERE status <> 'retired'
      AND (:zones IS NULL OR zone IN (SELECT value FROM json_each(:zones)))
      AND (:levels IS NULL OR level IN (SELECT value FROM json_each(:levels)))
      AND (:domain IS NULL OR domain = :domain
           OR (domain >= :domain || '/' AND domain < :domain || '0'))
      AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))) AS e
WHERE concern IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM dismissed d
    WHERE d.one = e.id AND d.other = e.id AND d.concern = e.concern AND d.texts = e.fingerprint)
ORDER BY number DESC;

-- name: pairs
-- Both active and of the projects that are asked for, and one of them wanted; none that changed since
-- it was compared. The older one first, and the newest pairs.
SELECT p.relation, iif(a.number < b.number, a.id, b.id), iif(a.number < b.number, b.id, a.id)
FROM pairs p CROSS JOIN experiences a ON a.id = p.one CROSS JOIN experiences b ON b.id = p.other
WHERE a.status = 'active' AND b.status = 'active' AND a.compared AND b.compared
  AND (:projects IS NULL
       OR coalesce(a.project, '') IN (SELECT value FROM json_each(:projects))
          AND coalesce(b.project, '') IN (SELECT value FROM json_each(:projects)))
  AND EXISTS (
      SELECT 1 FROM experiences e WHERE e.id IN (p.one, p.other)
        AND (:zones IS NULL OR e.zone IN (SELECT value FROM json_each(:zones)))
        AND (:levels IS NULL OR e.level IN (SELECT value FROM json_each(:levels)))
        AND (:domain IS NULL OR e.domain = :domain
             OR (e.domain >= :domain || '/' AND e.domain < :domain || '0')))
  AND NOT EXISTS (
      SELECT 1 FROM dismissed d
      WHERE d.one = p.one AND d.other = p.other AND d.concern = p.relation
        AND d.texts = min(a.fingerprint, b.fingerprint) || max(a.fingerprint, b.fingerprint))
ORDER BY max(a.number, b.number) DESC, min(a.number, b.number) DESC;

-- name: uncompared
SELECT id FROM experiences WHERE NOT compared AND status = 'active' ORDER BY number LIMIT :limit;

-- name: count_uncompared
SELECT count(*) FROM experiences WHERE NOT compared AND status = 'active';

-- name: set_compared
-- Unless it was changed since.
UPDATE experiences SET compared = 1 WHERE id = :id AND revision = :revision RETURNING id;

-- name: uncompare
UPDATE experiences SET compared = 0;

-- name: clear_pairs
DELETE FROM pairs WHERE one = :id OR other = :id;

-- name: put_pair
INSERT OR REPLACE INTO pairs (one, other, relation)
VALUES (min(:id, :other), max(:id, :other), :relation);

-- name: dismiss
INSERT OR REPLACE INTO dismissed (one, other, concern, texts)
SELECT min(one.id, other.id), max(one.id, other.id), :concern,
    iif(one.id = other.id, one.fingerprint,
        min(one.fingerprint, other.fingerprint) || max(one.fingerprint, other.fingerprint))
FROM experiences one, experiences other WHERE one.id = :one AND other.id = :other;

-- name: take_up
DELETE FROM dismissed
WHERE one = min(:one, :other) AND other = max(:one, :other) AND concern = :concern;
