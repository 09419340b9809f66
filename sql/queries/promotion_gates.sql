-- What only the gates of a promotion look at.

-- name: flipped
-- Since when collection $1 has its stage and weight, in seconds; the kinds of mismatches seen since then, those that
-- operators ignore left out; comparisons since the last reset.
SELECT c.stage, c.weight, extract(epoch FROM clock_timestamp() - c.stage_since)::float8 AS seconds,
    (SELECT count(*) FROM _crossfade.mismatch m
        WHERE m.collection = c.collection AND m.state <> 'ignored' AND m.last_seen >= c.stage_since) AS mismatches,
    coalesce(k.compared - k.undecided, 0) AS compared
FROM _crossfade.collection c LEFT JOIN _crossfade.comparison k USING (collection)
WHERE c.collection = $1;

-- name: transactions
-- Stream transactions of database $1 in which a write was seen and whose end was not; seconds: since the note.
SELECT id, instance, lost, extract(epoch FROM clock_timestamp() - at)::float8 AS seconds
FROM _crossfade.stream_transaction WHERE database = $1 AND wrote ORDER BY at, id;

-- name: same_shape
-- The other collections with a shape of collection $1, by shape: of queries whose collections are bound.
SELECT s.shape, array_agg(o.collection ORDER BY o.collection COLLATE "C") AS collections
FROM _crossfade.shape s JOIN _crossfade.shape o USING (shape)
WHERE s.collection = $1 AND o.collection <> $1 AND split_part(o.collection, '/', 1) = split_part($1, '/', 1)
GROUP BY s.shape;

-- name: of_no_collection
-- Requests to database $1 that passed through and name no collection: endpoints, and how often they were seen.
SELECT endpoint, sum(seen)::bigint AS seen FROM _crossfade.uncovered
WHERE database = $1 AND collection = '' GROUP BY endpoint ORDER BY endpoint;

-- name: clock
-- PostgreSQL's clock, in seconds since 1970.
SELECT extract(epoch FROM clock_timestamp())::float8 AS now;

-- name: passed_since
-- Requests since collection $1 has its stage that were neither captured nor compared: those of the collection, and those of
-- its database that name none.
SELECT u.endpoint, u.reason, u.seen FROM _crossfade.collection c JOIN _crossfade.uncovered u
    ON u.database = c.database AND u.collection IN (c.collection, '', c.database || '/*') AND u.last_seen >= c.stage_since
WHERE c.collection = $1 ORDER BY u.endpoint, u.reason;

-- name: not_carried
-- What ArangoDB lacks of collection $1: how many rows, and the age of the oldest in seconds.
SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 AS age
FROM _crossfade.outbox WHERE collection = $1;

-- name: refused_of
-- What ArangoDB refuses of collection $1, at most $2 of it.
SELECT key, reason FROM _crossfade.refused_push WHERE collection = $1 ORDER BY since, key LIMIT $2;
