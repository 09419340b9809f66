-- Results of the shadow comparison. Counts come as deltas, in batches; times as ages in seconds, so that two clocks need not agree.

-- name: transaction_id
-- The transaction that is open, by which its fate can be asked later.
SELECT pg_current_xact_id()::text;

-- name: transaction_status
-- The state of transaction $1: committed, aborted, in progress; empty if it is too long ago.
SELECT coalesce(pg_xact_status($1::text::xid8), '');

-- name: add_shapes
-- $1 collections, $2 shapes, $3 texts, then arrays of deltas in the order of the columns.
INSERT INTO _crossfade.shape AS s (collection, shape, text, seen, compared, matched, ignored, mismatched, undecided,
                                  unsupported, skipped)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
ORDER BY 1, 2
ON CONFLICT (collection, shape) DO UPDATE
SET seen = s.seen + excluded.seen, compared = s.compared + excluded.compared, matched = s.matched + excluded.matched,
    ignored = s.ignored + excluded.ignored,
    mismatched = s.mismatched + excluded.mismatched, undecided = s.undecided + excluded.undecided,
    unsupported = s.unsupported + excluded.unsupported, skipped = s.skipped + excluded.skipped,
    last_seen = now();

-- name: add_comparisons
-- $1 collections, $2 ages of the oldest observation in each, then deltas: compared, matched, ignored, undecided,
-- unsupported, lagged. Observations from before the last reset (`since`) are left out: fewer comparisons, never more.
INSERT INTO _crossfade.comparison AS c (collection, since, compared, matched, ignored, undecided, unsupported, lagged)
SELECT u.collection, clock_timestamp() - u.age * interval '1 second', u.compared, u.matched, u.ignored, u.undecided,
       u.unsupported, u.lagged
FROM unnest($1::text[], $2::float8[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
     AS u (collection, age, compared, matched, ignored, undecided, unsupported, lagged)
ORDER BY u.collection COLLATE "C" -- the order in which changes of stages lock them
ON CONFLICT (collection) DO UPDATE
SET compared = c.compared + excluded.compared, matched = c.matched + excluded.matched,
    ignored = c.ignored + excluded.ignored, undecided = c.undecided + excluded.undecided, unsupported = c.unsupported + excluded.unsupported,
    lagged = c.lagged + excluded.lagged
WHERE excluded.since >= c.since;

-- name: add_mismatch
-- One fingerprint. $1 collection, $2 fingerprint, $3 class, $4 paths, $5 times seen, $6 age of the newest, $7 keys,
-- $8 samples (jsonb). Seen again after its repair, it is open again, with the keys and samples of this time.
INSERT INTO _crossfade.mismatch AS m (collection, fingerprint, class, paths, seen, last_seen, keys, samples)
VALUES ($1, $2, $3, $4::text[], $5::bigint, clock_timestamp() - $6::float8 * interval '1 second', $7::text[], $8::jsonb)
ON CONFLICT (collection, fingerprint) DO UPDATE
SET seen = m.seen + excluded.seen, last_seen = greatest(m.last_seen, excluded.last_seen),
    state = CASE WHEN (m.state = 'repaired' AND excluded.last_seen >= (SELECT since FROM _crossfade.comparison c WHERE c.collection = m.collection)) THEN 'open' ELSE m.state END,
    keys = CASE WHEN (m.state = 'repaired' AND excluded.last_seen >= (SELECT since FROM _crossfade.comparison c WHERE c.collection = m.collection)) THEN excluded.keys
                ELSE ARRAY(SELECT k FROM unnest(m.keys || excluded.keys) WITH ORDINALITY AS u (k, place)
                           GROUP BY k ORDER BY min(place) LIMIT 100) END,
    samples = CASE WHEN (m.state = 'repaired' AND excluded.last_seen >= (SELECT since FROM _crossfade.comparison c WHERE c.collection = m.collection)) THEN excluded.samples
                   ELSE coalesce((SELECT jsonb_agg(e ORDER BY place)
                                  FROM jsonb_array_elements(m.samples || excluded.samples) WITH ORDINALITY AS u (e, place)
                                  WHERE place <= 5), '[]') END
RETURNING state;

-- name: count_mismatches
-- $1 collections, $2 ages, $3 numbers: each a number of mismatches of one moment. Those from before the last reset
-- were repaired with it.
UPDATE _crossfade.comparison AS c SET compared = c.compared + n.number, mismatched = c.mismatched + n.number
FROM (SELECT u.collection, sum(u.number) AS number
      FROM unnest($1::text[], $2::float8[], $3::bigint[]) AS u (collection, age, number)
      JOIN _crossfade.comparison AS x USING (collection)
      WHERE clock_timestamp() - u.age * interval '1 second' >= x.since
      GROUP BY u.collection) AS n
WHERE c.collection = n.collection;

-- name: figures
-- The figures of collections ($1) since their last reset.
SELECT collection, compared, matched, ignored, mismatched, undecided, unsupported, lagged
FROM _crossfade.comparison WHERE collection = ANY ($1::text[]);

-- name: list_mismatches
-- Without their samples. $1 collection or NULL, $2 state or NULL; the newest first.
SELECT id, collection, fingerprint, class AS kind, paths, state, seen, first_seen, last_seen, keys, '[]'::jsonb AS samples
FROM _crossfade.mismatch
WHERE ($1::text IS NULL OR collection = $1) AND ($2::text IS NULL OR state = $2)
ORDER BY last_seen DESC, id;

-- name: show_mismatch
-- One, with its samples. $1 id.
SELECT id, collection, fingerprint, class AS kind, paths, state, seen, first_seen, last_seen, keys, samples
FROM _crossfade.mismatch WHERE id = $1;

-- name: mark_mismatches
-- $1 the new state, $2 ids or NULL, $3 collection or NULL. Ignored ones stay ignored unless they are named by id.
UPDATE _crossfade.mismatch SET state = $1
WHERE ($2::bigint[] IS NOT NULL OR $3::text IS NOT NULL)
  AND ($2::bigint[] IS NULL OR id = ANY ($2::bigint[])) AND ($3::text IS NULL OR collection = $3)
  AND ($2::bigint[] IS NOT NULL OR state = 'open')
RETURNING collection;

-- name: reset_comparisons
-- Reset the comparison. $1 collections.
INSERT INTO _crossfade.comparison AS c (collection, since) SELECT u, clock_timestamp() FROM unnest($1::text[]) u ORDER BY u COLLATE "C"
ON CONFLICT (collection) DO UPDATE
SET since = excluded.since, compared = 0, matched = 0, ignored = 0, mismatched = 0, undecided = 0, unsupported = 0,
    lagged = 0;

-- name: add_skipped
-- $1 collections, $2 shapes, $3 reasons, $4 numbers.
INSERT INTO _crossfade.skipped AS s (collection, shape, reason, number)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) ORDER BY 1, 2, 3
ON CONFLICT (collection, shape, reason) DO UPDATE SET number = s.number + excluded.number, last_seen = now();

-- name: add_tolerated
-- $1 collections, $2 paths, $3 rules, $4 numbers of comparisons that they made equal. A rule may be gone by now.
UPDATE _crossfade.tolerance AS n SET seen = n.seen + u.number
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u (collection, path, rule, number)
      ORDER BY 1, 2, 3) AS u
