-- Requests that were neither captured nor compared, by name (I10).

-- name: add
-- Adds counts. $1 databases, $2 collections ('' for none), $3 endpoints, $4 effects, $5 counts.
INSERT INTO crossfade.gap AS g (database, collection, endpoint, effect, seen)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
ON CONFLICT (database, collection, endpoint, effect) DO UPDATE
SET seen = g.seen + excluded.seen, last_seen = now();
