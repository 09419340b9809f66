-- Runs and their chunks (backfill, verify), and what verification reads of the target. Rules: DESIGN section 10.

-- name: wrong_mapping
-- What keeps documents from being written to a collection's table ($1 collection, $2 relation), a line each.
SELECT w.name || CASE WHEN a.attname IS NULL THEN ' is missing' ELSE ' is ' || format_type(a.atttypid, a.atttypmod) END
       || ', not ' || w.type || coalesce(' COLLATE "' || w.ordered || '"', '') AS fault
FROM (VALUES ('key', 'text', 'C'), ('rev', 'bigint', NULL), ('raw', 'json', NULL), ('doc', 'jsonb', NULL),
             ('mark', 'bigint', NULL)) AS w (name, type, ordered)
LEFT JOIN pg_attribute a ON a.attrelid = to_regclass($2) AND a.attname = w.name AND NOT a.attisdropped
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attname IS NULL OR format_type(a.atttypid, a.atttypmod) <> w.type OR (w.ordered IS NOT NULL AND l.collname <> w.ordered)
UNION ALL
SELECT 'key is not the primary key'
WHERE to_regclass($2) IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'key'
    WHERE i.indrelid = to_regclass($2) AND i.indisunique AND i.indkey::text = a.attnum::text)
UNION ALL
SELECT '_crossfade.stamp_floor has no row for it' WHERE NOT EXISTS (SELECT 1 FROM _crossfade.stamp_floor WHERE collection = $1);

-- name: era
-- The era now: the stamp of whatever is read from the origin, or copied into a table of documents, after this statement.
SELECT era FROM _crossfade.era;

-- name: fence_marks
-- Waits for marks of `unverified` that are being written: a run covers every mark up to the number it notes.
LOCK TABLE _crossfade.unverified IN SHARE MODE;

-- name: open_run
-- The unfinished run of the same work: $1 collection, $2 kind, $3 modes, $4 whether it repairs, $5 which part ('': all).
SELECT id FROM _crossfade.run
WHERE collection = $1 AND kind = $2 AND mode = ANY ($3::text[]) AND state = 'open'
  AND coalesce((result ->> 'repair')::boolean, false) = $4 AND coalesce(result ->> 'part', '') = $5
ORDER BY id DESC LIMIT 1;

-- name: supersede
-- Ends verifications of a collection ($1) that no gate would take when they are done: begun before the newest backfill,
-- or before the newest proxy joined. $2 what to note (json).
UPDATE _crossfade.run v SET state = 'cancelled', finished_at = clock_timestamp(), result = v.result || $2::jsonb
WHERE v.collection = $1 AND v.kind = 'verify' AND v.state = 'open'
  AND (EXISTS (SELECT 1 FROM _crossfade.run b WHERE b.collection = $1 AND b.kind = 'backfill'
               AND b.state IN ('open', 'done') AND b.started_at > v.started_at)
       OR EXISTS (SELECT 1 FROM _crossfade.instance i WHERE i.stopped_at IS NULL AND i.joined_at > v.started_at));

-- name: begin_run
-- $1 collection, $2 kind, $3 mode, $4 what is known at the start (json).
INSERT INTO _crossfade.run (collection, kind, mode, unverified_before, result)
VALUES ($1, $2, $3, coalesce((SELECT max(id) FROM _crossfade.unverified), 0), $4::jsonb)
RETURNING id;

-- name: add_chunks
-- $1 run, $2 lower keys (exclusive), $3 upper keys (inclusive), $4 shards (NULL: by pages), $5 documents expected in each.
INSERT INTO _crossfade.chunk (run, number, lower, upper, shard, expected)
SELECT $1::bigint, i.number::integer, i.lower, i.upper, i.shard, $5::bigint
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS i (lower, upper, shard, number);

-- name: claim
-- One chunk that is free, or whose worker's lease has expired, or whose worker is gone (no session has its holder's
-- advisory lock, which ends with the connection): $1 worker, $2 lease in seconds, $3 runs, NULL for every open one, $4 holder.
WITH present AS MATERIALIZED (
    SELECT l.objid::bigint AS holder FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.classid = 1128421190 AND l.objsubid = 2 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
), free AS (
    SELECT c.run, c.number
    FROM _crossfade.chunk c JOIN _crossfade.run r ON r.id = c.run
    WHERE r.state = 'open' AND ($3::bigint[] IS NULL OR r.id = ANY ($3::bigint[]))
      AND (c.state = 'open' OR (c.state = 'claimed' AND (
               c.lease_until < clock_timestamp()
               OR (c.holder IS NOT NULL AND NOT EXISTS (SELECT 1 FROM present p WHERE p.holder = c.holder)))))
    ORDER BY c.run, c.number
    LIMIT 1
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE _crossfade.chunk c
SET state = 'claimed', worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2::float8), holder = $4,
    waiting = NULL