WHERE n.collection = u.collection AND n.path = u.path AND n.rule = u.rule;

-- name: add_baseline
-- $1 collections, $2 shapes, $3 classes, $4 paths, $5 numbers.
INSERT INTO _crossfade.baseline AS t (collection, shape, class, path, number)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) ORDER BY 1, 2, 3, 4
ON CONFLICT (collection, shape, class, path) DO UPDATE SET number = t.number + excluded.number, last_seen = now();

-- name: add_subtracted
-- $1 collections, $2 shapes, $3 classes, $4 paths, $5 numbers of mismatches that were taken for ArangoDB's own.
UPDATE _crossfade.baseline AS t SET subtracted = t.subtracted + u.number
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
          AS u (collection, shape, class, path, number) ORDER BY 1, 2, 3, 4) AS u
WHERE t.collection = u.collection AND t.shape = u.shape AND t.class = u.class AND t.path = u.path;

-- name: rules
-- Everything by which a proxy samples and judges, in one row: JSON texts.
SELECT (SELECT coalesce(json_agg(json_build_array(collection, shape, percent, baseline_percent)), '[]')::text
        FROM _crossfade.sampling) AS sampling,
       (SELECT coalesce(json_agg(json_build_array(collection, path, rule, argument) ORDER BY id), '[]')::text
        FROM _crossfade.tolerance) AS tolerances,
       (SELECT coalesce(json_agg(json_build_array(collection, shape, class, path)), '[]')::text
        FROM _crossfade.baseline WHERE class NOT IN ('', 'undecided')) AS baseline;

-- name: list_tolerances
-- $1 collection or NULL.
SELECT id, collection, path, rule, argument, reason, actor, added_at, seen FROM _crossfade.tolerance
WHERE $1::text IS NULL OR collection = $1 ORDER BY collection, id;

-- name: list_baseline
-- What ArangoDB differs in from itself, with how often it was compared with itself. $1 collection or NULL.
SELECT t.collection, t.shape, s.text, t.class AS kind, t.path, t.number, t.subtracted, t.last_seen
FROM _crossfade.baseline t LEFT JOIN _crossfade.shape s USING (collection, shape)
WHERE $1::text IS NULL OR t.collection = $1 ORDER BY t.collection, t.shape, t.class, t.path;

