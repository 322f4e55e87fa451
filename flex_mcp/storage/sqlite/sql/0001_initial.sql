-- A library. The tables are the truth; words and vectors are indexes made of them.
-- Times are ISO 8601 in UTC. JSON columns hold lists of text.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trajectories (
    number       INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    key          TEXT NOT NULL UNIQUE,   -- the caller's, or a hash of the content
    content_hash TEXT NOT NULL,
    task         TEXT NOT NULL,
    domain       TEXT,
    outcome      TEXT NOT NULL,
    answer       TEXT,
    score        REAL,
    feedback     TEXT,
    verified_by  TEXT NOT NULL,
    agent_name   TEXT,
    agent_model  TEXT,
    body         BLOB,                   -- JSON: {"steps": […]} or {"transcript": "…"}
    compressed   INTEGER NOT NULL,       -- 1: body is zlib-compressed
    state        TEXT NOT NULL,
    recorded_at  TEXT NOT NULL
) STRICT;
CREATE INDEX trajectories_by_state ON trajectories (state, number);

CREATE TABLE trajectory_retrievals (
    trajectory_id TEXT NOT NULL REFERENCES trajectories (id) ON DELETE CASCADE,
    retrieval_id  TEXT NOT NULL,
    PRIMARY KEY (trajectory_id, retrieval_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE experiences (
    number        INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    zone          TEXT NOT NULL,
    level         TEXT NOT NULL,
    title         TEXT NOT NULL,
    "when"        TEXT NOT NULL,
    lesson        TEXT NOT NULL,
    examples      TEXT NOT NULL,
    domain        TEXT,
    tags          TEXT NOT NULL,
    priority      INTEGER NOT NULL,
    status        TEXT NOT NULL,
    superseded_by TEXT,
    fingerprint   TEXT NOT NULL,         -- of the folded text: what makes two lessons identical
    origin_kind   TEXT NOT NULL,
    origin_by     TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    served        INTEGER NOT NULL DEFAULT 0,
    successes     INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX experiences_by_fingerprint ON experiences (fingerprint);
CREATE INDEX experiences_by_status ON experiences (status);
CREATE INDEX experiences_by_domain ON experiences (domain);

CREATE TABLE evidence (
    experience_id TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    place         INTEGER NOT NULL,
    trajectory_id TEXT NOT NULL,
    PRIMARY KEY (experience_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_by_trajectory ON evidence (trajectory_id);

CREATE TABLE revisions (
    number        INTEGER PRIMARY KEY,
    experience_id TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    revision      INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    before        TEXT,                  -- JSON; NULL where the experience began
    after         TEXT NOT NULL,         -- JSON
    actor         TEXT NOT NULL,
    at            TEXT NOT NULL,
    reason        TEXT,
    trajectory_id TEXT,
    UNIQUE (experience_id, revision)
) STRICT;

CREATE TABLE retrievals (
    id      TEXT PRIMARY KEY,
    query   TEXT NOT NULL,
    at      TEXT NOT NULL,
    client  TEXT NOT NULL,
    outcome TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE retrieval_hits (
    retrieval_id  TEXT NOT NULL REFERENCES retrievals (id) ON DELETE CASCADE,
    place         INTEGER NOT NULL,      -- rank in the answer, from 1
    experience_id TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    score         REAL NOT NULL,
    credit        INTEGER NOT NULL DEFAULT 0, -- what its outcome counted: 1 success, -1 failure
    PRIMARY KEY (retrieval_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX retrieval_hits_by_experience ON retrieval_hits (experience_id);

CREATE TABLE briefs (
    id          TEXT PRIMARY KEY,
    rendered    TEXT NOT NULL,           -- the answer of distill, as it was given
    created_at  TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    answer_hash TEXT,                    -- NULL while the brief is open
    decisions   TEXT NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;

CREATE TABLE brief_trajectories (
    brief_id      TEXT NOT NULL REFERENCES briefs (id) ON DELETE CASCADE,
    place         INTEGER NOT NULL,
    trajectory_id TEXT NOT NULL REFERENCES trajectories (id) ON DELETE CASCADE,
    PRIMARY KEY (brief_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX brief_trajectories_by_trajectory ON brief_trajectories (trajectory_id);

-- FLEX libraries that were imported: each ENTRY verbatim, tied to the experiences made of it.
CREATE TABLE entries (
    number   INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    zone     TEXT NOT NULL,
    json     TEXT NOT NULL
) STRICT;

CREATE TABLE entry_parts (
    entry         INTEGER NOT NULL REFERENCES entries (number) ON DELETE CASCADE,
    place         INTEGER NOT NULL,
    kind          TEXT NOT NULL,         -- method, rule or revised_trajectory
    identity      TEXT NOT NULL,         -- hash of the original part
    experience_id TEXT NOT NULL REFERENCES experiences (id) ON DELETE CASCADE,
    PRIMARY KEY (entry, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_parts_by_identity ON entry_parts (identity);
CREATE INDEX entry_parts_by_experience ON entry_parts (experience_id);

-- One row a chunk. The index over it, vectors (vec0), is made when the dimension is known.
CREATE TABLE embeddings (
    chunk      INTEGER PRIMARY KEY,
    experience INTEGER NOT NULL REFERENCES experiences (number) ON DELETE CASCADE,
    vector     BLOB NOT NULL             -- unit length, float16
) STRICT;
CREATE INDEX embeddings_by_experience ON embeddings (experience);

-- Where reindex puts new vectors aside until it switches.
CREATE TABLE staged (
    chunk      INTEGER PRIMARY KEY,
    experience INTEGER NOT NULL REFERENCES experiences (number) ON DELETE CASCADE,
    revision   INTEGER NOT NULL,         -- of the text that was embedded
    vector     BLOB NOT NULL
) STRICT;
CREATE INDEX staged_by_experience ON staged (experience, revision);

-- Active experiences only. Contentless with deletes by row: nobody has to know the old text.
CREATE VIRTUAL TABLE words USING fts5 (
    title, "when", lesson, examples, tags,
    content = '', contentless_delete = 1, tokenize = 'porter unicode61'
);
CREATE VIRTUAL TABLE vocabulary USING fts5vocab ('words', 'row');