FROM free, _crossfade.run r, _crossfade.collection k
WHERE c.run = free.run AND c.number = free.number AND r.id = c.run AND k.collection = r.collection
RETURNING c.run, c.number, c.lower, c.upper, c.position, c.shard, c.result::text AS result, r.collection, r.kind, r.mode,
          coalesce((r.result ->> 'repair')::boolean, false) AS repair, k.database, k.name, k.relation, k.stage;

-- name: hold
-- The advisory lock that shows that a process lives, as long as its connection: $1 holder. False: the number is taken.
SELECT pg_try_advisory_lock(1128421190, $1::integer);

-- name: checkpoint
-- Progress of a claimed chunk, in the transaction of its page; no row: it went to another worker, its range was cut, or
-- the run ended. $1 run, $2 number, $3 worker, $4 position, $5 documents and $6 bytes more, $7 lease in seconds,
-- $8 result (json), $9 the upper key that the worker knows.
UPDATE _crossfade.chunk c
SET position = $4, documents = documents + $5, bytes = bytes + $6,
    lease_until = clock_timestamp() + make_interval(secs => $7::float8), result = $8::jsonb, waiting = NULL
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed' AND upper IS NOT DISTINCT FROM $9::text
  AND EXISTS (SELECT 1 FROM _crossfade.run r WHERE r.id = c.run AND r.state = 'open')
RETURNING documents;

-- name: held_range
-- The upper key of a chunk that this worker still holds: $1 run, $2 number, $3 worker.
SELECT c.upper FROM _crossfade.chunk c JOIN _crossfade.run r ON r.id = c.run
WHERE c.run = $1 AND c.number = $2 AND c.worker = $3 AND c.state = 'claimed' AND r.state = 'open';

-- name: renew
-- Keeps a claimed chunk: $1 run, $2 number, $3 worker, $4 lease in seconds, $5 what it waits for (NULL: nothing).
-- No row: it went to another worker.
UPDATE _crossfade.chunk SET lease_until = clock_timestamp() + make_interval(secs => $4::float8), waiting = $5
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed'
RETURNING number;

-- name: leave_chunk
-- A worker lets go: $1 run, $2 number, $3 worker, $4 state (open, done, failed), $5 error or NULL.
UPDATE _crossfade.chunk SET state = $4, worker = NULL, lease_until = NULL, holder = NULL, waiting = NULL, error = $5
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed'
RETURNING number;

-- name: start_over
-- Restart a chunk that cannot be continued: $1 run, $2 number, $3 worker, $4 result (json).
UPDATE _crossfade.chunk SET position = NULL, documents = 0, bytes = 0, result = $4::jsonb
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed'
RETURNING number;

-- name: divisible
-- Chunks under way, those with most left first, while none is free: $1 runs, NULL for every open one.
SELECT c.run, c.number, c.lower, c.upper, c.position, k.database, k.name
FROM _crossfade.chunk c JOIN _crossfade.run r ON r.id = c.run JOIN _crossfade.collection k USING (collection)
WHERE r.state = 'open' AND c.state = 'claimed' AND c.shard IS NULL
  AND ($1::bigint[] IS NULL OR r.id = ANY ($1::bigint[]))
  AND NOT EXISTS (SELECT 1 FROM _crossfade.chunk o WHERE o.run = r.id AND o.state = 'open')
ORDER BY c.expected - c.documents DESC, c.run, c.number
LIMIT 4;

-- name: lock_split
-- One worker at a time searches where to cut a run's chunks ($1 run).
SELECT pg_try_advisory_xact_lock(hashtext('crossfade.split'), $1::integer);

-- name: split
-- Cuts a chunk under way at a key that its worker has not reached: $1 run, $2 number, $3 the cut, $4 its upper key.
WITH cut AS (
    UPDATE _crossfade.chunk c SET upper = $3, expected = expected / 2
    WHERE c.run = $1 AND c.number = $2 AND c.state = 'claimed' AND c.upper IS NOT DISTINCT FROM $4::text
      AND (c.position IS NULL OR c.position < $3) AND (c.lower IS NULL OR c.lower < $3)
      AND EXISTS (SELECT 1 FROM _crossfade.run r WHERE r.id = c.run AND r.state = 'open')
    RETURNING c.run, c.expected
)
INSERT INTO _crossfade.chunk (run, number, lower, upper, expected)
SELECT cut.run, (SELECT max(number) + 1 FROM _crossfade.chunk WHERE run = $1), $3, $4, cut.expected FROM cut
RETURNING number;

