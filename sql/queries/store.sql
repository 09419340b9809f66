-- Reads of the target as a store. Each carries the fence (mirror-protocol, "Flip", 5): the generation is mine and no
-- registered instance's lease has run out or is diverged; of promoted collections leases do not matter, and the generation
-- is given below zero (-1 - generation). It is part of the read's own statement, so that there is no gap
-- between check and act: both see one snapshot, and the clock is read after the snapshot was taken. A generation of NULL
-- is no fence. Every statement gives at least one row; holds: the fence held; raw: NULL if no document was found.

-- fragment: fence(generation)
-- One row: whether the fence of this generation holds.
fence AS MATERIALIZED (
    SELECT {generation}::bigint IS NULL OR (
        EXISTS (SELECT 1 FROM _crossfade.control
                WHERE generation = CASE WHEN {generation} < 0 THEN -1 - {generation} ELSE {generation} END)
        AND ({generation} < 0 OR NOT EXISTS (
            SELECT 1 FROM _crossfade.instance
            WHERE stopped_at IS NULL AND (diverged OR lease_until < clock_timestamp())))) AS holds
)

-- name: count
-- Documents of a collection, tombstones left out.
SELECT count(*) FROM {relation} WHERE doc IS NOT NULL;

-- name: read
-- The document with key $1, under the fence of generation $2.
WITH {fence($2)}
SELECT f.holds, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.key = $1 AND d.doc IS NOT NULL;

-- name: read_many
-- The documents with keys $1 text[], under the fence of generation $2.
WITH {fence($2)}
SELECT f.holds, d.key, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.key = ANY ($1::text[]) AND d.doc IS NOT NULL;

-- name: read_in_graph
-- The document with key $1, and the definition of graph $3 in {definitions}, under the fence of generation $2.
WITH {fence($2)}
SELECT f.holds, d.raw::text AS raw, g.raw::text AS graph
FROM fence f
LEFT JOIN {relation} d ON f.holds AND d.key = $1 AND d.doc IS NOT NULL
LEFT JOIN {definitions} g ON f.holds AND g.key = $3 AND g.doc IS NOT NULL;

-- name: any
-- A random document, under the fence of generation $1.
WITH {fence($1)}
SELECT f.holds, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.doc IS NOT NULL
ORDER BY random() LIMIT 1;

-- name: scan
-- All documents, at most $1, under the fence of generation $2. Three statements rather than one with optional filters:
-- a generic plan of that would not use the indexes.
WITH {fence($2)}
SELECT f.holds, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.doc IS NOT NULL
LIMIT $1;

-- name: scan_keys
-- Documents with keys $3 text[], at most $1, under the fence of generation $2.
WITH {fence($2)}
SELECT f.holds, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.key = ANY ($3::text[]) AND d.doc IS NOT NULL
LIMIT $1;

-- name: scan_containing
-- Documents that contain $3 jsonb, at most $1, under the fence of generation $2.
WITH {fence($2)}
SELECT f.holds, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.doc @> $3::jsonb AND d.doc IS NOT NULL
LIMIT $1;

-- name: scan_among
-- Documents that contain one of $3 jsonb[], at most $1, under the fence of generation $2.
WITH {fence($2)}
SELECT f.holds, d.raw::text AS raw
FROM fence f LEFT JOIN {relation} d ON f.holds AND d.doc @> ANY ($3::text[]::jsonb[]) AND d.doc IS NOT NULL
LIMIT $1;

-- name: pages
-- All documents in the order of keys, without a fence: for a cursor.
SELECT d.raw::text AS raw FROM {relation} d WHERE d.doc IS NOT NULL ORDER BY d.key COLLATE "C";

-- name: pages_keys
-- Documents with keys $1 text[], likewise.
SELECT d.raw::text AS raw FROM {relation} d WHERE d.key = ANY ($1::text[]) AND d.doc IS NOT NULL
ORDER BY d.key COLLATE "C";

-- name: pages_containing
-- Documents that contain $1 jsonb, likewise.
SELECT d.raw::text AS raw FROM {relation} d WHERE d.doc @> $1::jsonb AND d.doc IS NOT NULL ORDER BY d.key COLLATE "C";

-- name: pages_among
-- Documents that contain one of $1 jsonb[], likewise.
SELECT d.raw::text AS raw FROM {relation} d WHERE d.doc @> ANY ($1::text[]::jsonb[]) AND d.doc IS NOT NULL
ORDER BY d.key COLLATE "C";

-- name: scan_count
-- The number of documents, under the fence of generation $1.
WITH {fence($1)}
SELECT f.holds, CASE WHEN f.holds THEN (SELECT count(*) FROM {relation} WHERE doc IS NOT NULL) END AS number
FROM fence f;

-- name: holds
-- Whether the fence of generation $1 holds, for an answer that takes nothing from a table.
SELECT EXISTS (SELECT 1 FROM _crossfade.control WHERE generation = $1)
    AND NOT EXISTS (SELECT 1 FROM _crossfade.instance
                    WHERE stopped_at IS NULL AND (diverged OR lease_until < clock_timestamp())) AS holds;

-- name: fenced
-- A compiled query, under the fence of generation {generation}. One row of the fence on the outer side of a nested loop:
-- the query's own order is kept. Its first column is true, which distinguishes no row from a row of nulls.
WITH {fence({generation})}
SELECT f.holds, q.* FROM fence f LEFT JOIN LATERAL ({query}) q ON f.holds;

-- name: fenced_count
-- The number of rows of a compiled query, under the fence of generation {generation}.
WITH {fence({generation})}
SELECT f.holds, CASE WHEN f.holds THEN (SELECT count(*) FROM ({query}) q) END AS number FROM fence f;

-- name: has_icu
-- Whether strings can be put into ArangoDB's order here.
SELECT _crossfade.has_icu();

-- name: indexed
-- The attributes whose `doc -> 'name'` is the first column of an index of table $1.
SELECT coalesce(array_agg(DISTINCT m[1]), '{}')
FROM pg_index i, regexp_match(pg_get_indexdef(i.indexrelid, 1, false), '^\(*doc -> ''([A-Za-z_][A-Za-z0-9_]*)''::text\)*$') m
WHERE i.indrelid = to_regclass($1) AND i.indisvalid AND m IS NOT NULL;

-- name: small
-- Whether table $1 holds so few documents (4 MiB, what is stored apart not counted) that putting them into order costs little.
SELECT coalesce(pg_relation_size(to_regclass($1)) < 4194304, true);
