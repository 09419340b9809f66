-- The reverse mirror: what carries the documents of the outbox from PostgreSQL to ArangoDB. READ COMMITTED, on the primary.

-- name: take_lease
-- Become the applier of part $1 for $3 seconds, as the process $2. No row while another process has the lease. An applier
-- may take it again; what it did under its former token ends first.
UPDATE _crossfade.applier SET token = token + 1, holder = $2, until = clock_timestamp() + make_interval(secs => $3::float8)
WHERE part = $1::integer AND (until < clock_timestamp() OR holder = $2)
RETURNING token;

-- name: left_open
-- The stream transaction that an earlier applier of part $1 may have left open in ArangoDB.
SELECT push FROM _crossfade.applier WHERE part = $1::integer AND push IS NOT NULL;

-- name: renew
-- Keep the lease of part $1 and token $2 for $3 seconds; $4: the stream transaction that is open in ArangoDB, NULL for none.
-- No row if another applier has the lease. Nobody waits for the disk: after a crash the lease ends a moment earlier.
UPDATE _crossfade.applier SET until = clock_timestamp() + make_interval(secs => $3::float8), push = $4
FROM set_config('synchronous_commit', 'off', true)
WHERE part = $1::integer AND token = $2
RETURNING token;

-- name: surpass
-- Raise the token $2 of part $1 above $3, which ArangoDB has from another life of this database. No row if another applier has
-- the lease: then that token may be its own.
UPDATE _crossfade.applier SET token = greatest(token, $3) + 1 WHERE part = $1::integer AND token = $2 RETURNING token;

-- name: give_up_lease
-- Let others take the lease of part $1 and token $2 at once.
UPDATE _crossfade.applier SET until = '-infinity', push = NULL WHERE part = $1::integer AND token = $2;

-- name: rows
-- The oldest $2 rows of part $1, without those of documents that ArangoDB has refused a moment ago. $3: the id from which on
-- to look; before it are dead rows, of which there are many while an old snapshot is open. Documents are read after the rows,
-- or from the same snapshot: those that were read before could be older than the writes that added the rows.
SELECT o.id, o.collection, o.key FROM _crossfade.outbox o
WHERE o.part = $1::integer AND o.kind = 'document' AND o.id >= $3::bigint
    AND NOT EXISTS (SELECT FROM _crossfade.refused_push r
                    WHERE r.collection = o.collection AND r.key = o.key AND r.retry > clock_timestamp())
    AND NOT EXISTS (SELECT FROM _crossfade.refused_push r
                    WHERE r.collection = o.collection AND r.key = '' AND r.retry > clock_timestamp())
ORDER BY o.id LIMIT $2;

-- name: next_change
-- The next change of a collection in part $1: those that documents wait for first, in their order; then one of a definition,
-- without those that ArangoDB has refused a moment ago.
SELECT o.id, o.collection, o.kind, o.body::text AS body FROM _crossfade.outbox o
WHERE o.part = $1::integer AND o.kind <> 'document'
    AND (o.kind <> 'definition' OR NOT EXISTS (
        SELECT FROM _crossfade.refused_push r
        WHERE r.collection = o.collection AND r.key = '/definition' AND r.retry > clock_timestamp()))
ORDER BY o.kind = 'definition', o.id LIMIT 1;

-- name: note_definition
-- Let ArangoDB get the definition of collection $1 if it has the collection and PostgreSQL takes its writes; $2: the names of
-- indexes that it no longer has.
INSERT INTO _crossfade.outbox (collection, key, kind, body)
SELECT collection, '', 'definition', json_build_object('gone', $2::text[])
FROM _crossfade.stamp_floor WHERE collection = $1 AND in_arangodb AND writer = 'target';

-- name: relations
-- The tables of the collections $1 text[].
SELECT collection, relation FROM _crossfade.collection WHERE collection = ANY ($1::text[]);

