-- Outcomes may come later, and more than once: each is kept, the last one counts. What was named as
-- helpful or harmful stands apart from what an outcome counts. With each search stands what a later
-- comparison has to know.

CREATE TABLE outcomes (
    number        INTEGER PRIMARY KEY,
    trajectory_id TEXT REFERENCES trajectories (id) ON DELETE CASCADE, -- of one of the two
    retrieval_id  TEXT REFERENCES retrievals (id) ON DELETE CASCADE,
    outcome       TEXT NOT NULL,
    score         REAL,
    feedback      TEXT,
    verified_by   TEXT NOT NULL,
    at            TEXT NOT NULL,
    by            TEXT NOT NULL          -- the client; empty where that is not known
) STRICT;
CREATE INDEX outcomes_by_trajectory ON outcomes (trajectory_id, number);
CREATE INDEX outcomes_by_retrieval ON outcomes (retrieval_id, number);
CREATE INDEX trajectory_retrievals_by_retrieval ON trajectory_retrievals (retrieval_id);

-- What a trajectory was before it was recorded anew, while it was pending.
CREATE TABLE replaced_trajectories (
    number        INTEGER PRIMARY KEY,
    trajectory_id TEXT NOT NULL REFERENCES trajectories (id) ON DELETE CASCADE,
    task          TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    answer        TEXT,
    feedback      TEXT,
    body          BLOB,
    compressed    INTEGER NOT NULL,
    replaced_at   TEXT NOT NULL
) STRICT;
CREATE INDEX replaced_trajectories_by_trajectory ON replaced_trajectories (trajectory_id);

ALTER TABLE retrieval_hits ADD COLUMN named INTEGER NOT NULL DEFAULT 0; -- 1 helpful, -1 harmful
ALTER TABLE experiences ADD COLUMN helpful INTEGER NOT NULL DEFAULT 0;  -- how often it was named so
ALTER TABLE experiences ADD COLUMN harmful INTEGER NOT NULL DEFAULT 0;
ALTER TABLE retrievals ADD COLUMN block TEXT;      -- the stretch of work that it belongs to
ALTER TABLE retrievals ADD COLUMN relevance REAL;
ALTER TABLE retrievals ADD COLUMN stratum TEXT;    -- first segment of the best hit's domain
ALTER TABLE retrievals ADD COLUMN origin TEXT;     -- of the best hit: own, or the bundle's name
ALTER TABLE retrievals ADD COLUMN size INTEGER;    -- active experiences
ALTER TABLE trajectories ADD COLUMN block TEXT;

-- What was credited otherwise than a whole answer is had been named.
UPDATE retrieval_hits SET named = credit WHERE retrieval_id IN (
    SELECT r.id FROM retrievals r JOIN retrieval_hits h ON h.retrieval_id = r.id
    WHERE r.outcome IN ('success', 'failure') GROUP BY r.id
    HAVING min(h.credit) <> max(h.credit)
        OR min(h.credit) <> CASE r.outcome WHEN 'success' THEN 1 ELSE -1 END);
UPDATE experiences SET
    helpful = (SELECT count(*) FROM retrieval_hits h
               WHERE h.experience_id = experiences.id AND h.named = 1),
    harmful = (SELECT count(*) FROM retrieval_hits h
               WHERE h.experience_id = experiences.id AND h.named = -1)
WHERE id IN (SELECT experience_id FROM retrieval_hits WHERE named <> 0);

-- They were of the moment, and had other fields.
UPDATE briefs SET decisions = (
    SELECT json_group_array(json(json_set(value, '$.candidates', json('[]')))) FROM json_each(decisions))
WHERE decisions <> '[]';
