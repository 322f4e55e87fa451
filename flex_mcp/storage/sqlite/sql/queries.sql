-- Every statement that the store runs, by name. Parameters are always bound.

-- name: vectors_made_by
SELECT value FROM meta WHERE name = 'vectors';

-- name: setting
SELECT value FROM meta WHERE name = :name;

-- name: set_setting
INSERT INTO meta (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: keep_setting
INSERT OR IGNORE INTO meta (name, value) VALUES (:name, :value);

-- name: experiences
-- json_each keeps the order in which the ids were asked for.
SELECT e.*,
    (SELECT json_group_array(v.trajectory_id ORDER BY v.place)
       FROM evidence v WHERE v.experience_id = e.id) AS evidence
FROM json_each(:ids) AS wanted JOIN experiences e ON e.id = wanted.value
ORDER BY wanted.key;

-- name: standings
SELECT e.id, e.zone, e.level, e.priority, e.successes, e.failures, e.updated_at
FROM json_each(:ids) AS wanted JOIN experiences e ON e.id = wanted.value
ORDER BY wanted.key;

-- name: experience_ids
SELECT id FROM experiences e
WHERE (:zones IS NULL OR e.zone IN (SELECT value FROM json_each(:zones)))
  AND (:levels IS NULL OR e.level IN (SELECT value FROM json_each(:levels)))
  AND (:statuses IS NULL OR e.status IN (SELECT value FROM json_each(:statuses)))
  AND (:domain IS NULL OR e.domain = :domain
       OR (e.domain >= :domain || '/' AND e.domain < :domain || '0'))
ORDER BY e.number DESC
LIMIT :limit;

-- name: newest
-- A page that begins after a place, not after a count: nothing moves between pages while others
-- write.
SELECT id FROM experiences
WHERE status = 'active'
  AND (:created_at IS NULL OR (created_at, id) < (:created_at, :id))
ORDER BY created_at DESC, id DESC LIMIT :limit;

-- name: experience_ids_from
SELECT id AS value FROM experiences
WHERE id >= :start AND id < :start || '~' AND status = 'active' ORDER BY id LIMIT :limit;

-- name: trajectory_ids_from
SELECT id AS value FROM trajectories WHERE id >= :start AND id < :start || '~' ORDER BY id LIMIT :limit;

-- name: domains_from
-- substr, not LIKE: a domain may hold % and _.
SELECT DISTINCT domain AS value FROM experiences
WHERE status = 'active' AND substr(domain, 1, length(:start)) = :start ORDER BY domain LIMIT :limit;

-- name: evidenced_by
SELECT DISTINCT experience_id FROM evidence
WHERE trajectory_id IN (SELECT value FROM json_each(:trajectory_ids));

-- name: identical
-- One in service before one that is not.
SELECT id FROM experiences WHERE fingerprint = :fingerprint
ORDER BY status = 'active' DESC, number LIMIT 1;

-- name: revisions
SELECT * FROM revisions WHERE experience_id = :experience_id ORDER BY revision;

-- name: approved
-- Golden experiences whose text is still the one that was approved.
SELECT DISTINCT e.id FROM experiences e JOIN revisions r ON r.experience_id = e.id
WHERE r.kind = 'approve' AND e.status = 'active' AND e.zone = 'golden'
  AND json_extract(r.after, '$.title') = e.title
  AND json_extract(r.after, '$.when') = e."when"
  AND json_extract(r.after, '$.lesson') = e.lesson
  AND json_extract(r.after, '$.examples') = json(e.examples)
ORDER BY e.id;

-- name: last_change
SELECT coalesce(max(number), 0) AS number FROM revisions;

-- name: changes
SELECT * FROM revisions WHERE number > :since ORDER BY number LIMIT :limit;

-- name: last_revisions
SELECT * FROM revisions ORDER BY number DESC LIMIT :limit;

-- name: last_writes
SELECT * FROM writes
WHERE :about IS NULL OR :about IN (SELECT value FROM json_each(ids))
ORDER BY number DESC LIMIT :limit;

-- name: long_writes
-- Those that may have touched an id without naming it, since there is this id.
SELECT * FROM writes
WHERE touched > :named AND julianday(at) >= julianday(:since)
  AND :about NOT IN (SELECT value FROM json_each(ids))
ORDER BY number DESC LIMIT :limit;

-- name: known_since
SELECT created_at AS since FROM experiences WHERE id = :id
UNION ALL SELECT recorded_at FROM trajectories WHERE id = :id
UNION ALL SELECT at FROM retrievals WHERE id = :id
UNION ALL SELECT created_at FROM briefs WHERE id = :id;

-- name: trajectories
SELECT t.*,
    (SELECT json_group_array(r.retrieval_id) FROM trajectory_retrievals r
      WHERE r.trajectory_id = t.id) AS retrieval_ids
FROM json_each(:ids) AS wanted JOIN trajectories t ON t.id = wanted.value
ORDER BY wanted.key;

-- name: trajectory_ids
SELECT id FROM trajectories ORDER BY number;

-- name: trajectory_by_key
SELECT id, content_hash FROM trajectories WHERE key = :key;

-- name: pending
SELECT t.id FROM trajectories t
WHERE t.state = 'pending'
  AND t.id NOT IN (SELECT value FROM json_each(:skip))
  AND NOT EXISTS (
    SELECT 1 FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
    WHERE c.trajectory_id = t.id AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now)
ORDER BY t.number LIMIT :limit;

-- name: pending_of_task
-- Those of the same task as a trajectory: the oldest of every outcome first, so that a few of many
-- still show failure and success side by side.
SELECT t.id FROM trajectories t
WHERE t.state = 'pending' AND t.task = (SELECT task FROM trajectories WHERE id = :id)
  AND t.id NOT IN (SELECT value FROM json_each(:skip))
  AND NOT EXISTS (
    SELECT 1 FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
    WHERE c.trajectory_id = t.id AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now)
ORDER BY row_number() OVER (PARTITION BY t.outcome ORDER BY t.number), t.number LIMIT :limit;

-- name: count_pending
SELECT count(*) AS count FROM trajectories t
WHERE t.state = 'pending'
  AND NOT EXISTS (
    SELECT 1 FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
    WHERE c.trajectory_id = t.id AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now);

-- name: claims
-- Pending trajectories that open briefs claim, and until when.
SELECT count(DISTINCT c.trajectory_id) AS count, max(b.expires_at) AS until
FROM briefs b JOIN brief_trajectories c ON c.brief_id = b.id
JOIN trajectories t ON t.id = c.trajectory_id
WHERE (:road IS NULL OR b.road = :road) AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now AND t.state = 'pending';

-- name: claimed
SELECT c.trajectory_id, b.id AS brief_id
FROM brief_trajectories c JOIN briefs b ON b.id = c.brief_id
WHERE c.trajectory_id IN (SELECT value FROM json_each(:ids))
  AND b.answer_hash IS NULL AND b.created_at <= :now AND b.expires_at > :now;

-- name: brief
SELECT b.*,
    (SELECT json_group_array(c.trajectory_id ORDER BY c.place)
       FROM brief_trajectories c WHERE c.brief_id = b.id) AS trajectory_ids
FROM briefs b WHERE b.id = :id;

-- name: turns
SELECT * FROM brief_turns WHERE brief_id = :id ORDER BY place;

-- name: spent
SELECT b.road, t.model, count(*) AS questions,
    sum(t.input_tokens) AS input_tokens, sum(t.output_tokens) AS output_tokens
FROM brief_turns t JOIN briefs b ON b.id = t.brief_id
WHERE t.model IS NOT NULL GROUP BY b.road, t.model ORDER BY b.road, t.model;

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

-- name: independent
-- The same task once again by the same agent proves nothing new.
SELECT count(*) AS count FROM (
    SELECT DISTINCT task, agent_name, agent_model FROM trajectories
    WHERE id IN (SELECT value FROM json_each(:ids)));

-- name: retrieval
SELECT * FROM retrievals WHERE id = :id;

-- name: retrieval_ids
SELECT id FROM retrievals ORDER BY at, id;

-- name: retrieval_hits
SELECT experience_id, score, credit FROM retrieval_hits WHERE retrieval_id = :id ORDER BY place;

-- name: matching
-- FTS5's bm25 is lower for better rows; the weights are those of title, when, lesson, examples, tags.
SELECT rowid, -bm25(words, 1.5, 1.0, 1.0, 0.5, 1.0) FROM words WHERE words MATCH :words
ORDER BY 2 DESC, 1;

-- name: active
-- By the pages of the words' sizes, a row for each active experience: counting these by status takes
-- milliseconds in a large library, and a search asks three times.
SELECT count(*) FROM words_docsize;

-- name: numbers_and_ids
SELECT number, id FROM experiences ORDER BY number;

-- name: documents
SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(:terms));

