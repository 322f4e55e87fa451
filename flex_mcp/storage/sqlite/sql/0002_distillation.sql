-- Who wrote a lesson, by which road and at what cost; what was said to a model about a brief.

ALTER TABLE experiences ADD COLUMN origin_road TEXT;
ALTER TABLE experiences ADD COLUMN origin_model TEXT;
ALTER TABLE experiences ADD COLUMN origin_prompts TEXT;
ALTER TABLE experiences ADD COLUMN origin_tokens INTEGER;
ALTER TABLE revisions ADD COLUMN origin TEXT;            -- JSON
ALTER TABLE briefs ADD COLUMN road TEXT NOT NULL DEFAULT 'assistant';
ALTER TABLE briefs ADD COLUMN prompts TEXT;

CREATE TABLE brief_turns (
    brief_id      TEXT NOT NULL REFERENCES briefs (id) ON DELETE CASCADE,
    place         INTEGER NOT NULL,
    prompt        TEXT,                  -- JSON; NULL once the brief has ended
    reply         TEXT,                  -- JSON; NULL while it is awaited, and once the brief has ended
    model         TEXT,
    input_tokens  INTEGER,
    output_tokens INTEGER,
    batch         TEXT,                  -- the message batch that carries it
    PRIMARY KEY (brief_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX brief_turns_by_batch ON brief_turns (batch) WHERE batch IS NOT NULL;

-- Failures and successes of one task are distilled side by side.
CREATE INDEX trajectories_pending_by_task ON trajectories (task, number) WHERE state = 'pending';
