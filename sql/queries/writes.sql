-- Writes that PostgreSQL itself decides: READ COMMITTED, on the primary, each in a statement of its own, since a statement
-- that waited for a lock reads everything else by the snapshot from before. In this order: fence, load, revisions, write.

-- name: properties
-- What writes to collection $1 must follow, without a lock: to prepare a write, which compares it with the fence's.
SELECT properties::text AS properties FROM _crossfade.stamp_floor WHERE collection = $1;

-- name: last_key
-- The largest number of the key generator of collection $1, locked. The transaction that takes numbers need not wait for
-- the disk: the commit of the documents comes after it in the same log. So if they are there, the numbers are taken.
SELECT last::text AS last, set_config('synchronous_commit', 'off', true) FROM _crossfade.last_key
WHERE collection = $1 FOR UPDATE;

-- name: set_last_key
-- $1 collection, $2 number.
UPDATE _crossfade.last_key SET last = $2::text::numeric WHERE collection = $1;

-- name: fence
-- No row unless PostgreSQL takes the writes of collection $1; nobody else does before this transaction has ended. $2: how
-- long the statements after this one wait for a lock.
SELECT revisions, properties::text AS properties, set_config('lock_timeout', $2, true)
FROM _crossfade.stamp_floor
WHERE collection = $1 AND writer = 'target' AND (SELECT NOT closing FROM _crossfade.control)
FOR SHARE;

-- name: load
-- The rows of keys $1 text[], locked in the order of keys; raw is NULL for a tombstone.
SELECT key, raw::text AS raw FROM {relation} WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE;

-- name: draw_revisions
-- New revisions of sequence $1, as many as $2: after the rows are locked, so that a key's revisions rise in the order of
-- its writes.
SELECT nextval($1::text::regclass) FROM generate_series(1, $2::integer);

-- name: write
-- New versions and removals, in collection $1. $2 keys, $3 revisions, $4 raw documents (NULL: removed), $5 queryable
-- documents or NULL (then made of raw), $6 whether `load` found a row. A tombstone keeps its revision. Returns the keys
-- that are written: one without a row that is not returned was inserted meanwhile.
WITH given AS MATERIALIZED (
    SELECT g.key, g.rev, g.raw, coalesce(g.doc, _crossfade.queryable(g.raw)) AS doc, g.stored, e.era
    FROM unnest($2::text[], $3::bigint[], $4::json[], $5::jsonb[], $6::boolean[]) AS g (key, rev, raw, doc, stored),
         _crossfade.era e
), updated AS (
    UPDATE {relation} d
    SET rev = CASE WHEN g.raw IS NULL THEN d.rev ELSE g.rev END, raw = g.raw, doc = g.doc,
        mark = CASE WHEN g.raw IS NULL THEN greatest(d.mark, g.era) ELSE d.mark END
    FROM given g WHERE g.stored AND d.key = g.key
    RETURNING d.key
), inserted AS (
    INSERT INTO {relation} (key, rev, raw, doc, mark)
    SELECT key, rev, raw, doc, era FROM given WHERE NOT stored ORDER BY key COLLATE "C"
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), noted AS (
    INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM given ORDER BY key COLLATE "C"
)
SELECT key FROM updated UNION ALL SELECT key FROM inserted;

-- name: empty
-- Remove every document of collection $1.
WITH locked AS MATERIALIZED (
    SELECT key FROM {relation} WHERE doc IS NOT NULL ORDER BY key FOR UPDATE
), removed AS (
    UPDATE {relation} d SET raw = NULL, doc = NULL, mark = greatest(d.mark, e.era)
    FROM locked, _crossfade.era e WHERE d.key = locked.key
    RETURNING d.key
)
INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM removed;
