-- Writers that go around the proxies: what proxies took, what the origin shows, what nobody took (I10).

-- name: relation
-- $1 collection.
SELECT relation FROM crossfade.collection WHERE collection = $1;

-- name: newest
-- Documents among those that PostgreSQL wrote last, the newest $2: of the last pages of the table ($1 its relation),
-- where new row versions mostly go. Walks no more than these pages.
SELECT key, rev FROM {relation}
WHERE doc IS NOT NULL
  AND ctid >= format('(%s,0)', greatest(0, pg_relation_size($1::text::regclass)
                                           / current_setting('block_size')::bigint - 64))::tid
ORDER BY rev DESC LIMIT $2;

-- name: watch_of
-- The watch over one collection ($1); `behind` in seconds.
SELECT mode, since, greatest(0, extract(epoch FROM clock_timestamp() - judged))::float8 AS behind, pending, note
FROM crossfade.watch WHERE collection = $1;

-- name: bypassed
-- Documents of a collection ($1) that were written around the proxies, the newest first, and how many there are.
SELECT key, removed, found_at, repaired_at IS NOT NULL AS repaired, count(*) OVER () AS number
FROM crossfade.bypass WHERE collection = $1 ORDER BY found_at DESC, key LIMIT 100;
