-- Promotions and demotions: who takes the writes of collections (promotion-protocol). Each of the first six runs in the
-- transaction that changes the control row, and waits for the writes that have tested who takes them.

-- name: begin_taking
-- First of the commit of a promotion, before `take_writes` of each: lock collections $1, whose writes ArangoDB takes, and
-- refuse what was stamped before.
SELECT true AS locked FROM _crossfade.raise_floors($1::text[], 'origin');

-- name: withhold
-- PostgreSQL takes no more writes of collections $1: a demotion begins.
SELECT true AS withheld FROM _crossfade.withhold_writes($1::text[]);

-- name: resume
-- PostgreSQL takes the writes of collections $1 as before their demotion began.
SELECT true AS resumed FROM _crossfade.resume_writes($1::text[]);

-- name: give_back
-- ArangoDB takes the writes of collections $1 again. It has all that PostgreSQL took.
SELECT true AS given_back FROM _crossfade.give_writes_back($1::text[]);

-- name: complete
-- ArangoDB gets no more writes of collections $1, and has all until now: PostgreSQL takes them again. None was taken since the
-- epoch began.
SELECT true AS completed FROM _crossfade.complete_collections($1::text[]);

-- name: pause_writes
-- Writes that PostgreSQL decides are to pause, so that a demotion or completion can begin. A change of the control row ends it.
UPDATE _crossfade.control SET closing = true WHERE NOT closing;

-- name: end_pause
-- It does not begin.
UPDATE _crossfade.control SET closing = false WHERE closing;

-- name: rights_missing
-- Whether ArangoDB's users lack a right on one of collections $1 text[] that a promotion took.
SELECT EXISTS (SELECT FROM _crossfade.origin_right WHERE collection = ANY ($1::text[])) AS taken;

-- name: other_writers
-- Of collections $1 those whose writes $2 does not take.
SELECT c.collection FROM unnest($1::text[]) AS c (collection)
LEFT JOIN _crossfade.stamp_floor f ON f.collection = c.collection
WHERE f.writer IS DISTINCT FROM $2 ORDER BY c.collection;

-- name: note_rights
-- What users were granted on collections, before it is taken: $1 collections, $2 users, $3 levels of the collection itself
-- (NULL: none), $4 what their level followed from otherwise (json). What was noted before stays: it is the older.
INSERT INTO _crossfade.origin_right (collection, username, granted, followed)
SELECT n.collection, n.username, n.granted, n.followed::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (collection, username, granted, followed)
ON CONFLICT (collection, username) DO NOTHING;

-- name: asking
-- A change of rights is about to be requested: $1 collections, $2 users.
UPDATE _crossfade.origin_right r SET asked_at = clock_timestamp()
FROM unnest($1::text[], $2::text[]) AS n (collection, username)
WHERE r.collection = n.collection AND r.username = n.username;

-- name: answered
-- The change was answered: $1 collections, $2 users; $3 when an earlier one was requested that was not, if one was.
UPDATE _crossfade.origin_right r SET asked_at = n.before
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (collection, username, before)
WHERE r.collection = n.collection AND r.username = n.username;

-- name: forget_rights
-- Users have again what they had: $1 collections, $2 users.
DELETE FROM _crossfade.origin_right r USING unnest($1::text[], $2::text[]) AS n (collection, username)
WHERE r.collection = n.collection AND r.username = n.username;

-- name: to_give_back
-- Rights that were taken from users although ArangoDB takes the writes and no promotion is under way. late: a change that was
-- requested in the last $1 seconds, and not answered, may still happen.
SELECT r.collection, r.username, r.granted, r.asked_at,
    coalesce(r.asked_at > clock_timestamp() - make_interval(secs => $1::float8), false) AS late
FROM _crossfade.origin_right r LEFT JOIN _crossfade.stamp_floor f ON f.collection = r.collection
WHERE coalesce(f.writer, 'origin') = 'origin' AND NOT EXISTS (
    SELECT FROM _crossfade.control c JOIN _crossfade.epoch e ON e.epoch = c.epoch
    CROSS JOIN jsonb_array_elements(e.moves) AS m (move)
    WHERE c.phase <> 'settled' AND m.move ->> 'collection' = r.collection)
ORDER BY r.collection, r.username;

-- name: unanswered_rights
-- Of collections $1 those with a change of rights that was requested in the last $2 seconds and not answered.
SELECT DISTINCT collection FROM _crossfade.origin_right
WHERE collection = ANY ($1::text[]) AND asked_at > clock_timestamp() - make_interval(secs => $2::float8)
ORDER BY collection;

-- name: incomplete_rights
-- The collections on which a user lacks a right that a promotion took.
SELECT DISTINCT collection FROM _crossfade.origin_right ORDER BY collection;

-- name: open_runs
-- Backfills and verifications of collections $1 that are not finished.
SELECT id, kind, collection FROM _crossfade.run WHERE collection = ANY ($1::text[]) AND state = 'open' ORDER BY id;

-- name: end_runs
-- PostgreSQL takes the writes of collections $1: whatever compares them with ArangoDB ends.
UPDATE _crossfade.run SET state = 'cancelled', finished_at = clock_timestamp()
WHERE collection = ANY ($1::text[]) AND state = 'open';

-- name: lacking
-- How many writes of collections $1 ArangoDB lacks, with the changes of whole collections of their databases.
SELECT count(*) AS number FROM _crossfade.outbox o
WHERE o.collection = ANY ($1::text[])
    OR (o.kind <> 'document' AND split_part(o.collection, '/', 1) IN (SELECT split_part(c, '/', 1) FROM unnest($1::text[]) AS c));

-- name: newest_given
-- The newest revision that PostgreSQL gave to a document of collections $1; 0 if it never did.
SELECT coalesce(max(pg_sequence_last_value(revisions::regclass)), 0) AS newest FROM _crossfade.stamp_floor
WHERE collection = ANY ($1::text[]);

-- name: not_in_arangodb
-- Of collections $1 those that ArangoDB does not have.
SELECT collection FROM _crossfade.stamp_floor WHERE collection = ANY ($1::text[]) AND NOT in_arangodb ORDER BY collection;

-- name: count_changes
-- First of two steps that count the documents of table $1 from now on, without a long lock: changes are noted.
SELECT true AS noted FROM _crossfade.count_changes($1);

-- name: recount
-- The second, in a transaction of one snapshot: the number of its documents, in place of what was noted of it before. What is
-- committed beside this is noted in addition. $1: the table's name as notes have it.
WITH noted AS (DELETE FROM _crossfade.count_change WHERE relation = $1)
INSERT INTO _crossfade.count_change (relation, change) SELECT $1, count(*) FROM {relation} WHERE doc IS NOT NULL;

-- name: taken_over
-- A row if ArangoDB does not take the writes of collection $1.
SELECT writer FROM _crossfade.stamp_floor WHERE collection = $1 AND writer <> 'origin';

-- name: noted_rights
-- What users had on collections on which a promotion took their right to write: the level of the collection itself, if any.
SELECT collection, username, granted FROM _crossfade.origin_right ORDER BY collection, username;
