-- What the mirror asks of PostgreSQL beside the statements of I4 (documents.sql).

-- name: raise_era
-- In a separate transaction: a repair may rely on it only once it is committed.
SELECT _crossfade.raise_era();

-- name: dead_letter_collections
-- Collections that have dead letters.
SELECT DISTINCT collection FROM _crossfade.dead_letter;

-- name: end_superseded
-- Dead letters whose key has that revision or a newer one by now; of a removal, one that is removed. $1 collection, $2
-- keys (NULL: all).
DELETE FROM _crossfade.dead_letter l USING {relation} d
WHERE l.collection = $1 AND ($2::text[] IS NULL OR l.key = ANY ($2)) AND d.key = l.key
  AND (d.rev > l.rev OR (d.rev = l.rev AND (d.doc IS NULL OR NOT l.removed)))
RETURNING l.key;

-- name: retried
-- Dead letters that were not tried for $1 seconds, the oldest $2, which the caller tries now.
UPDATE _crossfade.dead_letter l SET tried_at = clock_timestamp()
FROM (SELECT collection, key FROM _crossfade.dead_letter
      WHERE tried_at < clock_timestamp() - make_interval(secs => $1::float8)
      ORDER BY tried_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
WHERE l.collection = due.collection AND l.key = due.key
RETURNING l.collection, l.key;

-- name: probe
-- Only to be rolled back: another row of the table than $2 (keys), the first or last by key, is written as it is, and a
-- note of collection $1. A row that another session locks is skipped. True if there was such a row.
WITH other AS (
    SELECT d.key FROM {relation} d
    WHERE d.key <> ALL ($2::text[])
      AND NOT EXISTS (SELECT FROM _crossfade.dead_letter l WHERE l.collection = $1 AND l.key = d.key)
    ORDER BY d.key {order} LIMIT 1 FOR UPDATE SKIP LOCKED
), touched AS (
    UPDATE {relation} d SET rev = d.rev FROM other WHERE d.key = other.key RETURNING d.key
), noted AS (
    INSERT INTO _crossfade.dead_letter (collection, key, rev, reason) VALUES ($1, '', 0, '')
)
SELECT EXISTS (SELECT FROM touched);

-- name: old_tombstones
-- Tombstones from before an era ($1), at most $2. Takes no lock.
SELECT key FROM {relation} WHERE doc IS NULL AND mark < $1 LIMIT $2;

-- name: raise_stamp_floor
-- First statement of a purge: from now on statements stamped before that era are refused. $1 collection, $2 era.
UPDATE _crossfade.stamp_floor SET floor = $2 WHERE collection = $1 AND floor < $2;

-- name: purge
-- Second statement of a purge, in the same transaction. $1 era, $2 keys.
DELETE FROM {relation} WHERE key = ANY ($2::text[]) AND doc IS NULL AND mark < $1;

-- name: alive
-- A page of living keys and their revisions, in key order. $1 after, $2 at most.
SELECT key, rev FROM {relation} WHERE doc IS NOT NULL AND key > $1 ORDER BY key LIMIT $2;

-- name: edge_columns
-- A collection that was registered before it was known to hold edges gets their columns.
ALTER TABLE {relation}
    ADD COLUMN IF NOT EXISTS from_id text COLLATE "C" GENERATED ALWAYS AS (doc ->> '_from') STORED,
    ADD COLUMN IF NOT EXISTS to_id text COLLATE "C" GENERATED ALWAYS AS (doc ->> '_to') STORED;

-- name: edge
-- $1 collection.
UPDATE _crossfade.collection SET edge = true WHERE collection = $1;

-- name: edges_of
-- Keys of the edges that end in a document. $1 its handle.
SELECT key FROM {relation}
WHERE doc @> jsonb_build_object('_from', $1::text) OR doc @> jsonb_build_object('_to', $1::text);

-- name: timeline
-- The timeline that PostgreSQL writes now, and the one that was noted.
SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer AS present,
    (SELECT timeline FROM _crossfade.timeline) AS noted;

-- name: note_timeline
-- $1 timeline.
INSERT INTO _crossfade.timeline (timeline) VALUES ($1) ON CONFLICT (one) DO NOTHING;

-- name: move_timeline
-- For one instance alone: $1 the new timeline, $2 the one that was noted.
UPDATE _crossfade.timeline SET timeline = $1, noted_at = now() WHERE timeline = $2 RETURNING timeline;

-- name: leap
-- The era beyond any that was given out and lost; every stamp floor to it. Locked in one order, as transactions do.
WITH raised AS (UPDATE _crossfade.era SET era = era + 1000000 RETURNING era),
     locked AS (SELECT collection FROM _crossfade.stamp_floor ORDER BY collection COLLATE "C" FOR UPDATE)
UPDATE _crossfade.stamp_floor h SET floor = raised.era FROM raised, locked
WHERE h.collection = locked.collection AND h.floor < raised.era
RETURNING h.collection;

-- name: leap_revisions
-- The revisions that PostgreSQL gives continue above the clock and $1 milliseconds, and above those that it gave before.
SELECT _crossfade.leap_revisions($1);

-- name: dropped
-- Note whether the origin has dropped collection $1 ($2).
UPDATE _crossfade.collection SET dropped_at = CASE WHEN $2 THEN clock_timestamp() END
WHERE collection = $1 AND ($2 OR dropped_at IS NOT NULL);

-- name: own_indexes
-- Indexes of ours on table $1 that take values whole, and their columns as SQL.
SELECT c.relname AS name,
    ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) AS n) AS columns
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND c.relname LIKE 'list\_%';

-- name: of_origin
-- Every collection whose writes ArangoDB takes, and its table.
SELECT c.collection, c.relation FROM _crossfade.collection c JOIN _crossfade.stamp_floor f USING (collection)
WHERE f.writer = 'origin' AND _crossfade.present(c) ORDER BY c.collection;

-- name: has_index
-- Whether there is a valid index of the qualified and quoted name $1.
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid) AS found;

-- name: expired
-- Documents whose moment ({moment}) is before $1, in their order after the moment $2 and key $3, at most $4.
SELECT {moment} AS moment, key FROM {relation}
WHERE {moment} < $1::float8 AND {moment} >= $2::float8 AND ({moment}, key) > ($2::float8, $3::text)
ORDER BY {moment}, key LIMIT $4;
