-- What the shadow saw. Counts come as deltas, in batches; times as ages in seconds, so that two clocks need not agree.

-- name: transaction_id
-- The transaction that is open, by which its fate can be asked later.
SELECT pg_current_xact_id()::text;

-- name: transaction_status
-- committed, aborted, in progress; NULL where it is too long ago.
SELECT pg_xact_status($1::text::xid8);

-- name: add_shapes
-- $1 collections, $2 shapes, $3 texts, then arrays of deltas in the order of the columns.
INSERT INTO crossfade.shape AS s (collection, shape, text, seen, compared, matched, mismatched, unsettled, unsupported,
                                  skipped, origin_seconds, target_seconds)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::bigint[], $11::float8[], $12::float8[])
ORDER BY 1, 2
ON CONFLICT (collection, shape) DO UPDATE
SET seen = s.seen + excluded.seen, compared = s.compared + excluded.compared, matched = s.matched + excluded.matched,
    mismatched = s.mismatched + excluded.mismatched, unsettled = s.unsettled + excluded.unsettled,
    unsupported = s.unsupported + excluded.unsupported, skipped = s.skipped + excluded.skipped,
    origin_seconds = s.origin_seconds + excluded.origin_seconds,
    target_seconds = s.target_seconds + excluded.target_seconds, last_seen = now();

-- name: add_comparisons
-- $1 collections, $2 ages of the oldest observation in each, then deltas: compared, matched, unsettled, unsupported,
-- lagged. Observations from before the last reset (`since`) are left out: fewer comparisons, never more.
INSERT INTO crossfade.comparison AS c (collection, since, compared, matched, unsettled, unsupported, lagged)
SELECT u.collection, clock_timestamp() - u.age * interval '1 second', u.compared, u.matched, u.unsettled, u.unsupported,
       u.lagged
FROM unnest($1::text[], $2::float8[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS u (collection, age, compared, matched, unsettled, unsupported, lagged)
ORDER BY 1
ON CONFLICT (collection) DO UPDATE
SET compared = c.compared + excluded.compared, matched = c.matched + excluded.matched,
    unsettled = c.unsettled + excluded.unsettled, unsupported = c.unsupported + excluded.unsupported,
    lagged = c.lagged + excluded.lagged
WHERE excluded.since >= c.since;

-- name: add_mismatch
-- One fingerprint. $1 collection, $2 fingerprint, $3 class, $4 paths, $5 times seen, $6 age of the newest, $7 keys,
-- $8 samples (jsonb). Seen again after its repair, it is open again, with the keys and samples of this time.
INSERT INTO crossfade.mismatch AS m (collection, fingerprint, class, paths, seen, last_seen, keys, samples)
VALUES ($1, $2, $3, $4::text[], $5::bigint, clock_timestamp() - $6::float8 * interval '1 second', $7::text[], $8::jsonb)
ON CONFLICT (collection, fingerprint) DO UPDATE
SET seen = m.seen + excluded.seen, last_seen = greatest(m.last_seen, excluded.last_seen),
    state = CASE WHEN (m.state = 'repaired' AND excluded.last_seen >= (SELECT since FROM crossfade.comparison c WHERE c.collection = m.collection)) THEN 'open' ELSE m.state END,
    keys = CASE WHEN (m.state = 'repaired' AND excluded.last_seen >= (SELECT since FROM crossfade.comparison c WHERE c.collection = m.collection)) THEN excluded.keys
                ELSE ARRAY(SELECT k FROM unnest(m.keys || excluded.keys) WITH ORDINALITY AS u (k, place)
                           GROUP BY k ORDER BY min(place) LIMIT 100) END,
    samples = CASE WHEN (m.state = 'repaired' AND excluded.last_seen >= (SELECT since FROM crossfade.comparison c WHERE c.collection = m.collection)) THEN excluded.samples
                   ELSE coalesce((SELECT jsonb_agg(e ORDER BY place)
                                  FROM jsonb_array_elements(m.samples || excluded.samples) WITH ORDINALITY AS u (e, place)
                                  WHERE place <= 5), '[]') END
RETURNING state;

-- name: count_mismatches
-- $1 collections, $2 ages, $3 numbers: each a number of mismatches of one moment. Those from before the last reset
-- were repaired with it.
UPDATE crossfade.comparison AS c SET compared = c.compared + n.number, mismatched = c.mismatched + n.number
FROM (SELECT u.collection, sum(u.number) AS number
      FROM unnest($1::text[], $2::float8[], $3::bigint[]) AS u (collection, age, number)
      JOIN crossfade.comparison AS x USING (collection)
      WHERE clock_timestamp() - u.age * interval '1 second' >= x.since
      GROUP BY u.collection) AS n
WHERE c.collection = n.collection;

-- name: figures
-- The figures of collections ($1) since their last reset.
SELECT collection, compared, matched, mismatched, unsettled, unsupported, lagged
FROM crossfade.comparison WHERE collection = ANY ($1::text[]);

-- name: list_mismatches
-- $1 collection or NULL, $2 state or NULL; the newest first.
SELECT id, collection, fingerprint, class, paths, state, seen, first_seen, last_seen, keys
FROM crossfade.mismatch
WHERE ($1::text IS NULL OR collection = $1) AND ($2::text IS NULL OR state = $2)
ORDER BY last_seen DESC, id;

-- name: show_mismatch
-- One, with its samples. $1 id.
SELECT id, collection, fingerprint, class, paths, state, seen, first_seen, last_seen, keys, samples
FROM crossfade.mismatch WHERE id = $1;

-- name: mark_mismatches
-- $1 the new state, $2 ids or NULL, $3 collection or NULL. Ignored ones stay ignored unless they are named by id.
UPDATE crossfade.mismatch SET state = $1
WHERE ($2::bigint[] IS NOT NULL OR $3::text IS NOT NULL)
  AND ($2::bigint[] IS NULL OR id = ANY ($2::bigint[])) AND ($3::text IS NULL OR collection = $3)
  AND ($2::bigint[] IS NOT NULL OR state = 'open')
RETURNING collection;

-- name: reset_comparisons
-- The figures of the gate begin anew. $1 collections.
INSERT INTO crossfade.comparison AS c (collection, since) SELECT u, clock_timestamp() FROM unnest($1::text[]) u ORDER BY u
ON CONFLICT (collection) DO UPDATE
SET since = excluded.since, compared = 0, matched = 0, mismatched = 0, unsettled = 0, unsupported = 0, lagged = 0;

-- name: shapes
-- Coverage and latency by shape. $1 collection or NULL.
SELECT collection, shape, text, seen, compared, matched, mismatched, unsettled, unsupported, skipped, origin_seconds,
       target_seconds, first_seen, last_seen, waived
FROM crossfade.shape WHERE $1::text IS NULL OR collection = $1
ORDER BY collection, seen DESC, shape;
