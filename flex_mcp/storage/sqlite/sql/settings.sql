-- Statements of settings: small values kept in the file.

-- name: setting
SELECT value FROM meta WHERE name = :name;

-- name: set_setting
INSERT INTO meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: keep_setting
INSERT OR IGNORE INTO meta (name, value) VALUES (:name, :value);

-- name: clear_background
-- It is measured again.
DELETE FROM meta WHERE name = 'relevance';

-- name: clear_older_words
DELETE FROM meta WHERE name = 'older_words';
