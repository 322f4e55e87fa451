-- The tokens of an experience's text, by which it is compared with a query (tokens.py). What has
-- none of the tokenizer's version is tokenized when it is compared, until it is written or reindexed.

CREATE TABLE tokens (
    experience INTEGER PRIMARY KEY REFERENCES experiences (number) ON DELETE CASCADE,
    version    TEXT NOT NULL,            -- of the tokenizer
    tokens     BLOB NOT NULL
) STRICT;
