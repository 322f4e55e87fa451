-- The tokens of an experience's text, each once, two bytes each: how alike it is to a query is seen
-- by them. What has none of the tokenizer's version gets them when it is searched, or by reindex.

CREATE TABLE tokens (
    experience INTEGER PRIMARY KEY REFERENCES experiences (number) ON DELETE CASCADE,
    version    TEXT NOT NULL,            -- of the tokenizer
    tokens     BLOB NOT NULL
) STRICT;
