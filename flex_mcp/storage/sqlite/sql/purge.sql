-- Statements of checking a file that was cleaned.

-- name: source_tables
-- All that are not made of others. Their columns hold every text there is.
SELECT name FROM sqlite_schema
WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT GLOB 'words_*'
  AND name NOT GLOB 'vectors_*' AND name <> 'sqlite_sequence'
UNION ALL SELECT 'sqlite_schema';

-- name: rows_of
-- $table is the name of one of our own tables.
SELECT * FROM "$table";
