-- Statements of forgetting: texts, what is tied to what, and deleting.

-- name: texts_of_trajectory
SELECT id, recorded_at, domain,
    json_array(key, task, domain, answer, feedback, agent_name, agent_model), body, compressed
FROM trajectories
UNION ALL
SELECT t.id, t.recorded_at, t.domain, json_array(o.feedback, o.by), NULL, 0
FROM outcomes o JOIN trajectories t ON t.id = o.trajectory_id
UNION ALL
SELECT t.id, t.recorded_at, t.domain, json_array(r.task, r.answer, r.feedback), r.body, r.compressed
FROM replaced_trajectories r JOIN trajectories t ON t.id = r.trajectory_id;

-- name: texts_of_experience
SELECT id, created_at AS at, domain,
    json_array(title, "when", lesson, json(examples), domain, json(tags), superseded_by,
        origin_by, origin_model, origin_prompts) AS text
FROM experiences;

-- name: texts_of_history
SELECT experience_id AS id, at, NULL AS domain,
    json_array(json(before), json(after), actor, reason, trajectory_id, json(origin)) AS text
FROM revisions;

-- name: texts_of_retrieval
SELECT id, at, NULL AS domain, json_array(query, client, stratum, origin) AS text FROM retrievals
UNION ALL
SELECT r.id, r.at, NULL, json_array(o.feedback, o.by)
FROM outcomes o JOIN retrievals r ON r.id = o.retrieval_id;

-- name: texts_of_brief
SELECT id, created_at AS at, NULL AS domain, json_array(rendered, json(decisions), prompts) AS text
FROM briefs
UNION ALL
SELECT brief_id, NULL, NULL, json_array(json(prompt), json(reply), model, batch) FROM brief_turns;

-- name: texts_of_entry
SELECT CAST(number AS TEXT) AS id, NULL AS at, NULL AS domain, json AS text FROM entries
WHERE json <> '';

-- name: texts_of_document
SELECT name AS id, NULL AS at, NULL AS domain, value AS text FROM meta WHERE name = 'flex_document';

-- name: naming_experience
-- As it lies there: ids are the same in JSON.
SELECT id, concat_ws(' ', superseded_by, title, "when", lesson, examples, tags, domain)
FROM experiences;

-- name: naming_history
SELECT experience_id, concat_ws(' ', trajectory_id, before, after, actor, reason) FROM revisions;

-- name: naming_brief
SELECT id, concat_ws(' ', rendered, decisions) FROM briefs
UNION ALL SELECT brief_id, concat_ws(' ', prompt, reply) FROM brief_turns;

-- name: texts_of_client
SELECT DISTINCT client AS id, NULL AS at, NULL AS domain, json_array(client) AS text FROM writes;

-- name: linked_retrieval
-- Those that the trajectories worked with, and those that asked in the words of their task.
SELECT retrieval_id AS id FROM trajectory_retrievals
WHERE trajectory_id IN (SELECT value FROM json_each(:ids))
UNION SELECT r.id FROM retrievals r
WHERE trim(r.query) IN (SELECT trim(task) FROM trajectories
                        WHERE id IN (SELECT value FROM json_each(:ids)));

-- name: linked_brief
SELECT DISTINCT brief_id AS id FROM brief_trajectories
WHERE trajectory_id IN (SELECT value FROM json_each(:ids));

-- name: linked_entry
SELECT DISTINCT CAST(entry AS TEXT) AS id FROM entry_parts
WHERE experience_id IN (SELECT value FROM json_each(:ids));

-- name: linked_experience
-- Edited by the call that wrote a lesson of these trajectories: nothing else links the two.
SELECT DISTINCT other.experience_id AS id
FROM revisions one JOIN revisions other ON other.at = one.at AND other.actor = one.actor
WHERE one.trajectory_id IN (SELECT value FROM json_each(:ids))
  AND other.kind = 'edit' AND other.origin IS NOT NULL;

-- name: numbers
SELECT number FROM experiences WHERE id IN (SELECT value FROM json_each(:ids));

-- name: forget_trajectories
DELETE FROM trajectories WHERE id IN (SELECT value FROM json_each(:ids));

-- name: forget_strata
-- What a search says of its best hit.
UPDATE retrievals SET stratum = NULL, origin = NULL WHERE id IN (
    SELECT retrieval_id FROM retrieval_hits
    WHERE experience_id IN (SELECT value FROM json_each(:ids)));

-- name: forget_experiences
-- Evidence, history, hits, parts, vectors and tokens go with them.
DELETE FROM experiences WHERE id IN (SELECT value FROM json_each(:ids));

-- name: uncount_retrievals
-- Counters are those of the searches that are left.
UPDATE experiences SET
    served = max(0, experiences.served - c.served), successes = max(0, experiences.successes - c.successes),
    failures = max(0, experiences.failures - c.failures), helpful = max(0, experiences.helpful - c.helpful),
    harmful = max(0, experiences.harmful - c.harmful)
FROM (SELECT experience_id, count(*) AS served, sum(credit > 0) AS successes,
             sum(credit < 0) AS failures, sum(named > 0) AS helpful, sum(named < 0) AS harmful
      FROM retrieval_hits WHERE retrieval_id IN (SELECT value FROM json_each(:ids))
      GROUP BY experience_id) AS c
WHERE experiences.id = c.experience_id;

-- name: forget_retrievals
DELETE FROM retrievals WHERE id IN (SELECT value FROM json_each(:ids));

-- name: forget_links
DELETE FROM trajectory_retrievals WHERE retrieval_id IN (SELECT value FROM json_each(:ids));

-- name: forget_writes
-- A line about nothing else goes; of another the ids go.
DELETE FROM writes WHERE touched > 0 AND touched = (SELECT count(*) FROM json_each(writes.ids)
    WHERE value IN (SELECT value FROM json_each(:ids)));
UPDATE writes SET ids = (SELECT json_group_array(value) FROM json_each(writes.ids)
    WHERE value NOT IN (SELECT value FROM json_each(:ids)))
WHERE EXISTS (SELECT 1 FROM json_each(writes.ids)
    WHERE value IN (SELECT value FROM json_each(:ids)));

-- name: forget_clients
UPDATE writes SET client = '(forgotten)' WHERE client IN (SELECT value FROM json_each(:ids));

-- name: forget_briefs
DELETE FROM briefs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: empty_entries
UPDATE entries SET json = '', identity = identity || ' forgotten'
WHERE CAST(number AS TEXT) IN (SELECT value FROM json_each(:ids)) AND json <> '';

-- name: forget_emptied_entries
DELETE FROM entries WHERE json = '' AND number NOT IN (SELECT entry FROM entry_parts);

-- name: forget_setting
-- Unless another value took its place meanwhile.
DELETE FROM meta WHERE name = :name AND value = :value;