-- name: tokens
SELECT e.id, t.tokens FROM json_each(:ids) AS wanted
JOIN experiences e ON e.id = wanted.value
JOIN tokens t ON t.experience = e.number AND t.version = :version;

-- name: entries
-- One that lost a part to forgetting has no JSON any more.
SELECT * FROM entries WHERE json <> '' ORDER BY number;

-- name: entry_parts
SELECT * FROM entry_parts ORDER BY entry, place;

-- name: part
SELECT experience_id FROM entry_parts WHERE identity = :identity LIMIT 1;

-- name: count_by
-- One pass for all four groupings of the statistics.
SELECT 'status' AS what, status AS name, count(*) AS count FROM experiences GROUP BY status
UNION ALL SELECT 'zone', zone, count(*) FROM experiences WHERE status = 'active' GROUP BY zone
UNION ALL SELECT 'level', level, count(*) FROM experiences WHERE status = 'active' GROUP BY level
UNION ALL SELECT 'domain', coalesce(domain, ''), count(*) FROM experiences
          WHERE status = 'active' GROUP BY domain
UNION ALL SELECT 'state', state, count(*) FROM trajectories GROUP BY state
UNION ALL SELECT 'retrievals', '', count(*) FROM retrievals
UNION ALL SELECT 'revisions', '', count(*) FROM revisions;

