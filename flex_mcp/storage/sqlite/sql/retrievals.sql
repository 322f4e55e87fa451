-- Statements of retrievals: searches, and what they served.

-- name: retrieval
SELECT * FROM retrievals WHERE id = :id;

-- name: retrieval_ids
SELECT id FROM retrievals ORDER BY at, id;

-- name: retrieval_hits
SELECT experience_id, score, credit, named FROM retrieval_hits WHERE retrieval_id = :id ORDER BY place;

-- name: add_retrieval
INSERT INTO retrievals (id, query, at, client, outcome, block, relevance, stratum, origin, size)
VALUES (:id, :query, :at, :client, :outcome, :block, :relevance, :stratum, :origin, :size);

-- name: add_retrieval_hit
-- An experience that was erased between the answer and its logging is left out.
INSERT INTO retrieval_hits (retrieval_id, place, experience_id, score, credit, named)
SELECT :id, :place, :experience_id, :score, :credit, :named
WHERE EXISTS (SELECT 1 FROM experiences WHERE id = :experience_id);

-- name: count_served
UPDATE experiences SET served = served + 1
WHERE id IN (SELECT experience_id FROM retrieval_hits WHERE retrieval_id = :id);

-- name: count_restored
-- For what was here before; what came with the search has its counters.
UPDATE experiences SET served = experiences.served + c.served,
    successes = experiences.successes + c.successes, failures = experiences.failures + c.failures,
    helpful = experiences.helpful + c.helpful, harmful = experiences.harmful + c.harmful
FROM (SELECT experience_id, count(*) AS served, sum(credit > 0) AS successes,
             sum(credit < 0) AS failures, sum(named > 0) AS helpful, sum(named < 0) AS harmful
      FROM retrieval_hits WHERE retrieval_id = :id GROUP BY experience_id) AS c
WHERE experiences.id = c.experience_id
  AND experiences.id IN (SELECT value FROM json_each(:known));

-- name: set_outcome
UPDATE retrievals SET outcome = :outcome WHERE id = :id;

-- name: credit
UPDATE retrieval_hits SET credit = :credit, named = :named
WHERE retrieval_id = :id AND experience_id = :experience_id;

-- name: count_credit
UPDATE experiences SET
    successes = max(0, successes + :successes), failures = max(0, failures + :failures),
    helpful = max(0, helpful + :helpful), harmful = max(0, harmful + :harmful)
WHERE id = :experience_id;

-- name: counters
SELECT e.id, e.served, e.successes, e.failures, e.helpful, e.harmful
FROM retrieval_hits h JOIN experiences e ON e.id = h.experience_id
WHERE h.retrieval_id = :id ORDER BY h.place;
