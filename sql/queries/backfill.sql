-- Runs and their chunks (backfill, verify), and what verification reads of the target. Rules: DESIGN section 10.

-- name: collection
-- The entry of one collection ($1 'database/name').
SELECT collection, database, name, relation, stage, stage_since FROM crossfade.collection WHERE collection = $1;

-- name: era
-- The era now: the stamp of whatever is read from the origin after this statement.
SELECT era FROM crossfade.era;

-- name: raise_era
-- A new era, to be committed before the origin is read (mirror-protocol, "Repair of a key", 1).
SELECT crossfade.raise_era();

-- name: fence_marks
-- Waits for marks of `unverified` that are being written: a run covers every mark up to the number it notes.
LOCK TABLE crossfade.unverified IN SHARE MODE;

-- name: open_run
-- The unfinished run of the same work: $1 collection, $2 kind, $3 mode, $4 whether it repairs.
SELECT id FROM crossfade.run
WHERE collection = $1 AND kind = $2 AND mode = $3 AND state = 'open'
  AND coalesce((result ->> 'repair')::boolean, false) = $4
ORDER BY id DESC LIMIT 1;

-- name: supersede
-- Ends verifications of a collection ($1) that no gate would take when they are done: begun before the newest backfill,
-- or before the newest proxy joined. $2 what to note (json).
UPDATE crossfade.run v SET state = 'cancelled', finished_at = clock_timestamp(), result = v.result || $2::jsonb
WHERE v.collection = $1 AND v.kind = 'verify' AND v.state = 'open'
  AND (EXISTS (SELECT 1 FROM crossfade.run b WHERE b.collection = $1 AND b.kind = 'backfill'
               AND b.state IN ('open', 'done') AND b.started_at > v.started_at)
       OR EXISTS (SELECT 1 FROM crossfade.instance i WHERE i.stopped_at IS NULL AND i.joined_at > v.started_at));

-- name: begin_run
-- $1 collection, $2 kind, $3 mode, $4 what is known at the start (json).
INSERT INTO crossfade.run (collection, kind, mode, unverified_before, result)
VALUES ($1, $2, $3, coalesce((SELECT max(id) FROM crossfade.unverified), 0), $4::jsonb)
RETURNING id;

-- name: add_chunks
-- $1 run, $2 lower keys (exclusive), $3 upper keys (inclusive); numbered in order.
INSERT INTO crossfade.chunk (run, number, lower, upper)
SELECT $1::bigint, i.number::integer, i.lower, i.upper
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS i (lower, upper, number);

