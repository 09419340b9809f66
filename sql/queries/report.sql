-- What the migration report reads, beside what `crossfade status` reads (control.sql).

-- name: collections
-- $1 text[], NULL for all.
SELECT c.collection, c.database, c.edge, c.relation, c.stage, c.weight, c.stage_since,
       coalesce(k.compared, 0) AS compared,
       coalesce(k.mismatched, 0) AS mismatched, coalesce(k.undecided, 0) AS undecided,
       coalesce(k.unsupported, 0) AS unsupported,
       (SELECT count(*) FROM _crossfade.shape s WHERE s.collection = c.collection) AS shapes,
       (SELECT count(*) FROM _crossfade.shape s WHERE s.collection = c.collection AND s.compared > 0) AS shapes_compared
FROM _crossfade.collection c LEFT JOIN _crossfade.comparison k USING (collection)
WHERE $1::text[] IS NULL OR c.collection = ANY ($1::text[])
ORDER BY c.collection;

-- name: counts
-- Documents and tombstones of a table, and its size on disk with indexes.
SELECT count(*) FILTER (WHERE doc IS NOT NULL) AS documents, count(*) FILTER (WHERE doc IS NULL) AS tombstones,
       pg_total_relation_size('{relation}'::regclass) AS disk
FROM {relation};

-- name: runs
-- Backfills and verifications of a collection ($1), newest first, at most $2.
SELECT r.id, r.kind, r.mode, r.state, r.started_at, r.finished_at, r.result::text AS result,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8 AS seconds,
       coalesce(sum(c.documents), 0)::bigint AS documents, coalesce(sum(c.bytes), 0)::bigint AS bytes,
       count(c.number) AS chunks, count(*) FILTER (WHERE c.state = 'done') AS done
FROM _crossfade.run r LEFT JOIN _crossfade.chunk c ON c.run = r.id
WHERE r.collection = $1
GROUP BY r.id
ORDER BY r.id DESC LIMIT $2;

-- name: run_count
-- Runs of collection $1.
SELECT count(*) FROM _crossfade.run WHERE collection = $1;

-- name: mismatches
-- $1 collection, $2 at most.
SELECT id, class AS kind, paths, state, seen, first_seen, last_seen, cardinality(keys) AS keys
FROM _crossfade.mismatch WHERE collection = $1 ORDER BY state, last_seen DESC, id LIMIT $2;

-- name: mismatch_counts
-- Mismatches of collection $1 by state.
SELECT state, count(*) AS found
FROM _crossfade.mismatch WHERE collection = $1 GROUP BY state ORDER BY state;

-- name: dead_letters
-- $1 collection, $2 at most.
SELECT key, reason FROM _crossfade.dead_letter WHERE collection = $1 ORDER BY key LIMIT $2;

-- name: unverified
-- Marks that no finished verification of the collection ($1, of database $2) covers, by reason.
SELECT u.reason, count(*) AS seen
FROM _crossfade.unverified u
WHERE u.collection IN ($1, $2 || '/*', '*/*')
  AND u.id > coalesce((SELECT max(r.unverified_before) FROM _crossfade.run r
                       WHERE r.collection = $1 AND r.kind = 'verify' AND r.state = 'done'), 0)
GROUP BY u.reason ORDER BY u.reason;

-- name: uncovered
-- What passed through without being captured or compared: $1 collection, $2 its database.
SELECT collection, endpoint, reason, seen FROM _crossfade.uncovered
WHERE database = $2 AND collection IN ($1, '', $2 || '/*')
ORDER BY endpoint, reason, collection;

-- name: epochs
-- Newest first, at most $1.
SELECT epoch, opened_at, closed_at, outcome, actor, reason, moves::text AS moves
FROM _crossfade.epoch ORDER BY epoch DESC LIMIT $1;

-- name: users
-- The table of users that documents may refer to, quoted; no row if there is none.
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id' AND NOT a.attisdropped
WHERE c.relname = 'user' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY n.nspname <> 'public', n.nspname LIMIT 1;

-- name: orphans
-- Documents whose user_id refers to no user, and how many have a user_id. {users}: the table of users.
SELECT count(*) AS with_user,
       count(*) FILTER (WHERE u.id IS NULL) AS documents,
       count(DISTINCT d.doc ->> 'user_id') FILTER (WHERE u.id IS NULL) AS users,
       (array_agg(DISTINCT d.doc ->> 'user_id') FILTER (WHERE u.id IS NULL))[1:20] AS ids
FROM {relation} d LEFT JOIN {users} u ON u.id::text = d.doc ->> 'user_id'
WHERE d.doc ->> 'user_id' IS NOT NULL;
