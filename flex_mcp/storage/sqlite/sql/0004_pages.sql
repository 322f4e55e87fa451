-- What a process holds of a library while it searches, in pages that load and refresh fast: where
-- each experience belongs, and one bit a direction of each vector. Made of the tables; see pages.py.

CREATE TABLE pages (
    kind   TEXT NOT NULL,                -- experiences or chunks
    page   INTEGER NOT NULL,             -- rows page * 128 and up, by number or chunk
    change INTEGER NOT NULL,             -- rises with every write: what is newer has to be read again
    rows   BLOB NOT NULL,
    PRIMARY KEY (kind, page)
) STRICT;
CREATE UNIQUE INDEX pages_by_change ON pages (change);

CREATE TABLE domains (
    code   INTEGER PRIMARY KEY,
    domain TEXT NOT NULL UNIQUE
) STRICT;