-- name: finishable
-- Open runs whose chunks are all done: $1 runs, NULL for every one.
SELECT r.id FROM _crossfade.run r
WHERE r.state = 'open' AND ($1::bigint[] IS NULL OR r.id = ANY ($1::bigint[]))
  AND NOT EXISTS (SELECT 1 FROM _crossfade.chunk c WHERE c.run = r.id AND c.state <> 'done')
ORDER BY r.id;

-- name: run
-- One run ($1) with its collection, and whether the collection left the mirror since the run began.
SELECT r.id, r.collection, r.kind, r.mode, r.state, r.result::text AS result, k.database, k.name, k.relation,
       k.stage = 'off' OR EXISTS (
           SELECT 1 FROM _crossfade.epoch e, jsonb_array_elements(e.moves) AS m
           WHERE e.outcome = 'committed' AND e.closed_at >= r.started_at
             AND m ->> 'collection' = r.collection AND m -> 'after' ->> 'stage' = 'off') AS left_mirror
FROM _crossfade.run r JOIN _crossfade.collection k USING (collection)
WHERE r.id = $1;

-- name: chunks
-- The chunks of a run ($1), in key order.
SELECT documents, bytes, result::text AS result FROM _crossfade.chunk WHERE run = $1 ORDER BY number;

-- name: end_run
-- $1 run, $2 state, $3 result (json). Once: a run that is not open stays as it is.
UPDATE _crossfade.run SET state = $2, result = $3::jsonb, finished_at = clock_timestamp()
WHERE id = $1 AND state = 'open'
RETURNING id;

-- name: states
-- The state of runs ($1 bigint[]), for progress.
SELECT r.id, r.collection, r.kind, r.mode, r.state, r.result::text AS result,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8 AS seconds,
       coalesce(sum(c.documents), 0)::bigint AS documents, coalesce(sum(c.bytes), 0)::bigint AS bytes,
       count(c.number) AS chunks, count(*) FILTER (WHERE c.state = 'done') AS done,
       count(*) FILTER (WHERE c.state = 'claimed' AND c.lease_until >= clock_timestamp()) AS claimed,
       coalesce(jsonb_agg(DISTINCT c.waiting) FILTER (WHERE c.state = 'claimed' AND c.waiting IS NOT NULL), '[]')::text
           AS waiting,
       coalesce(jsonb_agg(DISTINCT c.error) FILTER (WHERE c.state = 'open' AND c.error IS NOT NULL), '[]')::text
           AS handed_back,
       coalesce(jsonb_agg(jsonb_build_object('worker', c.worker, 'chunk', c.number, 'documents', c.documents,
                                             'expected', c.expected, 'waiting', c.waiting) ORDER BY c.number)
                FILTER (WHERE c.state = 'claimed'), '[]')::text AS workers
FROM _crossfade.run r LEFT JOIN _crossfade.chunk c ON c.run = r.id
WHERE r.id = ANY ($1::bigint[])
GROUP BY r.id
ORDER BY r.id;

-- name: open_runs
-- Every run that has not ended.
SELECT id FROM _crossfade.run WHERE state = 'open' ORDER BY id;

-- name: latest
-- The newest run of each kind of these collections ($1 text[], NULL for all).
SELECT DISTINCT ON (collection, kind) id FROM _crossfade.run
WHERE $1::text[] IS NULL OR collection = ANY ($1::text[])
ORDER BY collection, kind, id DESC;

-- name: note_wait
-- What a run as a whole waits for ($1 run, $2 text; NULL: for nothing any more).
UPDATE _crossfade.run
SET result = CASE WHEN $2::text IS NULL THEN result - 'waits' ELSE result || jsonb_build_object('waits', $2::text) END
WHERE id = $1 AND state = 'open';

-- name: lock_run
-- One finisher at a time ($1 run), until the session ends or `unlock_run`.
SELECT pg_try_advisory_lock(hashtext('_crossfade.run'), $1::integer);

-- name: unlock_run
-- $1 run.
SELECT pg_advisory_unlock(hashtext('_crossfade.run'), $1::integer);

-- name: target_revisions
-- A page of (key, rev) in byte order: $1 after, $2 up to (NULL: the end), $3 how many. Tombstones are not documents.
SELECT key, rev FROM {relation}
WHERE doc IS NOT NULL AND key > $1 AND ($2::text IS NULL OR key <= $2)
ORDER BY key COLLATE "C" LIMIT $3;

-- name: target_digests
-- As `target_revisions`, with a digest of the document as printed, and whether `doc` is what `raw` gives: NULL if
-- the document has an escape that only the caller can judge.
SELECT key, rev, sha256(convert_to(raw::text, 'UTF8')) AS digest,
       CASE WHEN strpos(raw::text, '\u') > 0 OR strpos(raw::text, chr(64976)) > 0 THEN NULL
            ELSE doc = _crossfade.queryable(raw) END AS intact
