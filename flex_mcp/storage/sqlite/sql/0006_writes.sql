-- Who wrote what, and when: a row for each transaction, the last ones only. No text of anybody's.

CREATE TABLE writes (
    number  INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    client  TEXT NOT NULL,
    process INTEGER NOT NULL,            -- its id in the system
    verb    TEXT NOT NULL,
    ids     TEXT NOT NULL,               -- JSON; the first of what it touched
    touched INTEGER NOT NULL             -- how many
) STRICT;
