-- Vectors stand once, in sqlite-vec's vec0 table `vectors`, which is made when the dimension is known.
-- What embeddings hold is carried over by search_index.py, which also drops `carried`.

CREATE TABLE chunks (
    chunk      INTEGER PRIMARY KEY,      -- as in vectors
    experience INTEGER REFERENCES experiences (number) ON DELETE CASCADE, -- NULL: of none any more
    change     INTEGER NOT NULL          -- rises with every write: what is newer has to be read again
) STRICT;
CREATE INDEX chunks_by_experience ON chunks (experience, chunk);
CREATE INDEX chunks_by_change ON chunks (change);

CREATE TEMP TABLE carried AS SELECT chunk, experience, vector FROM embeddings;
DROP TABLE embeddings;
DROP TABLE pages;
DROP TABLE domains;
