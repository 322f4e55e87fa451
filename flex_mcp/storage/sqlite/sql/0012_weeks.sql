-- Counts of a library and of its weeks are made of indexes alone: no text is read.

CREATE INDEX experiences_active ON experiences (zone, level, project, domain) WHERE status = 'active';
CREATE INDEX experiences_by_time ON experiences (created_at, zone, level, status, project);
CREATE INDEX trajectories_by_time ON trajectories (recorded_at, outcome, state, project);
CREATE INDEX retrievals_by_time ON retrievals (at);
-- Those that may have changed a status.
CREATE INDEX revisions_by_time ON revisions (at) WHERE kind NOT IN ('add', 'merge');
