-- Writes that PostgreSQL itself decides: READ COMMITTED, on the primary.

-- name: properties
-- What writes to collection $1 must follow, without a lock: to prepare a write, which compares it with the fence's.
SELECT properties::text AS properties FROM _crossfade.stamp_floor WHERE collection = $1;

-- name: take_keys
-- Raise the largest number of the key generator of collection $1 from $2 to $3: no row if it is not $2, or if the collection
-- of that name has another number than $4, which may be NULL. This need not wait for the disk: the commit of the documents
-- comes after it in the same log. So if they are there, the numbers are taken.
WITH unsynced AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE _crossfade.last_key k SET last = $3::text::numeric FROM unsynced
WHERE k.collection = $1 AND k.last = $2::text::numeric
  AND ($4::text IS NULL OR
       (SELECT coalesce(f.properties ->> 'id', '0') FROM _crossfade.stamp_floor f WHERE f.collection = $1) = $4)
RETURNING true AS taken;

-- name: lock_last_key
-- The largest number of the key generator of collection $1, locked, and the number of the collection.
SELECT k.last::text AS last, coalesce(f.properties ->> 'id', '0') AS number
FROM _crossfade.last_key k JOIN _crossfade.stamp_floor f USING (collection) WHERE k.collection = $1 FOR UPDATE OF k;

-- name: begin
-- The first statement of a write's transaction: no row unless PostgreSQL takes the writes of collection $1. $2 keys to lock
-- and load, $3 how many revisions to draw after that, $4 how long to wait for a row, $5 whether to remove every document.
SELECT relation, edge, properties, noted, keys, raws, revisions
FROM _crossfade.begin_write($1, $2::text[], $3::integer, $4, $5::boolean);

-- name: change
-- New versions and removals of rows that `begin` has locked. $1 keys, $2 revisions and $3 raw documents, a line each: an
-- empty one is a removal. $4 queryable documents; NULL: made of raw. A tombstone keeps its revision.
UPDATE {relation} d
SET rev = CASE WHEN g.raw IS NULL THEN d.rev ELSE g.rev END, raw = g.raw, doc = coalesce(g.doc, _crossfade.queryable(g.raw)),
    mark = CASE WHEN g.raw IS NULL THEN greatest(d.mark, (SELECT era FROM _crossfade.era)) ELSE d.mark END
FROM unnest(string_to_array($1, E'\n'), string_to_array($2, E'\n')::bigint[], string_to_array($3, E'\n', '')::json[],
            $4::jsonb[]) AS g (key, rev, raw, doc)
WHERE d.key = g.key;

-- name: insert
-- Documents with keys for which `begin` found no row. The parameters are those of `change`, in the order of the keys, against
-- deadlocks. One that is not written was inserted meanwhile.
INSERT INTO {relation} (key, rev, raw, doc, mark)
SELECT g.key, g.rev, g.raw, coalesce(g.doc, _crossfade.queryable(g.raw)), (SELECT era FROM _crossfade.era)
FROM unnest(string_to_array($1, E'\n'), string_to_array($2, E'\n')::bigint[], string_to_array($3, E'\n')::json[],
            $4::jsonb[]) AS g (key, rev, raw, doc)
ON CONFLICT (key) DO NOTHING;

-- name: note
-- The keys $2, a line each, of collection $1 in the outbox: if `begin` demands it.
INSERT INTO _crossfade.outbox (collection, key) SELECT $1, unnest(string_to_array($2, E'\n'));

-- name: exclusively_locked
-- Whether another session keeps every writer out of table $1.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE relation = to_regclass($1) AND mode = 'ExclusiveLock' AND granted AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS locked;

-- name: blocked_keys
-- The keys among $2 of table $1 that a write could not have now: another transaction has them. $3: whether it would insert
-- documents that do not exist.
SELECT key FROM _crossfade.blocked_keys($1, $2::text[], $3::boolean) AS key;
