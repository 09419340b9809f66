-- Out-of-band writes: what proxies reported, what the origin shows, what no proxy reported (I10).

-- name: relation
-- $1 collection: its table, and the place at which the last 64 pages of it begin.
SELECT relation, format('(%s,0)', greatest(0, pg_relation_size(to_regclass(relation))
                                              / current_setting('block_size')::bigint - 64)) AS place
FROM _crossfade.collection WHERE collection = $1;

-- name: newest
-- Documents among those that PostgreSQL wrote last, the newest $2: of the last pages of the table, from $1 on, where new
-- row versions mostly are. Reads no more than these pages (which is why the place is a parameter).
SELECT key, rev FROM {relation} WHERE doc IS NOT NULL AND ctid >= $1::text::tid ORDER BY rev DESC LIMIT $2;

-- name: watch_of
-- The watch over one collection ($1); `behind` in seconds.
SELECT mode, since, greatest(0, extract(epoch FROM clock_timestamp() - judged_until))::float8 AS behind, note
FROM _crossfade.bypass_watch WHERE collection = $1;

-- name: out_of_band_writes
-- Documents of a collection ($1) that were written around the proxies, and how many there are: those that are not
-- repaired first, then the newest first.
SELECT key, removed, found_at, repaired_at IS NOT NULL AS repaired, count(*) OVER () AS number
FROM _crossfade.out_of_band_write WHERE collection = $1 ORDER BY repaired_at IS NOT NULL, found_at DESC, key LIMIT 100;

-- name: report
-- One report of a process: $1 instance, $2 incarnation, $3 sequence, $4 seconds since the oldest open intent (0: none is
-- open, NULL: not known, or not all of the report), $5 whether something is left out, $6 whether it is the last and nothing is open; then what it
-- took: $7 collections, $8 revisions of each (bigint[] as text), $9 keys of each (a JSON array), $10 whole.
-- Every intent that was opened before the report before this one, less that age, was settled when this one was made.
WITH row AS (
    INSERT INTO _crossfade.write_report AS o (instance, incarnation, sequence, incomplete_until, closed)
    VALUES ($1, $2, $3, CASE WHEN $5 THEN clock_timestamp() END, $6)
    ON CONFLICT (instance, incarnation) DO UPDATE SET
        sequence = excluded.sequence, closed = excluded.closed,
        reported_at = CASE WHEN $4::float8 IS NULL THEN o.reported_at ELSE clock_timestamp() END,
        incomplete_until = coalesce(excluded.incomplete_until, o.incomplete_until),
        complete_until = greatest(o.complete_until, o.reported_at - make_interval(secs => $4::float8))
    WHERE excluded.sequence > o.sequence
    RETURNING instance
)
INSERT INTO _crossfade.reported_write (instance, collection, revisions, keys, whole_collection)
SELECT row.instance, i.collection, i.revisions::bigint[], ARRAY(SELECT jsonb_array_elements_text(i.keys::jsonb)), i.whole
FROM row, unnest($7::text[], $8::text[], $9::text[], $10::boolean[]) AS i (collection, revisions, keys, whole);

-- name: forget
-- Writes reported $1 seconds ago, and reports of processes that ended a day ago.
WITH old AS (
    DELETE FROM _crossfade.write_report o WHERE o.reported_at < clock_timestamp() - interval '1 day'
        AND NOT EXISTS (SELECT 1 FROM _crossfade.instance i WHERE i.instance = o.instance AND i.stopped_at IS NULL)
)
DELETE FROM _crossfade.reported_write WHERE reported_at < clock_timestamp() - make_interval(secs => $1::float8);

-- name: hold_watch
-- One watch at a time, as long as its connection lasts.
SELECT pg_try_advisory_lock(hashtext('_crossfade.watch'), 0);

-- name: watched
-- The time, the collections whose writes are captured, and the state of their watch. tick: the place at which reading the log continues.
-- present: no proxy has dropped it.
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, c.collection, c.relation,
    c.dropped_at IS NULL AS present, extract(epoch FROM w.since)::float8 AS since, w.tick, extract(epoch FROM w.tick_at)::float8 AS tick_at, w.mode
FROM (VALUES (1)) AS one LEFT JOIN _crossfade.collection c ON c.stage IN ('mirror', 'shadow', 'flipped')
LEFT JOIN _crossfade.bypass_watch w ON w.collection = c.collection
ORDER BY c.collection;

-- name: complete_until
-- Until when every registered process has reported its writes; NULL if one has not reported yet. behind: which delay it.
SELECT CASE WHEN count(i.instance) = 0 THEN extract(epoch FROM clock_timestamp())::float8
            WHEN bool_or(t.complete_until IS NULL) THEN NULL
            ELSE extract(epoch FROM min(t.complete_until))::float8 END AS complete_until,
    coalesce(array_agg(i.instance ORDER BY t.complete_until NULLS FIRST) FILTER (
        WHERE t.complete_until IS NULL OR t.complete_until < clock_timestamp() - interval '10 seconds'), '{}') AS behind
FROM _crossfade.instance i
LEFT JOIN LATERAL (
    SELECT complete_until FROM _crossfade.write_report t WHERE t.instance = i.instance
    ORDER BY started_at DESC LIMIT 1) t ON true
WHERE i.stopped_at IS NULL;

