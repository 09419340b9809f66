-- Requests that were neither captured nor compared, by name (I10).

-- name: add
-- Adds counts. $1 databases, $2 collections ('' for none), $3 endpoints, $4 reasons, $5 counts; $6 how many rows of one
-- database are kept. What is new beyond that is counted in one row of the database, under the endpoint $7 and reason $8.
WITH given AS (
    SELECT u.database, u.collection, u.endpoint, u.reason, u.seen, k.database IS NOT NULL AS known
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
        AS u (database, collection, endpoint, reason, seen)
    LEFT JOIN _crossfade.uncovered k USING (database, collection, endpoint, reason)
), kept AS (
    SELECT database, count(*) AS number FROM _crossfade.uncovered
    WHERE database IN (SELECT database FROM given WHERE NOT known) GROUP BY database
), placed AS (
    SELECT n.*, n.known OR coalesce(kept.number, 0)
        + row_number() OVER (PARTITION BY n.database, n.known ORDER BY n.collection, n.endpoint, n.reason) <= $6 AS fits
    FROM given n LEFT JOIN kept USING (database)
)
INSERT INTO _crossfade.uncovered AS g (database, collection, endpoint, reason, seen)
SELECT p.database,
    CASE WHEN p.fits THEN p.collection WHEN p.database = '' THEN '' ELSE p.database || '/*' END AS named,
    CASE WHEN p.fits THEN p.endpoint ELSE $7 END,
    CASE WHEN p.fits THEN p.reason ELSE $8 END,
    sum(p.seen)
FROM placed p
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
ON CONFLICT (database, collection, endpoint, reason) DO UPDATE
SET seen = g.seen + excluded.seen, last_seen = now();