-- name: unembedded
SELECT e.id FROM experiences e
WHERE e.number > coalesce((SELECT number FROM experiences WHERE id = :after), 0)
  AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.experience = e.number AND s.revision = e.revision)
ORDER BY e.number LIMIT :limit;

-- name: unstaged
SELECT count(*) AS count FROM experiences e
WHERE NOT EXISTS (SELECT 1 FROM staged s WHERE s.experience = e.number AND s.revision = e.revision);

-- name: add_write
INSERT INTO writes (at, client, process, verb, ids, touched)
VALUES (:at, :client, :process, :verb, :ids, :touched) RETURNING number;

-- name: drop_writes
DELETE FROM writes WHERE number <= :last;

-- name: add_trajectory
INSERT INTO trajectories (id, key, content_hash, task, domain, outcome, answer, score, feedback,
    verified_by, agent_name, agent_model, body, compressed, state, recorded_at)
VALUES (:id, :key, :content_hash, :task, :domain, :outcome, :answer, :score, :feedback,
    :verified_by, :agent_name, :agent_model, :body, :compressed, :state, :recorded_at);

-- name: add_trajectory_retrieval
INSERT OR IGNORE INTO trajectory_retrievals (trajectory_id, retrieval_id)
VALUES (:trajectory_id, :retrieval_id);

-- name: set_state
UPDATE trajectories SET state = :state WHERE id IN (SELECT value FROM json_each(:ids));

-- name: put_experience
-- Counters are left alone: they belong to retrievals, not to the text.
INSERT INTO experiences (id, zone, level, title, "when", lesson, examples, domain, tags, priority,
    status, superseded_by, fingerprint, origin_kind, origin_by, origin_road, origin_model,
    origin_prompts, origin_tokens, revision, created_at, updated_at, served, successes, failures)
VALUES (:id, :zone, :level, :title, :when, :lesson, :examples, :domain, :tags, :priority,
    :status, :superseded_by, :fingerprint, :origin_kind, :origin_by, :origin_road, :origin_model,
    :origin_prompts, :origin_tokens, :revision, :created_at, :updated_at, :served, :successes,
    :failures)
