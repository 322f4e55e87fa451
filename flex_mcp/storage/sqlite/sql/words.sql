-- Statements of the words' index: FTS5 and learned tokens.

-- name: matching
-- FTS5's bm25 is lower for better rows; the weights are those of title, when, lesson, examples, tags.
SELECT rowid, -bm25(words, 1.5, 1.0, 1.0, 0.5, 1.0) FROM words WHERE words MATCH :words
ORDER BY 2 DESC, 1;

-- name: count_words
-- By the pages of the words' sizes, a row for each active experience: counting these by status takes
-- milliseconds in a large library, and a search asks three times.
SELECT count(*) FROM words_docsize;

-- name: numbers_and_ids
SELECT number, id FROM experiences ORDER BY number;

-- name: documents
SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(:terms));

-- name: tokens
SELECT e.id, t.tokens FROM json_each(:ids) AS wanted
JOIN experiences e ON e.id = wanted.value
JOIN tokens t ON t.experience = e.number AND t.version = :version;

-- name: clear_words
DELETE FROM words WHERE rowid = :number;

-- name: add_words
INSERT INTO words (rowid, title, "when", lesson, examples, tags)
VALUES (:number, :title, :when, :lesson, :examples, :tags);

-- name: put_tokens
INSERT INTO tokens (experience, version, tokens) VALUES (:number, :version, :tokens)
ON CONFLICT (experience) DO UPDATE SET version = excluded.version, tokens = excluded.tokens;

-- name: words_tables
-- The vocabulary is made of the words.
SELECT sql FROM sqlite_schema WHERE name IN ('words', 'vocabulary') ORDER BY name = 'vocabulary';

-- name: drop_words
DROP TABLE vocabulary; DROP TABLE words;

-- name: clear_tokens
DELETE FROM tokens;

-- name: unlike_words
-- Active experiences that full text lacks, and rows of it that belong to none.
SELECT
    (SELECT count(*) FROM experiences e WHERE status = 'active'
      AND NOT EXISTS (SELECT 1 FROM words_docsize d WHERE d.id = e.number))
  + (SELECT count(*) FROM words_docsize d
      WHERE NOT EXISTS (SELECT 1 FROM experiences e WHERE e.number = d.id AND status = 'active'));

-- name: optimize_words
-- Its tombstones hide a word and leave its bytes; merging all segments into one drops both.
INSERT INTO words (words) VALUES ('optimize');

-- name: word_segments
SELECT count(DISTINCT segid) FROM words_idx;

-- name: merge_words
-- A negative number of pages merges segments of any size.
INSERT INTO words (words, rank) VALUES ('merge', :pages);
