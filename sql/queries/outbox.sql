-- The reverse mirror: what carries the documents of the outbox from PostgreSQL to ArangoDB. READ COMMITTED, on the primary.

-- name: take_lease
-- Become the applier of part $1 for $3 seconds, as the process $2. No row while another process has the lease. An applier
-- may take it again; what it did under its former token ends first.
UPDATE _crossfade.applier SET token = token + 1, holder = $2, until = clock_timestamp() + make_interval(secs => $3::float8)
WHERE part = $1::integer AND (until < clock_timestamp() OR holder = $2)
RETURNING token;

-- name: collections
-- The collections that have rows in part $1, and their tables.
SELECT c.collection, c.relation FROM _crossfade.collection c
WHERE EXISTS (SELECT FROM _crossfade.outbox o WHERE o.part = $1::integer AND o.collection = c.collection)
ORDER BY c.collection;

-- name: read
-- The oldest rows of collection $2 in part $1, at most $3, and the present documents of their keys: state, not history. One
-- statement, hence one snapshot: documents that were read before the rows could be older than the writes that added them.
-- raw: NULL if the key has no document, which is a removal.
SELECT o.id, o.key, d.rev, d.raw::text AS raw
FROM (SELECT id, key FROM _crossfade.outbox WHERE part = $1::integer AND collection = $2 ORDER BY id LIMIT $3) o
LEFT JOIN {relation} d USING (key)
ORDER BY o.id;

-- name: confirm
-- Remove exactly the rows $3 of part $1, after ArangoDB has confirmed what they carry. No row unless the lease is still that
-- of token $2: then another applier carries them. Without FOR SHARE the lease could be taken while they are removed.
WITH l AS MATERIALIZED (SELECT FROM _crossfade.applier WHERE part = $1::integer AND token = $2 FOR SHARE)
DELETE FROM _crossfade.outbox USING l WHERE id = ANY ($3::bigint[]) RETURNING id;
