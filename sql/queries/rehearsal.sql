-- The rehearsal of writes: what a write met, and verdicts by shape of write.

-- name: versions
-- The rows with keys $1 text[], tombstones too.
SELECT key, rev, raw::text AS raw FROM {relation} WHERE key = ANY ($1::text[]);

-- name: whole
-- Every document and every tombstone: at most $1 rows.
SELECT key, rev, raw::text AS raw FROM {relation} LIMIT $1;

-- name: add_shapes
-- $1 collections, $2 shapes, $3 texts, $4 seen, $5 equal, $6 different, $7 without a verdict. Only of collections that are
-- mirrored. One statement, rows in order: no deadlock.
INSERT INTO _crossfade.write_shape AS s (collection, shape, text, seen, equal, different, no_verdict)
SELECT u.collection, u.shape, u.text, u.seen, u.equal, u.different, u.no_verdict
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS u (collection, shape, text, seen, equal, different, no_verdict)
WHERE EXISTS (SELECT FROM _crossfade.collection c WHERE c.collection = u.collection AND c.stage <> 'off')
ORDER BY 1, 2
ON CONFLICT (collection, shape) DO UPDATE
SET seen = s.seen + excluded.seen, equal = s.equal + excluded.equal, different = s.different + excluded.different,
    no_verdict = s.no_verdict + excluded.no_verdict, last_seen = now();

-- name: add_reasons
-- Why there was no verdict: $1 collections, $2 shapes, $3 reasons, $4 numbers.
INSERT INTO _crossfade.write_shape_reason AS s (collection, shape, reason, number)
SELECT u.collection, u.shape, u.reason, u.number
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u (collection, shape, reason, number)
WHERE EXISTS (SELECT FROM _crossfade.write_shape k WHERE k.collection = u.collection AND k.shape = u.shape)
ORDER BY 1, 2, 3
ON CONFLICT (collection, shape, reason) DO UPDATE SET number = s.number + excluded.number;

-- name: kept
-- Which shapes have rows.
SELECT collection, shape FROM _crossfade.write_shape;

-- name: shapes
-- Every shape of collections ($1; NULL for all).
SELECT s.collection, s.shape, s.text, s.seen, s.equal, s.different, s.no_verdict, s.first_seen, s.last_seen,
    (SELECT coalesce(jsonb_object_agg(k.reason, k.number), '{}') FROM _crossfade.write_shape_reason k
        WHERE k.collection = s.collection AND k.shape = s.shape)::text AS reasons
FROM _crossfade.write_shape s
WHERE $1::text[] IS NULL OR s.collection = ANY ($1::text[])
ORDER BY s.collection, s.seen DESC, s.shape;

-- name: open_mismatches
-- Mismatches of writes that are open, by collection ($1; NULL for all): kinds of them.
SELECT collection, count(*) AS kinds FROM _crossfade.mismatch
WHERE class = 'write' AND state = 'open' AND ($1::text[] IS NULL OR collection = ANY ($1::text[]))
GROUP BY collection ORDER BY collection;
