-- What makes two lessons identical is told anew: experiences.py makes the fingerprints again.
-- The index of words that is here was made before letters and signs were folded: a library with
-- such text is told to reindex.
INSERT INTO meta (name, value) SELECT 'older_words', '10' WHERE EXISTS (
    SELECT 1 FROM (SELECT title || "when" || lesson || examples || tags AS text FROM experiences)
    WHERE length(text) < length(CAST(text AS BLOB)));
