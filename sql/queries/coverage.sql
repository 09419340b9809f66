-- Coverage: every shape that was seen, what became of it, how long both sides took, and what gates are measured by.

-- name: add_seen
-- Reads that did not come to the shadow: $1 collections ('db/*': of unknown extent), $2 shapes, $3 texts, $4 numbers.
-- Only of collections that are mirrored: clients name others. One statement, rows in order: no deadlock.
INSERT INTO _crossfade.shape AS s (collection, shape, text, seen, skipped)
SELECT u.collection, u.shape, u.text, u.number, u.number
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u (collection, shape, text, number)
WHERE EXISTS (SELECT 1 FROM _crossfade.collection c
              WHERE c.stage <> 'off' AND (c.collection = u.collection OR c.database || '/*' = u.collection))
ORDER BY 1, 2
ON CONFLICT (collection, shape) DO UPDATE
SET seen = s.seen + excluded.seen, skipped = s.skipped + excluded.skipped, last_seen = now();

-- name: kept
-- Which shapes have rows.
SELECT collection, shape FROM _crossfade.shape;

-- name: add_reasons
-- Why they did not: $1 collections, $2 shapes, $3 reasons, $4 numbers.
INSERT INTO _crossfade.skipped AS s (collection, shape, reason, number)
SELECT u.collection, u.shape, u.reason, u.number
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u (collection, shape, reason, number)
WHERE EXISTS (SELECT 1 FROM _crossfade.shape k WHERE k.collection = u.collection AND k.shape = u.shape)
ORDER BY 1, 2, 3
ON CONFLICT (collection, shape, reason) DO UPDATE SET number = s.number + excluded.number, last_seen = now();

-- name: add_coverage
-- Comparisons since the last reset: $1 collections, $2 shapes, $3 ages of the oldest in each, in seconds, $4 compared,
-- $5 matched, $6 mismatched, $7 undecided, $8 unsupported, $9 and $10 histograms of both sides. Those from before the
-- reset are left out: fewer comparisons, never more.
INSERT INTO _crossfade.coverage AS s (collection, shape, since, compared, matched, mismatched, undecided, unsupported,
                                     origin_histogram, target_histogram)
SELECT u.collection, u.shape, k.since, u.compared, u.matched, u.mismatched, u.undecided, u.unsupported,
       u.origin::bigint[], u.target::bigint[]
FROM unnest($1::text[], $2::text[], $3::float8[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::text[], $10::text[])
     AS u (collection, shape, age, compared, matched, mismatched, undecided, unsupported, origin, target)
JOIN _crossfade.comparison k USING (collection)
WHERE clock_timestamp() - u.age * interval '1 second' >= k.since
ORDER BY 1, 2
ON CONFLICT (collection, shape) DO UPDATE SET
    since = excluded.since,
    compared = CASE WHEN s.since = excluded.since THEN s.compared ELSE 0 END + excluded.compared,
    matched = CASE WHEN s.since = excluded.since THEN s.matched ELSE 0 END + excluded.matched,
    mismatched = CASE WHEN s.since = excluded.since THEN s.mismatched ELSE 0 END + excluded.mismatched,
    undecided = CASE WHEN s.since = excluded.since THEN s.undecided ELSE 0 END + excluded.undecided,
    unsupported = CASE WHEN s.since = excluded.since THEN s.unsupported ELSE 0 END + excluded.unsupported,
    origin_histogram = _crossfade.add_counts(
        CASE WHEN s.since = excluded.since THEN s.origin_histogram ELSE '{}' END, excluded.origin_histogram),
    target_histogram = _crossfade.add_counts(
        CASE WHEN s.since = excluded.since THEN s.target_histogram ELSE '{}' END, excluded.target_histogram)
WHERE s.since <= excluded.since;

-- name: shapes
-- Every shape of collections ($1; NULL for all), with what counts since the last reset and why reads were skipped.
SELECT s.collection, s.shape, s.text, s.seen, s.compared, s.matched, s.mismatched, s.ignored, s.undecided,
    s.unsupported, s.skipped, s.first_seen, s.last_seen, s.exempt_reason, s.exempted_by, s.exempted_at,
    coalesce(v.compared, 0) AS recent_compared, coalesce(v.mismatched, 0) AS recent_mismatched,
    coalesce(v.undecided, 0) AS recent_undecided, coalesce(v.unsupported, 0) AS recent_unsupported,
    coalesce(v.origin_histogram, '{}') AS origin_histogram, coalesce(v.target_histogram, '{}') AS target_histogram,
    (SELECT coalesce(jsonb_object_agg(k.reason, k.number), '{}') FROM _crossfade.skipped k
        WHERE k.collection = s.collection AND k.shape = s.shape)::text AS reasons
FROM _crossfade.shape s
LEFT JOIN _crossfade.comparison c ON c.collection = s.collection
LEFT JOIN _crossfade.coverage v ON v.collection = s.collection AND v.shape = s.shape AND v.since = c.since
WHERE $1::text[] IS NULL OR s.collection = ANY ($1::text[])
ORDER BY s.collection, s.seen DESC, s.shape;

-- name: exempt
-- $1 shape, $2 collection or NULL for each that has it, $3 reason (NULL revokes), $4 who.
UPDATE _crossfade.shape
SET exempt_reason = $3, exempted_by = CASE WHEN $3::text IS NULL THEN NULL ELSE $4::text END,
    exempted_at = CASE WHEN $3::text IS NULL THEN NULL ELSE clock_timestamp() END
WHERE shape = $1 AND ($2::text IS NULL OR collection = $2) AND ($3::text IS NOT NULL OR exempt_reason IS NOT NULL)
RETURNING collection;

-- name: limits
-- Limits of gates that operators have set.
SELECT name, value, reason, actor, set_at FROM _crossfade.gate_limit ORDER BY name;

-- name: set_limit
-- $1 name, $2 value, $3 reason, $4 who.
INSERT INTO _crossfade.gate_limit (name, value, reason, actor) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, reason = excluded.reason, actor = excluded.actor, set_at = now();

-- name: reset_limit
-- $1 name.
DELETE FROM _crossfade.gate_limit WHERE name = $1 RETURNING name;