-- name: present
-- The present documents of the first of the keys $1 text[], as many as have $2 bytes together, at least one. raw: NULL if the
-- key has no document. As they are stored they are shorter, and counted without being read, so that no document is read in vain.
SELECT s.key, s.rev, s.raw
FROM (
    SELECT t.nth, t.key, t.rev, t.raw::text AS raw,
           sum(coalesce(octet_length(t.raw::text), 0)) OVER (ORDER BY t.nth) - coalesce(octet_length(t.raw::text), 0) AS before
    FROM (
        SELECT k.nth, k.key, d.rev, d.raw,
               sum(coalesce(pg_column_size(d.raw), 0)) OVER (ORDER BY k.nth) - coalesce(pg_column_size(d.raw), 0) AS before
        FROM unnest($1::text[]) WITH ORDINALITY AS k (key, nth) LEFT JOIN {relation} d USING (key)
    ) t
    WHERE t.before < $2::bigint
) s
WHERE s.before < $2::bigint
ORDER BY s.nth;

-- name: confirm
-- Remove exactly the rows $3 of part $1, after ArangoDB has confirmed what they carry. No row unless the lease is still that
-- of token $2: then another applier carries them. Without FOR SHARE the lease could be taken while they are removed. Nobody
-- waits for the disk: rows that a crash brings back are carried again, and ArangoDB has their revisions already.
WITH l AS MATERIALIZED (SELECT FROM _crossfade.applier WHERE part = $1::integer AND token = $2 FOR SHARE),
gone AS (
    DELETE FROM _crossfade.outbox USING l, set_config('synchronous_commit', 'off', true)
    WHERE id = ANY ($3::bigint[]) RETURNING id, collection, key, kind),
accepted AS (
    DELETE FROM _crossfade.refused_push r USING gone g WHERE r.collection = g.collection AND r.key IN (g.key, '', '/' || g.kind))
SELECT id FROM gone;

-- name: refuse
-- Note that ArangoDB refuses documents: $3 collections, $4 keys, $5 reasons; they are tried again after $6 seconds. No row
-- unless the lease of part $1 is still that of token $2.
WITH l AS MATERIALIZED (SELECT FROM _crossfade.applier WHERE part = $1::integer AND token = $2 FOR SHARE)
INSERT INTO _crossfade.refused_push AS r (collection, key, reason, retry)
SELECT n.collection, n.key, n.reason, clock_timestamp() + make_interval(secs => $6::float8)
FROM l, unnest($3::text[], $4::text[], $5::text[]) AS n (collection, key, reason)
ON CONFLICT (collection, key) DO UPDATE SET reason = excluded.reason, retry = excluded.retry
RETURNING r.key;

-- name: refused
-- What ArangoDB refuses, at most $1 of it, the oldest first.
SELECT collection, key, reason FROM _crossfade.refused_push ORDER BY since, collection, key LIMIT $1;

-- name: backlog
-- What ArangoDB lacks: how many rows, the age of the oldest in seconds, how many documents it refuses.
SELECT (SELECT count(*) FROM _crossfade.outbox) AS rows,
       coalesce(extract(epoch FROM clock_timestamp()
           - (SELECT at FROM _crossfade.outbox ORDER BY id LIMIT 1)), 0)::float8 AS age,
       (SELECT count(*) FROM _crossfade.refused_push) AS refused;

-- name: newest
-- The id of the newest row whose transaction is committed; 0 if there is none.
SELECT coalesce(max(id), 0) AS newest FROM _crossfade.outbox;

-- name: oldest
-- The id of the oldest row, without those of documents that ArangoDB refuses; 0 if there is none.
SELECT coalesce((
    SELECT o.id FROM _crossfade.outbox o
    WHERE NOT EXISTS (SELECT FROM _crossfade.refused_push r WHERE r.collection = o.collection AND r.key = o.key)
        AND NOT EXISTS (SELECT FROM _crossfade.refused_push r WHERE r.collection = o.collection AND r.key = '')
    ORDER BY o.id LIMIT 1), 0) AS oldest;

-- name: waiting
-- Whether the row $1 is still there.
SELECT EXISTS (SELECT FROM _crossfade.outbox WHERE id = $1::bigint) AS waiting;
