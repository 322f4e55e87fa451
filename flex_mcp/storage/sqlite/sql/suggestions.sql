-- Statements of suggestions: what is worth a look, what was compared, and what was dismissed.

-- name: suggestions
-- A row each, with the older one of a pair first. Of a pair one has to be wanted, and both served.
-- Whoever never names what helped is not told what was never named.
WITH wanted AS (
    SELECT * FROM experiences
    WHERE status <> 'retired'
      AND (:zones IS NULL OR zone IN (SELECT value FROM json_each(:zones)))
      AND (:levels IS NULL OR level IN (SELECT value FROM json_each(:levels)))
      AND (:domain IS NULL OR domain = :domain
           OR (domain >= :domain || '/' AND domain < :domain || '0'))
      AND (:projects IS NULL OR coalesce(project, '') IN (SELECT value FROM json_each(:projects)))
), suggested AS (
    SELECT 'quarantined' AS concern, number AS one, number AS other FROM wanted
    WHERE status = 'quarantined'
    UNION ALL
    SELECT p.relation, min(a.number, b.number), max(a.number, b.number)
    FROM pairs p JOIN experiences a ON a.id = p.one JOIN experiences b ON b.id = p.other
    WHERE a.status = 'active' AND b.status = 'active'
      AND (a.number IN (SELECT number FROM wanted) OR b.number IN (SELECT number FROM wanted))
    UNION ALL
    SELECT 'harmful', number, number FROM wanted
    WHERE status = 'active' AND harmful > 0 AND harmful >= helpful
    UNION ALL
    SELECT 'never_helpful', number, number FROM wanted
    WHERE status = 'active' AND served >= :often AND NOT helpful AND NOT harmful
      AND EXISTS (SELECT 1 FROM experiences WHERE helpful)
    UNION ALL
    SELECT 'never_served', number, number FROM wanted
    WHERE status = 'active' AND NOT served AND created_at < :before
      AND created_at < (SELECT at FROM retrievals ORDER BY at DESC LIMIT 1 OFFSET :searches)
)
SELECT s.concern, one.id, other.id
FROM suggested s JOIN experiences one ON one.number = s.one
    JOIN experiences other ON other.number = s.other
WHERE NOT EXISTS (
    SELECT 1 FROM dismissed d
    WHERE d.one = min(one.id, other.id) AND d.other = max(one.id, other.id)
      AND d.concern = s.concern AND d.texts = min(one.fingerprint, other.fingerprint)
                                           || max(one.fingerprint, other.fingerprint))
ORDER BY s.other DESC, s.one DESC;

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
    min(one.fingerprint, other.fingerprint) || max(one.fingerprint, other.fingerprint)
FROM experiences one, experiences other WHERE one.id = :one AND other.id = :other;

-- name: take_up
DELETE FROM dismissed
WHERE one = min(:one, :other) AND other = max(:one, :other) AND concern = :concern;
