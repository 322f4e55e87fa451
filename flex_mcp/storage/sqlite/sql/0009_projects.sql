-- A lesson is general, or of one project; so is the work that it comes from.

ALTER TABLE experiences ADD COLUMN project TEXT;   -- NULL: general
ALTER TABLE trajectories ADD COLUMN project TEXT;  -- NULL: not known
CREATE INDEX experiences_by_project ON experiences (project) WHERE project IS NOT NULL;
CREATE INDEX trajectories_pending_by_project ON trajectories (project, number) WHERE state = 'pending';
