-- The document that an instance writes, reads back and removes in both databases before a promotion.

-- name: put
-- $1 instance, $2 revision, $3 the document as ArangoDB prints it.
INSERT INTO _crossfade.canary (instance, rev, raw) VALUES ($1, $2::bigint, $3::text::json)
ON CONFLICT (instance) DO UPDATE SET rev = excluded.rev, raw = excluded.raw;

-- name: read
-- The document of instance $1.
SELECT rev, raw::text AS raw FROM _crossfade.canary WHERE instance = $1;

-- name: remove
-- Remove the document of instance $1.
DELETE FROM _crossfade.canary WHERE instance = $1;
