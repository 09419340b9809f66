-- The catalog and the documents of a server that PostgreSQL is alone: the general way of an endpoint.

-- name: version
-- The number of the present catalog.
SELECT version FROM _crossfade.catalog_version;

-- name: catalog
-- The whole catalog, in the order of creation, with its number. relation: the table of a collection.
SELECT v.version, c.kind, c.name, c.body::text AS body, k.relation
FROM _crossfade.catalog_version v
LEFT JOIN _crossfade.catalog c ON true
LEFT JOIN _crossfade.collection k ON c.kind = 'collection' AND k.collection = c.name
ORDER BY c.place;

-- name: unlisted
-- The collections whose writes PostgreSQL takes and that the catalog does not have: they came from ArangoDB.
SELECT c.database, c.name, c.edge, f.properties::text AS properties
FROM _crossfade.collection c JOIN _crossfade.stamp_floor f USING (collection)
WHERE f.writer = 'target' AND _crossfade.present(c)
    AND NOT EXISTS (SELECT FROM _crossfade.catalog g WHERE g.kind = 'collection' AND g.name = c.collection)
ORDER BY c.collection;

-- name: returned
-- The collections of the catalog whose writes ArangoDB takes again: they were demoted.
SELECT g.name FROM _crossfade.catalog g JOIN _crossfade.stamp_floor f ON f.collection = g.name
WHERE g.kind = 'collection' AND f.writer = 'origin' ORDER BY g.name;

-- name: fence
-- Of the collections $1 text[], in which `database/*` is every one of a database: whether PostgreSQL takes the writes of all
-- of them, and whether ArangoDB takes those of none.
SELECT coalesce(bool_and(writer = 'target'), true) AND (SELECT NOT closing FROM _crossfade.control) AS writes,
       coalesce(bool_and(writer <> 'origin'), true) AS reads
FROM _crossfade.stamp_floor
WHERE collection = ANY ($1::text[]) OR split_part(collection, '/', 1) || '/*' = ANY ($1::text[]);

-- name: closing
-- Whether who takes the writes of promoted collections is about to change.
SELECT closing FROM _crossfade.control;

-- name: raise_version
-- Begin a change of the catalog: no row unless its number is $1. Other changes wait until the transaction ends.
UPDATE _crossfade.catalog_version SET version = version + 1 WHERE version = $1 RETURNING version;

-- name: forget
-- Remove entries of the catalog: $1 kinds, $2 names.
DELETE FROM _crossfade.catalog c USING unnest($1::text[], $2::text[]) AS g (kind, name)
WHERE c.kind = g.kind AND c.name = g.name;

-- name: note
-- Add or change entries of the catalog: $1 kinds, $2 names, $3 bodies.
INSERT INTO _crossfade.catalog (kind, name, body)
SELECT kind, name, body FROM unnest($1::text[], $2::text[], $3::json[]) WITH ORDINALITY AS g (kind, name, body, nth) ORDER BY nth
ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body;

-- name: ticks
-- The last of a thousand numbers that no other process gets.
SELECT nextval('_crossfade.tick') AS last;

-- name: lock_ticks
-- Let no other process take numbers until the transaction ends. It changes nothing.
ALTER SEQUENCE _crossfade.tick INCREMENT BY 1000;

-- name: raise_ticks
-- Let the numbers that processes take from now on be above $1. The caller has locked them.
SELECT setval('_crossfade.tick', greatest(last_value, ceil($1::text::numeric / 1000)::bigint * 1000)) AS last
FROM _crossfade.tick;

-- name: create_collection
-- Make a collection; returns its table. $1 database, $2 name, $3 whether it holds edges, $4 its revisions are above this,
-- $5 what its writes must follow, $6 the largest number of its key generator.
SELECT _crossfade.create_collection($1, $2, $3, $4::bigint, $5::text::json, $6::text::numeric) AS relation;

-- name: in_arangodb
-- Whether ArangoDB has, or gets, collection $1.
SELECT in_arangodb FROM _crossfade.stamp_floor WHERE collection = $1;

-- name: drop_collection
-- Remove collection $1 and its table.
SELECT true AS dropped FROM _crossfade.drop_collection($1);

-- name: rename_collection
-- Name collection $1 $2, $3 and $4: the beginnings of `_id` before and after. Returns its table.
SELECT _crossfade.rename_collection($1, $2, $3, $4) AS relation;

-- name: set_properties
-- What writes to collection $1 must follow from now on: $2. It waits for the writes that follow the former ones.
UPDATE _crossfade.stamp_floor SET properties = $2::text::json WHERE collection = $1;

