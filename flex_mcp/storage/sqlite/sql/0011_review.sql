-- What is worth a person's look: lessons that say the same or the opposite, found by comparing each
-- once, and which suggestions were dismissed.

ALTER TABLE experiences ADD COLUMN compared INTEGER NOT NULL DEFAULT 0; -- 1: with all it is near to
CREATE INDEX experiences_uncompared ON experiences (number) WHERE NOT compared AND status = 'active';

-- Of two lessons the one with the lesser id comes first.
CREATE TABLE pairs (
    one      TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    other    TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    relation TEXT NOT NULL,
    PRIMARY KEY (one, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX pairs_by_other ON pairs (other);

-- It counts while the texts stay as they were.
CREATE TABLE dismissed (
    one     TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    other   TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE, -- the same, where no pair
    concern TEXT NOT NULL,
    texts   TEXT NOT NULL,                 -- both fingerprints, the lesser one first
    PRIMARY KEY (one, other, concern)
) STRICT, WITHOUT ROWID;
CREATE INDEX dismissed_by_other ON dismissed (other);