ON CONFLICT (id) DO UPDATE SET zone = excluded.zone, level = excluded.level,
    title = excluded.title, "when" = excluded."when", lesson = excluded.lesson,
    examples = excluded.examples, domain = excluded.domain, tags = excluded.tags,
    priority = excluded.priority, status = excluded.status,
    superseded_by = excluded.superseded_by, fingerprint = excluded.fingerprint,
    revision = excluded.revision, updated_at = excluded.updated_at
RETURNING number;

-- name: clear_evidence
DELETE FROM evidence WHERE experience_id = :id;

-- name: add_evidence
INSERT INTO evidence (experience_id, place, trajectory_id) VALUES (:id, :place, :trajectory_id);

-- name: clear_words
DELETE FROM words WHERE rowid = :number;

-- name: add_words
INSERT INTO words (rowid, title, "when", lesson, examples, tags)
VALUES (:number, :title, :when, :lesson, :examples, :tags);

-- name: number
SELECT number FROM experiences WHERE id = :id;

-- name: put_tokens
INSERT INTO tokens (experience, version, tokens) VALUES (:number, :version, :tokens)
ON CONFLICT (experience) DO UPDATE SET version = excluded.version, tokens = excluded.tokens;

-- name: add_revision
INSERT INTO revisions (experience_id, revision, kind, before, after, actor, at, reason,
    trajectory_id, origin)
VALUES (:experience_id, :revision, :kind, :before, :after, :actor, :at, :reason, :trajectory_id,
    :origin);

-- name: add_retrieval
INSERT INTO retrievals (id, query, at, client, outcome)
VALUES (:id, :query, :at, :client, :outcome);

-- name: add_retrieval_hit
-- An experience that was erased between the answer and its logging is left out.
INSERT INTO retrieval_hits (retrieval_id, place, experience_id, score, credit)
SELECT :id, :place, :experience_id, :score, :credit
WHERE EXISTS (SELECT 1 FROM experiences WHERE id = :experience_id);

-- name: count_served
UPDATE experiences SET served = served + 1
WHERE id IN (SELECT experience_id FROM retrieval_hits WHERE retrieval_id = :id);

-- name: set_outcome
UPDATE retrievals SET outcome = :outcome WHERE id = :id;

-- name: credit
UPDATE retrieval_hits SET credit = :credit
WHERE retrieval_id = :id AND experience_id = :experience_id;

-- name: count_credit
UPDATE experiences SET successes = successes + :successes, failures = failures + :failures
WHERE id = :experience_id;

-- name: counters
SELECT e.id, e.served, e.successes, e.failures
FROM retrieval_hits h JOIN experiences e ON e.id = h.experience_id
WHERE h.retrieval_id = :id ORDER BY h.place;

-- name: add_brief
INSERT INTO briefs (id, rendered, created_at, expires_at, road, prompts)
VALUES (:id, :rendered, :created_at, :expires_at, :road, :prompts);

-- name: add_brief_trajectory
INSERT INTO brief_trajectories (brief_id, place, trajectory_id)
VALUES (:brief_id, :place, :trajectory_id);

-- name: close_brief
UPDATE briefs SET answer_hash = :answer_hash, decisions = :decisions WHERE id = :id;

-- name: claim_until
UPDATE briefs SET expires_at = :expires_at WHERE id = :id AND answer_hash IS NULL;

-- name: put_turn
-- A question that was put is never put again: of two rounds that ask at once the first stays.
INSERT INTO brief_turns (brief_id, place, prompt) VALUES (:brief_id, :place, :prompt)
ON CONFLICT (brief_id, place) DO NOTHING;

-- name: put_reply
-- The first reply stays.
UPDATE brief_turns SET reply = :reply, model = :model, input_tokens = :input_tokens,
    output_tokens = :output_tokens, batch = NULL
WHERE brief_id = :brief_id AND place = :place AND reply IS NULL AND prompt IS NOT NULL;