-- name: lock_wait
-- How long statements of this transaction wait for a lock: $1, for example 500ms.
SELECT set_config('lock_timeout', $1, true) AS was;

-- name: documents
-- The documents with keys $1 text[].
SELECT key, raw::text AS raw FROM {relation} WHERE key = ANY ($1::text[]) AND doc IS NOT NULL;

-- name: all_documents
-- Every document.
SELECT key, raw::text AS raw FROM {relation} WHERE doc IS NOT NULL;

-- name: edges
-- The documents that contain one of $1 jsonb[].
SELECT key, raw::text AS raw FROM {relation} WHERE doc @> ANY ($1::text[]::jsonb[]) AND doc IS NOT NULL;

-- name: size
-- Bytes of all documents, as printed.
SELECT coalesce(sum(octet_length(raw::text)), 0)::bigint AS size FROM {relation} WHERE doc IS NOT NULL;

-- name: count
-- How many documents table $1 has, at the same cost whatever their number.
SELECT _crossfade.count_of($1) AS count;

-- name: counted
-- The number of the present catalog, and of collection $1: how many documents it has, its newest revision, the largest
-- number of its key generator.
SELECT v.version,
       (SELECT coalesce(sum(n.change), 0)::bigint FROM _crossfade.count_change n WHERE n.relation = c.relation) AS documents,
       pg_sequence_last_value(f.revisions::regclass) AS newest, k.last::text AS last_key
FROM _crossfade.catalog_version v, _crossfade.stamp_floor f
JOIN _crossfade.last_key k USING (collection) JOIN _crossfade.collection c USING (collection)
WHERE f.collection = $1;

-- name: fold_counts
-- Put changes of counts together, of each table that has more than $1 of them.
SELECT _crossfade.fold_counts($1);

-- name: state
-- The newest revision of collection $1, and the largest number of its key generator.
SELECT pg_sequence_last_value(f.revisions::regclass) AS newest, k.last::text AS last_key
FROM _crossfade.stamp_floor f JOIN _crossfade.last_key k USING (collection)
WHERE f.collection = $1;

-- name: ttl_indexes
-- The definitions of TTL indexes of collections whose writes PostgreSQL takes.
SELECT f.collection, i.definition::text AS definition
FROM _crossfade.stamp_floor f, json_array_elements(f.properties -> 'indexes') AS i (definition)
WHERE f.writer = 'target' AND i.definition ->> 'type' = 'ttl'
ORDER BY f.collection;

-- name: remove_expired
-- Remove at most $4 documents of collection $1 whose attribute at the path $2 states a time before $3; returns how
-- many.
SELECT coalesce(_crossfade.remove_expired($1, $2::text[], $3::float8, $4::integer), 0) AS removed;

-- name: client_indexes
-- The definitions of the indexes of collections whose writes PostgreSQL takes, with their tables.
SELECT f.collection, c.relation, c.edge, i.definition::text AS definition
FROM _crossfade.stamp_floor f JOIN _crossfade.collection c USING (collection),
     json_array_elements(f.properties -> 'indexes') AS i (definition)
WHERE f.writer = 'target' ORDER BY f.collection;

-- name: moment_column
-- The column of an index of what attributes at the path $1 state, as the removal of expired documents uses it.
SELECT format('_crossfade.moment_of(doc, %L::text[])', $1::text[]) AS moment;

-- name: index_builds
-- The indexes of table $1 that PostgreSQL builds now, and how far each is, in percent.
SELECT c.relname::text AS name, coalesce(
    CASE WHEN p.tuples_total > 0 THEN 100.0 * p.tuples_done / p.tuples_total
         WHEN p.blocks_total > 0 THEN 100.0 * p.blocks_done / p.blocks_total END, 0)::float8 AS progress
FROM pg_stat_progress_create_index p JOIN pg_class c ON c.oid = p.index_relid WHERE p.relid = to_regclass($1);

-- name: made_indexes
-- The indexes of table $1 that exist because of indexes that clients created.
SELECT c.relname::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND obj_description(c.oid, 'pg_class') = 'of a client';

-- name: mark_index
-- Note that index {index} exists because of one that a client created.
COMMENT ON INDEX {index} IS 'of a client';

-- name: try_lock_indexes
-- Whether this session may create and drop indexes now: no other process does.
SELECT pg_try_advisory_lock(hashtextextended('crossfade client indexes', 0)) AS locked;

-- name: unlock_indexes
-- Let other processes create and drop indexes.
SELECT pg_advisory_unlock(hashtextextended('crossfade client indexes', 0)) AS unlocked;