-- name: add_tolerance
-- $1 collection, $2 path, $3 rule, $4 argument, $5 reason, $6 actor.
INSERT INTO _crossfade.tolerance (collection, path, rule, argument, reason, actor) VALUES ($1, $2, $3, $4::float8, $5, $6)
ON CONFLICT (collection, path, rule) DO UPDATE
SET argument = excluded.argument, reason = excluded.reason, actor = excluded.actor, added_at = now()
RETURNING id;

-- name: remove_tolerance
-- $1 id.
DELETE FROM _crossfade.tolerance WHERE id = $1 RETURNING collection, path, rule, argument;

-- name: remove_baseline
-- What was learnt of a collection against itself. $1 collection.
WITH gone AS (DELETE FROM _crossfade.baseline WHERE collection = $1 RETURNING 1) SELECT count(*) FROM gone;

-- name: set_sampling
-- $1 collection, $2 shape or '', $3 percent or NULL, $4 percent that is read twice or NULL.
INSERT INTO _crossfade.sampling (collection, shape, percent, baseline_percent) VALUES ($1, $2, $3::float8, $4::float8)
ON CONFLICT (collection, shape) DO UPDATE
SET percent = coalesce(excluded.percent, _crossfade.sampling.percent),
    baseline_percent = coalesce(excluded.baseline_percent, _crossfade.sampling.baseline_percent), changed_at = now();

-- name: clear_sampling
-- Back to what is set elsewhere. $1 collection, $2 shape or ''.
WITH gone AS (DELETE FROM _crossfade.sampling WHERE collection = $1 AND shape = $2 RETURNING 1) SELECT count(*) FROM gone;

-- name: list_sampling
-- $1 collection or NULL.
SELECT g.collection, g.shape, s.text, g.percent, g.baseline_percent, g.changed_at
FROM _crossfade.sampling g LEFT JOIN _crossfade.shape s USING (collection, shape)
WHERE $1::text IS NULL OR g.collection = $1 ORDER BY g.collection, g.shape;

-- name: find_shapes
-- Shapes of $1 whose name begins with $2.
SELECT shape FROM _crossfade.shape WHERE collection = $1 AND starts_with(shape, $2) ORDER BY shape;

-- name: forget_mismatches
-- Those that are done with, after $1 seconds.
WITH gone AS (DELETE FROM _crossfade.mismatch
              WHERE state <> 'open' AND last_seen < now() - $1::float8 * interval '1 second' RETURNING 1)
SELECT count(*) FROM gone;

-- name: forget_samples
-- An open mismatch stays, and still blocks; the documents' values in its samples go after $1 seconds.
WITH gone AS (UPDATE _crossfade.mismatch SET samples = '[]'
              WHERE samples <> '[]' AND last_seen < now() - $1::float8 * interval '1 second' RETURNING 1)
SELECT count(*) FROM gone;

-- name: find_mismatch
-- By fingerprint, or a prefix of one ($1); two rows: the prefix is ambiguous.
SELECT id FROM _crossfade.mismatch WHERE starts_with(fingerprint, $1) ORDER BY id LIMIT 2;

-- name: beats
-- The last heartbeats of the instances other than $1: seconds of PostgreSQL's clock, and the age of the oldest open
-- intent. At least one row, of the clock alone. Instances that have stopped left nothing open.
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, i.instance,
       extract(epoch FROM i.heartbeat_at)::float8 AS at, i.lag_seconds AS lag
FROM (SELECT) AS one LEFT JOIN _crossfade.instance i ON i.stopped_at IS NULL AND i.instance <> $1;

-- name: some_keys
-- The first $1 keys of a table.
SELECT key FROM {relation} WHERE doc IS NOT NULL ORDER BY key LIMIT $1;

-- name: rows
-- Rows of keys $1 as they are: what is served and what is queried.
SELECT key, raw::text AS raw, doc::text AS doc FROM {relation} WHERE key = ANY ($1::text[]) AND doc IS NOT NULL;

-- name: put_reproduction
-- One row as it was. $1 key, $2 revision, $3 what is served, $4 what is queried.
INSERT INTO {relation} (key, rev, raw, doc) VALUES ($1, $2, $3::text::json, $4::text::jsonb);

-- name: forget_reproduction
-- Unregister the collections of a reproduced mismatch. $1 database.
WITH gone AS (DELETE FROM _crossfade.comparison WHERE starts_with(collection, $1 || '/'))
DELETE FROM _crossfade.collection WHERE database = $1;

-- name: drop_reproduction
-- The statement that drops the schema of a reproduced mismatch. $1 database.
SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', _crossfade.schema_of($1));

-- name: explain_mismatch
-- An explanation for one sample. $1 collection, $2 fingerprint, $3 the sample's id, $4 the text.
UPDATE _crossfade.mismatch SET samples = (
    SELECT jsonb_agg(CASE WHEN e ->> 'id' = $3 THEN e || jsonb_build_object('explanation', $4::text) ELSE e END ORDER BY place)
    FROM jsonb_array_elements(samples) WITH ORDINALITY AS u (e, place))
WHERE collection = $1 AND fingerprint = $2 AND samples <> '[]';
