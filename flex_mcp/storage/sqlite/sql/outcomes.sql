-- Statements of outcomes: how work ended, as often as somebody said so.

-- name: outcomes
SELECT * FROM outcomes WHERE trajectory_id = :id OR retrieval_id = :id ORDER BY number;

-- name: all_outcomes
SELECT * FROM outcomes ORDER BY number;

-- name: add_outcome
INSERT INTO outcomes (trajectory_id, retrieval_id, outcome, score, feedback, verified_by, at, by)
VALUES (:trajectory_id, :retrieval_id, :outcome, :score, :feedback, :verified_by, :at, :by);