FROM {relation}
WHERE doc IS NOT NULL AND key > $1 AND ($2::text IS NULL OR key <= $2)
ORDER BY key COLLATE "C" LIMIT $3;

-- name: target_documents
-- Both columns of these documents ($1 text[]).
SELECT key, rev, raw::text AS raw, doc::text AS doc FROM {relation} WHERE key = ANY ($1::text[]) AND doc IS NOT NULL;

-- name: mirror_caught_up
-- The time up to which every live proxy has applied the origin's writes; now if there is no proxy.
SELECT clock_timestamp() AS now,
       coalesce((SELECT min(CASE WHEN backlog = 0 THEN heartbeat_at
                                 ELSE heartbeat_at - make_interval(secs => lag_seconds) END)
                 FROM _crossfade.instance WHERE stopped_at IS NULL), clock_timestamp()) AS until;

-- name: lock_requests
-- One worker at a time decides which verifications are due.
SELECT pg_advisory_xact_lock(hashtext('crossfade.verification_requests'));

-- name: due_verifications
-- Backfilled collections with a mark that no finished or open verification covers. One that was begun in the last $1
-- seconds is waited for, and one that failed keeps others back for twenty times as long.
SELECT k.collection
FROM _crossfade.collection k
WHERE k.stage <> 'off' AND _crossfade.present(k)
  AND EXISTS (SELECT 1 FROM _crossfade.run b WHERE b.collection = k.collection AND b.kind = 'backfill' AND b.state = 'done')
  AND NOT EXISTS (SELECT 1 FROM _crossfade.run v WHERE v.collection = k.collection AND v.kind = 'verify'
                  AND (v.state = 'open' OR v.started_at > clock_timestamp()
                       - make_interval(secs => CASE WHEN v.state = 'failed' THEN 20 ELSE 1 END * $1::float8)))
  AND coalesce((SELECT max(u.id) FROM _crossfade.unverified u WHERE u.collection IN (k.collection, k.database || '/*')), 0)
      > coalesce((SELECT max(v.unverified_before) FROM _crossfade.run v
                  WHERE v.collection = k.collection AND v.kind = 'verify' AND v.state = 'done'), 0)
ORDER BY k.collection;

-- name: throttle
-- What operators have set, for every worker; and what it is compared with: the slowest live proxy's lag, the workers
-- that hold a chunk, the lag of PostgreSQL's own replicas (NULL if this role may not see it).
SELECT t.max_rate, t.max_lag, t.max_replica_lag, t.max_slowdown, t.flag_file, t.paused, t.changed_by,
       (SELECT coalesce(max(CASE WHEN backlog = 0 THEN 0 ELSE lag_seconds END), 0)::float8
        FROM _crossfade.instance WHERE stopped_at IS NULL) AS lag,
       (SELECT count(*) FROM _crossfade.chunk c JOIN _crossfade.run r ON r.id = c.run
        WHERE r.state = 'open' AND c.state = 'claimed' AND c.lease_until >= clock_timestamp()) AS workers,
       CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN
           (SELECT coalesce(max(extract(epoch FROM s.replay_lag)), 0)::float8 FROM pg_stat_replication s) END AS replica_lag
FROM _crossfade.throttle t;

-- name: lock_throttle
-- Until the transaction ends: read `throttle` in a later statement, which sees what was committed meanwhile.
SELECT paused FROM _crossfade.throttle FOR UPDATE;

-- name: set_throttle
-- $1 max_rate, $2 max_lag, $3 max_replica_lag, $4 max_slowdown, $5 flag_file, $6 paused, $7 who.
UPDATE _crossfade.throttle
SET max_rate = $1, max_lag = $2, max_replica_lag = $3, max_slowdown = $4, flag_file = $5, paused = $6, changed_by = $7,
    changed_at = clock_timestamp();

-- name: ranges_to_look_at
-- Ranges of a verification ($2 run): whether it failed there (differences were left, or it was not finished), and whether
-- the target has a version newer than revision $1.
SELECT c.lower, c.upper,
       coalesce((c.result ->> 'remaining')::bigint, 0) > 0 OR c.state <> 'done' AS failed,
       EXISTS (SELECT 1 FROM {relation} d WHERE d.rev > $1 AND (c.lower IS NULL OR d.key > c.lower)
               AND (c.upper IS NULL OR d.key <= c.upper)) AS changed
FROM _crossfade.chunk c
WHERE c.run = $2
ORDER BY c.lower NULLS FIRST;

-- name: newest_verification
-- The newest verification of a whole collection ($1) that has ended, with ArangoDB's time of its begin in milliseconds.
SELECT id, floor(extract(epoch FROM started_at) * 1000)::bigint AS began FROM _crossfade.run
WHERE collection = $1 AND kind = 'verify' AND state IN ('done', 'failed') ORDER BY id DESC LIMIT 1;
