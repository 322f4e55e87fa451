-- Clients page through the active experiences by time, newest first, complete domains, and ask for
-- what was approved.

CREATE INDEX experiences_active_by_time ON experiences (created_at DESC, id DESC)
    WHERE status = 'active';
CREATE INDEX experiences_active_by_domain ON experiences (domain) WHERE status = 'active';
CREATE INDEX revisions_approving ON revisions (experience_id) WHERE kind = 'approve';
