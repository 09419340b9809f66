-- Unique indexes of collections whose writes PostgreSQL takes: what holds them is in the migration pre_indexes.

-- name: create
-- Create index $2 of table $1, still without entries: over the paths $3, sparse if $4, an array may repeat an element if $5.
SELECT _crossfade.create_unique_index($1, $2, $3::text[], $4::boolean, $5::boolean);

-- name: fill
-- Add the entries of the next $4 documents of table $1 after key $3 to index $2. last: the key to continue after, or NULL.
SELECT last, conflict, holder FROM _crossfade.fill_unique_index($1, $2, $3, $4::integer);

-- name: finish
-- The index whose entries are {entries} is complete.
COMMENT ON TABLE {entries} IS 'ready';

-- name: drop
-- Drop index $1, if there is one.
SELECT _crossfade.drop_unique_index($1);

-- name: exists
-- Whether there is an index $1, complete or not.
SELECT to_regclass(_crossfade.unique_entries($1)) IS NOT NULL AS exists;

-- name: lock_properties
-- What writes to collection $1 must follow, with its indexes: they do not change until the transaction ends. No row if ArangoDB
-- takes its writes: then it has the unique values.
SELECT properties::text AS properties FROM _crossfade.stamp_floor WHERE collection = $1 AND writer <> 'origin' FOR SHARE;

-- name: mark_build
-- Note that this session builds index $1: while it lives, the index is not unfinished.
SELECT true AS marked FROM pg_advisory_lock(hashtextextended('unique/' || $1, 0));

-- name: unmark_build
-- Note that this session no longer builds index $1.
SELECT pg_advisory_unlock(hashtextextended('unique/' || $1, 0)) AS unmarked;

-- name: note_build
-- Note that $3 % of index $1 of table $2 is built; $4: the index as clients see it.
INSERT INTO _crossfade.catalog (kind, name, body)
VALUES ('building', $1, json_build_object('relation', $2::text, 'progress', $3::float8, 'definition', $4::text::json))
ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body;

-- name: forget_build
-- Forget that index $1 is being built.
DELETE FROM _crossfade.catalog WHERE kind = 'building' AND name = $1;

-- name: builds
-- The indexes of table $1 that are being built, as clients see them, and how much of each is built, in percent.
SELECT body ->> 'definition' AS definition, (body ->> 'progress')::float8 AS progress FROM _crossfade.catalog
WHERE kind = 'building' AND body ->> 'relation' = $1
    AND obj_description(to_regclass(_crossfade.unique_entries(name)), 'pg_class') = 'building'
ORDER BY place;

-- name: unfinished
-- The numbers of indexes whose build did not end, and which no session builds: until the transaction ends, none will.
WITH building AS MATERIALIZED (
    SELECT substr(c.relname, 8) AS id FROM pg_class c
    WHERE c.relnamespace = '_crossfade'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'unique/%'
        AND obj_description(c.oid, 'pg_class') = 'building'
)
SELECT id FROM building WHERE pg_try_advisory_xact_lock(hashtextextended('unique/' || id, 0));

-- name: holders
-- The keys of the documents that have the values $1 in the index whose entries are {entries}: each value a JSON array with one
-- for each field of the index, as the only attribute of an object. place: of the value, from 1.
SELECT g.place, e.key FROM unnest($1::jsonb[]) WITH ORDINALITY g (value, place)
JOIN {entries} e ON e.value = _crossfade.index_entry_of(g.value -> 'v');

-- name: try_claim
-- Claim the values $1, as in `holders`, in the index whose entries are {entries}: it waits for the transactions that have
-- added or removed one of them. The caller undoes it.
INSERT INTO {entries} (value, key) SELECT _crossfade.index_entry_of(g.value -> 'v'), '' FROM unnest($1::jsonb[]) g (value)
ON CONFLICT (value) DO NOTHING;