-- name: claim
-- One chunk that is free or whose worker fell silent: $1 worker, $2 lease in seconds, $3 runs, NULL for every open one.
WITH free AS (
    SELECT c.run, c.number
    FROM crossfade.chunk c JOIN crossfade.run r ON r.id = c.run
    WHERE r.state = 'open' AND ($3::bigint[] IS NULL OR r.id = ANY ($3::bigint[]))
      AND (c.state = 'open' OR (c.state = 'claimed' AND c.lease_until < clock_timestamp()))
    ORDER BY c.run, c.number
    LIMIT 1
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE crossfade.chunk c
SET state = 'claimed', worker = $1, lease_until = clock_timestamp() + make_interval(secs => $2::float8)
FROM free, crossfade.run r, crossfade.collection k
WHERE c.run = free.run AND c.number = free.number AND r.id = c.run AND k.collection = r.collection
RETURNING c.run, c.number, c.lower, c.upper, c.position, c.result::text AS result, r.collection, r.kind, r.mode,
          coalesce((r.result ->> 'repair')::boolean, false) AS repair, k.database, k.name, k.relation, k.stage;

-- name: checkpoint
-- Progress of a claimed chunk, in the transaction of its page; no row: it went to another worker, or the run ended.
-- $1 run, $2 number, $3 worker, $4 position, $5 documents and $6 bytes more, $7 lease in seconds, $8 result (json).
UPDATE crossfade.chunk c
SET position = $4, documents = documents + $5, bytes = bytes + $6,
    lease_until = clock_timestamp() + make_interval(secs => $7::float8), result = $8::jsonb
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed'
  AND EXISTS (SELECT 1 FROM crossfade.run r WHERE r.id = c.run AND r.state = 'open')
RETURNING documents;

-- name: renew
-- Keeps a claimed chunk: $1 run, $2 number, $3 worker, $4 lease in seconds. No row: it went to another worker.
UPDATE crossfade.chunk SET lease_until = clock_timestamp() + make_interval(secs => $4::float8)
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed'
RETURNING number;

-- name: leave_chunk
-- A worker lets go: $1 run, $2 number, $3 worker, $4 state (open, done, failed), $5 error or NULL.
UPDATE crossfade.chunk SET state = $4, worker = NULL, lease_until = NULL, error = $5
WHERE run = $1 AND number = $2 AND worker = $3 AND state = 'claimed'
RETURNING number;

-- name: finishable
-- Open runs whose chunks are all done: $1 runs, NULL for every one.
SELECT r.id FROM crossfade.run r
WHERE r.state = 'open' AND ($1::bigint[] IS NULL OR r.id = ANY ($1::bigint[]))
  AND NOT EXISTS (SELECT 1 FROM crossfade.chunk c WHERE c.run = r.id AND c.state <> 'done')
ORDER BY r.id;

-- name: run
-- One run ($1) with its collection, and whether the collection left the mirror since the run began.
SELECT r.id, r.collection, r.kind, r.mode, r.state, r.result::text AS result, r.started_at, k.database, k.name,
       k.relation, k.stage,
       k.stage = 'off' OR EXISTS (
           SELECT 1 FROM crossfade.epoch e, jsonb_array_elements(e.moves) AS m
           WHERE e.outcome = 'committed' AND e.closed_at >= r.started_at
             AND m ->> 'collection' = r.collection AND m -> 'after' ->> 'stage' = 'off') AS left_mirror
FROM crossfade.run r JOIN crossfade.collection k USING (collection)
WHERE r.id = $1;

-- name: chunks
-- The chunks of a run ($1), in key order.
SELECT number, state, documents, bytes, result::text AS result, error FROM crossfade.chunk WHERE run = $1 ORDER BY number;

-- name: end_run
-- $1 run, $2 state, $3 result (json). Once: a run that is not open stays as it is.
UPDATE crossfade.run SET state = $2, result = $3::jsonb, finished_at = clock_timestamp()
WHERE id = $1 AND state = 'open'
RETURNING id;

-- name: states
-- How runs stand ($1 bigint[]), for progress.
SELECT r.id, r.collection, r.kind, r.mode, r.state, r.result::text AS result,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8 AS seconds,
       coalesce(sum(c.documents), 0)::bigint AS documents, coalesce(sum(c.bytes), 0)::bigint AS bytes,
       count(c.number) AS chunks, count(*) FILTER (WHERE c.state = 'done') AS done,
       count(*) FILTER (WHERE c.state = 'claimed' AND c.lease_until >= clock_timestamp()) AS claimed
FROM crossfade.run r LEFT JOIN crossfade.chunk c ON c.run = r.id
WHERE r.id = ANY ($1::bigint[])
GROUP BY r.id
ORDER BY r.id;

-- name: open_runs
-- Every run that has not ended.
SELECT id FROM crossfade.run WHERE state = 'open' ORDER BY id;

-- name: latest
-- The newest run of each kind of these collections ($1 text[], NULL for all).
SELECT DISTINCT ON (collection, kind) id FROM crossfade.run
WHERE $1::text[] IS NULL OR collection = ANY ($1::text[])
ORDER BY collection, kind, id DESC;

-- name: lock_run
-- One finisher at a time ($1 run), until the session ends or `unlock_run`.
SELECT pg_try_advisory_lock(hashtext('crossfade.run'), $1::integer);

-- name: unlock_run
SELECT pg_advisory_unlock(hashtext('crossfade.run'), $1::integer);

-- name: index_statement
SELECT crossfade.index_statement($1);

-- name: broken_index
-- The index on documents where building it was cut short: $1 collection, $2 relation. It must be dropped first.
SELECT i.indexrelid::regclass::text AS name
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = $2::text::regclass AND c.relname = 'doc_' || md5($1) AND NOT i.indisvalid;

-- name: analyze
ANALYZE {relation};

-- name: dead_letters
-- Sets documents aside: $1 collection, $2 keys, $3 revisions, $4 reasons.
INSERT INTO crossfade.dead_letter AS d (collection, key, rev, reason)
SELECT $1, i.key, i.rev, i.reason FROM unnest($2::text[], $3::bigint[], $4::text[]) AS i (key, rev, reason)
ON CONFLICT (collection, key) DO UPDATE SET rev = excluded.rev, reason = excluded.reason, noted_at = now()
WHERE excluded.rev >= d.rev;

-- name: forget_dead_letters
-- Documents that are in the target now: $1 collection, $2 keys, $3 revisions.
DELETE FROM crossfade.dead_letter d USING unnest($2::text[], $3::bigint[]) AS i (key, rev)
WHERE d.collection = $1 AND d.key = i.key AND d.rev <= i.rev;

-- name: count_dead_letters
SELECT count(*) FROM crossfade.dead_letter WHERE collection = $1;

-- name: target_revisions
-- A page of (key, rev) in byte order: $1 after, $2 up to (NULL: the end), $3 how many. Tombstones are not documents.
SELECT key, rev FROM {relation}
WHERE doc IS NOT NULL AND key > $1 AND ($2::text IS NULL OR key <= $2)
ORDER BY key COLLATE "C" LIMIT $3;

-- name: target_digests
-- As `target_revisions`, with a digest of the document as printed, and whether `doc` is what `raw` gives: NULL where
-- the document has an escape that only the caller can judge.
SELECT key, rev, sha256(convert_to(raw::text, 'UTF8')) AS digest,
       CASE WHEN strpos(raw::text, '\u') > 0 OR strpos(raw::text, chr(64976)) > 0 THEN NULL
            ELSE doc = crossfade.queryable(raw) END AS intact
FROM {relation}
WHERE doc IS NOT NULL AND key > $1 AND ($2::text IS NULL OR key <= $2)
ORDER BY key COLLATE "C" LIMIT $3;

-- name: target_documents
-- Both columns of these documents ($1 text[]).
SELECT key, rev, raw::text AS raw, doc::text AS doc FROM {relation} WHERE key = ANY ($1::text[]) AND doc IS NOT NULL;

-- name: mirror_caught_up
-- The time up to which every live proxy has applied what the origin took; now where there is no proxy.
SELECT clock_timestamp() AS now,
       coalesce((SELECT min(CASE WHEN backlog = 0 THEN heartbeat_at
                                 ELSE heartbeat_at - make_interval(secs => lag_seconds) END)
                 FROM crossfade.instance WHERE stopped_at IS NULL), clock_timestamp()) AS until;

-- name: mirror_lag
-- Seconds that the slowest live proxy is behind; 0 where there is none.
SELECT coalesce(max(CASE WHEN backlog = 0 THEN 0 ELSE lag_seconds END), 0)::float8
FROM crossfade.instance WHERE stopped_at IS NULL;

-- name: lock_requests
-- One worker at a time decides which verifications are due.
SELECT pg_advisory_xact_lock(hashtext('crossfade.verification_requests'));

-- name: due_verifications
-- Backfilled collections with a mark that no finished or open verification covers. One that was begun in the last $1
-- seconds is waited for, and one that failed keeps others back for twenty times as long.
SELECT k.collection
FROM crossfade.collection k
WHERE k.stage <> 'off'
  AND EXISTS (SELECT 1 FROM crossfade.run b WHERE b.collection = k.collection AND b.kind = 'backfill' AND b.state = 'done')
  AND NOT EXISTS (SELECT 1 FROM crossfade.run v WHERE v.collection = k.collection AND v.kind = 'verify'
                  AND (v.state = 'open' OR v.started_at > clock_timestamp()
                       - make_interval(secs => CASE WHEN v.state = 'failed' THEN 20 ELSE 1 END * $1::float8)))
  AND coalesce((SELECT max(u.id) FROM crossfade.unverified u WHERE u.collection IN (k.collection, k.database || '/*')), 0)
      > coalesce((SELECT max(v.unverified_before) FROM crossfade.run v
                  WHERE v.collection = k.collection AND v.kind = 'verify' AND v.state = 'done'), 0)
ORDER BY k.collection;
