-- Statements of imports: FLEX entries and their parts.

-- name: entries
-- One that lost a part to forgetting has no JSON any more.
SELECT * FROM entries WHERE json <> '' ORDER BY number;

-- name: entry_parts
SELECT * FROM entry_parts ORDER BY entry, place;

-- name: part
SELECT experience_id FROM entry_parts WHERE identity = :identity LIMIT 1;

-- name: drop_emptied_entry
-- It comes back whole.
DELETE FROM entries WHERE identity = :identity || ' forgotten';

-- name: add_entry
INSERT INTO entries (identity, zone, json) VALUES (:identity, :zone, :json)
ON CONFLICT (identity) DO NOTHING RETURNING number;

-- name: add_entry_part
INSERT INTO entry_parts (entry, place, kind, identity, experience_id)
VALUES (:entry, :place, :kind, :identity, :experience_id);
