-- Indexes of document tables: which there are, what is missing, how they are built.

-- name: create
-- The statement itself is generated: {name} and {columns} come from proxy/stores/postgres/own_indexes.py and the compiler.
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {relation} ({columns});

-- name: drop
-- {index}: schema-qualified and quoted.
DROP INDEX CONCURRENTLY IF EXISTS {index};

-- name: carry_out
-- One of the statements that PostgreSQL or this file makes of indexes.
{statement};

-- name: containment_statement
-- The statement that makes the index for equality filters of collection $1; NULL if it is not registered.
SELECT _crossfade.index_statement($1) AS statement;

-- name: has_containment
-- Whether table $1 has a valid index for equality filters.
SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisvalid
    AND pg_get_indexdef(i.indexrelid) LIKE '%jsonb_path_ops%');

-- name: is_valid
-- Whether index $2 of table $1 is valid; no row if there is none of that name.
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND c.relname = $2;

-- name: progress
-- How far the build of an index on table $1 is.
SELECT p.phase,
    CASE WHEN p.tuples_total > 0 THEN 100 * p.tuples_done / p.tuples_total
         WHEN p.blocks_total > 0 THEN 100 * p.blocks_done / p.blocks_total END AS percent
FROM pg_stat_progress_create_index p WHERE p.relid = to_regclass($1);

-- name: drops_of_invalid
-- The statements that drop what interrupted builds left on table $1, of our indexes alone.
SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', n.nspname, c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass($1) AND NOT i.indisvalid AND c.relname ~ '^(list_|doc[_/]|text[_/]|ttl/)'
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid);

-- name: analyze
-- Statistics of what new indexes are over.
ANALYZE {relation};

-- name: full_text_statement
-- The index for full-text search over every string of a document: $1 collection.
SELECT format('CREATE INDEX CONCURRENTLY IF NOT EXISTS %I ON %s USING gin (_crossfade.full_text(doc))',
              _crossfade.index_name('text', $1), relation) FROM _crossfade.collection WHERE collection = $1;

-- name: broken_indexes
-- Our indexes whose build was interrupted: $1 collection, $2 relation. They must be dropped first.
SELECT i.indexrelid::regclass::text AS name
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = $2::text::regclass AND c.relname IN (_crossfade.index_name('doc', $1), _crossfade.index_name('text', $1)) AND NOT i.indisvalid;

-- name: measure
-- The length of the longest value that an index would have of document $1 with key $2. {lengths}: of each of its columns.
SELECT greatest({lengths}) AS longest FROM (SELECT $1::text::jsonb AS doc, $2::text COLLATE "C" AS key) AS one;