-- name: put_batch
UPDATE brief_turns SET batch = :batch WHERE brief_id = :brief_id AND place = :place;

-- name: clear_turns
-- What was said is needed while the brief is open; what it cost stays.
UPDATE brief_turns SET prompt = NULL, reply = NULL, batch = NULL WHERE brief_id = :id;

-- name: drop_emptied_entry
-- It comes back whole.
DELETE FROM entries WHERE identity = :identity || ' forgotten';

-- name: add_entry
INSERT INTO entries (identity, zone, json) VALUES (:identity, :zone, :json)
ON CONFLICT (identity) DO NOTHING RETURNING number;

-- name: add_entry_part
INSERT INTO entry_parts (entry, place, kind, identity, experience_id)
VALUES (:entry, :place, :kind, :identity, :experience_id);

-- name: words_tables
-- The vocabulary is made of the words.
SELECT sql FROM sqlite_schema WHERE name IN ('words', 'vocabulary') ORDER BY name = 'vocabulary';

-- name: drop_words
DROP TABLE vocabulary; DROP TABLE words;

-- name: clear_tokens
DELETE FROM tokens;

-- name: unlike_words
-- Active experiences that full text lacks, and rows of it that belong to none.
SELECT
    (SELECT count(*) FROM experiences e WHERE status = 'active'
      AND NOT EXISTS (SELECT 1 FROM words_docsize d WHERE d.id = e.number))
  + (SELECT count(*) FROM words_docsize d
      WHERE NOT EXISTS (SELECT 1 FROM experiences e WHERE e.number = d.id AND status = 'active'));

-- name: clear_background
-- It is measured again.
DELETE FROM meta WHERE name = 'relevance';

-- name: lost_experiences
SELECT r.*, (SELECT min(at) FROM revisions f WHERE f.experience_id = r.experience_id) AS created_at
FROM revisions r
WHERE NOT EXISTS (SELECT 1 FROM experiences e WHERE e.id = r.experience_id)
  AND r.revision = (SELECT max(revision) FROM revisions l WHERE l.experience_id = r.experience_id);

-- name: held_trajectory
SELECT id, recorded_at AS at, domain, body, compressed,
    json_array(key, task, domain, answer, feedback, agent_name, agent_model) AS text
FROM trajectories;

-- name: held_experience
SELECT id, created_at AS at, domain,
    json_array(title, "when", lesson, json(examples), domain, json(tags), superseded_by,
        origin_by, origin_model, origin_prompts) AS text
FROM experiences;

-- name: held_history
SELECT experience_id AS id, at, NULL AS domain,
    json_array(json(before), json(after), actor, reason, trajectory_id, json(origin)) AS text
FROM revisions;

-- name: held_retrieval
SELECT id, at, NULL AS domain, json_array(query, client) AS text FROM retrievals;

-- name: held_brief
SELECT id, created_at AS at, NULL AS domain, json_array(rendered, json(decisions), prompts) AS text
FROM briefs
UNION ALL
SELECT brief_id, NULL, NULL, json_array(json(prompt), json(reply), model, batch) FROM brief_turns;

-- name: held_entry
SELECT CAST(number AS TEXT) AS id, NULL AS at, NULL AS domain, json AS text FROM entries
WHERE json <> '';

-- name: held_document
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

-- name: held_client
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

-- name: forget_experiences
-- Evidence, history, hits, parts, vectors and tokens go with them.
DELETE FROM experiences WHERE id IN (SELECT value FROM json_each(:ids));

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

-- name: forget_history
DELETE FROM revisions WHERE experience_id = :id AND revision < :revision;

-- name: optimize_words
-- Its tombstones hide a word and leave its bytes; merging all segments into one drops both.
INSERT INTO words (words) VALUES ('optimize');

-- name: source_tables
-- All that are not made of others. Their columns hold every text there is.
SELECT name FROM sqlite_schema
WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT GLOB 'words_*'
  AND name NOT GLOB 'vectors_*' AND name <> 'sqlite_sequence'
UNION ALL SELECT 'sqlite_schema';

-- name: rows_of
-- $table is the name of one of our own tables.
SELECT * FROM "$table";
