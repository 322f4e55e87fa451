-- Statements of conversations: the turns of briefs.

-- name: turns
SELECT * FROM brief_turns WHERE brief_id = :id ORDER BY place;

-- name: cost
SELECT sum(input_tokens + output_tokens) AS tokens,
    (SELECT model FROM brief_turns WHERE brief_id = :id AND model IS NOT NULL
      ORDER BY place DESC LIMIT 1) AS model
FROM brief_turns WHERE brief_id = :id;

-- name: batches
-- Message batches whose results were not taken in yet, oldest brief first.
SELECT t.batch, json_group_array(t.brief_id) AS brief_ids
FROM brief_turns t JOIN briefs b ON b.id = t.brief_id
WHERE t.batch IS NOT NULL AND t.reply IS NULL AND b.answer_hash IS NULL AND b.expires_at > :now
GROUP BY t.batch ORDER BY min(b.created_at);

-- name: put_turn
-- A question that was put is never put again, and the first reply stays.
INSERT INTO brief_turns (brief_id, place, prompt, reply, model, input_tokens, output_tokens, batch)
VALUES (:brief_id, :place, :prompt, :reply, :model, :input_tokens, :output_tokens, :batch)
ON CONFLICT (brief_id, place) DO UPDATE SET reply = excluded.reply, model = excluded.model,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    batch = excluded.batch
WHERE brief_turns.reply IS NULL AND brief_turns.prompt IS NOT NULL;

-- name: clear_turns
-- What was said is needed while the brief is open; what it cost stays.
UPDATE brief_turns SET prompt = NULL, reply = NULL, batch = NULL WHERE brief_id = :id;