-- name: reported_since
-- Writes reported since $1 (seconds since the epoch), except rows $2.
SELECT id, collection, revisions, keys, whole_collection, extract(epoch FROM reported_at)::float8 AS reported_at
FROM _crossfade.reported_write
WHERE reported_at >= to_timestamp($1::float8) AND id <> ALL ($2::bigint[]) ORDER BY id;

-- name: missed
-- Times in which a process may have captured writes that it never reported: it was killed, or they were too many.
SELECT extract(epoch FROM coalesce(t.complete_until, t.started_at))::float8 AS since,
       extract(epoch FROM coalesce(n.started_at, i.stopped_at, clock_timestamp()))::float8 AS until
FROM _crossfade.write_report t
LEFT JOIN _crossfade.instance i ON i.instance = t.instance
LEFT JOIN LATERAL (
    SELECT min(started_at) AS started_at FROM _crossfade.write_report n
    WHERE n.instance = t.instance AND n.started_at > t.started_at) n ON true
WHERE NOT t.closed AND (n.started_at IS NOT NULL OR i.instance IS NULL OR i.stopped_at IS NOT NULL)
UNION ALL
SELECT extract(epoch FROM started_at)::float8, extract(epoch FROM incomplete_until)::float8
FROM _crossfade.write_report WHERE incomplete_until IS NOT NULL;

-- name: unverified_until
-- Of collections ($1): until when marks explain writes: when the first verification that covers the newest mark began.
SELECT c.collection, extract(epoch FROM max(coalesce(
    (SELECT min(r.started_at) FROM _crossfade.run r
     WHERE r.collection = c.collection AND r.kind = 'verify' AND r.state = 'done' AND r.unverified_before >= u.id),
    'infinity'::timestamptz)))::float8 AS until
FROM _crossfade.collection c
JOIN _crossfade.unverified u ON u.collection IN (c.collection, c.database || '/*', '*/*')
WHERE c.collection = ANY ($1::text[])
GROUP BY c.collection;

-- name: found
-- Documents that were written around the proxies: $1 collections, $2 keys, $3 revisions, $4 removed. No more of a
-- collection are named once 10,000 are not repaired; one that is known is open again in any case.
INSERT INTO _crossfade.out_of_band_write AS b (collection, key, rev, removed)
SELECT DISTINCT ON (i.collection, i.key) i.collection, i.key, i.rev, i.removed
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[]) AS i (collection, key, rev, removed)
WHERE EXISTS (SELECT FROM _crossfade.out_of_band_write k WHERE k.collection = i.collection AND k.key = i.key)
    OR (SELECT count(*) FROM _crossfade.out_of_band_write k WHERE k.collection = i.collection AND k.repaired_at IS NULL) < 10000
ORDER BY i.collection, i.key, i.rev DESC
ON CONFLICT (collection, key) DO UPDATE
SET rev = excluded.rev, removed = excluded.removed, found_at = clock_timestamp(), repaired_at = NULL;

-- name: keep_watch
-- The state of the watch: $1 mode, $2 collections, $3 since when each (seconds since the epoch), $4 up to when all is
-- judged, $5 how many wait in each, $6 a note on each, $7 tick, $8 when it was read. Others are deleted.
WITH gone AS (DELETE FROM _crossfade.bypass_watch WHERE collection <> ALL ($2::text[]))
INSERT INTO _crossfade.bypass_watch AS w (collection, mode, since, judged_until, pending, note, tick, tick_at)
SELECT i.collection, $1, to_timestamp(i.since), to_timestamp(greatest(i.since, $4::float8)), i.pending, i.note, $7::bigint,
       to_timestamp($8::float8)
FROM unnest($2::text[], $3::float8[], $5::bigint[], $6::text[]) AS i (collection, since, pending, note)
WHERE EXISTS (SELECT 1 FROM _crossfade.collection c WHERE c.collection = i.collection)
ON CONFLICT (collection) DO UPDATE
SET mode = excluded.mode, since = excluded.since, judged_until = excluded.judged_until, pending = excluded.pending,
    note = excluded.note, tick = excluded.tick, tick_at = excluded.tick_at, checked_at = clock_timestamp();

-- name: to_repair
-- Documents of a collection ($1) that were written around the proxies and not repaired since.
SELECT key FROM _crossfade.out_of_band_write WHERE collection = $1 AND repaired_at IS NULL ORDER BY key;

-- name: repaired
-- $1 collection, $2 keys, found before $3 (seconds since the epoch): what was found later is another write.
UPDATE _crossfade.out_of_band_write SET repaired_at = clock_timestamp()
WHERE collection = $1 AND key = ANY ($2::text[]) AND repaired_at IS NULL AND found_at <= to_timestamp($3::float8)
RETURNING key;

-- name: clock
-- PostgreSQL's time in seconds since the epoch.
SELECT extract(epoch FROM clock_timestamp())::float8;

-- name: counts
-- Documents that were written around the proxies, by collection, and the newest few keys.
SELECT collection, count(*) AS number, count(*) FILTER (WHERE repaired_at IS NULL) AS open,
    max(found_at) AS last_found, (array_agg(key ORDER BY found_at DESC, key))[1:5] AS keys
FROM _crossfade.out_of_band_write GROUP BY collection ORDER BY collection;
