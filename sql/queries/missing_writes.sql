-- Marks and dead letters: writes that PostgreSQL lacks, or may lack, recorded with the end of flips (I7, I10).

-- name: mark
-- Collections become unverified: $1 collections (`db/name`, `db/*`; `*` is every database), $2 reasons, $3 instance.
-- Written after the answer of the write that caused it. No second mark while an equal one is not covered yet: a run
-- that begins after this statement begins to read after that write too, and covers both.
INSERT INTO _crossfade.unverified (collection, reason, instance, marked_at)
SELECT w.collection, m.reason, $3, clock_timestamp()
FROM unnest($1::text[], $2::text[]) AS m (collection, reason)
CROSS JOIN LATERAL (
    SELECT m.collection WHERE m.collection <> '*'
    UNION
    SELECT c.database || '/*' FROM _crossfade.collection c WHERE m.collection = '*'
) AS w (collection)
WHERE NOT EXISTS (
    SELECT 1 FROM _crossfade.unverified u
    WHERE u.collection = w.collection AND u.reason = m.reason AND NOT EXISTS (
        SELECT 1 FROM _crossfade.run r
        WHERE r.unverified_before >= u.id
          AND (r.collection = u.collection
               OR (u.collection LIKE '%/*' AND starts_with(r.collection, left(u.collection, -1))))))
RETURNING collection;

-- name: add_dead_letter
-- A version ($3) of a document ($1 collection, $2 key) that PostgreSQL refused, or ($4) its removal; $5 reason.
-- superseded: the table has a newer version by now, so nothing is lacking. new: the key had no dead letter.
WITH there AS (
    SELECT EXISTS (
        SELECT FROM {relation} d
        WHERE d.key = $2 AND (d.rev > $3 OR (d.rev = $3 AND (d.doc IS NULL OR NOT $4::boolean)))) AS superseded
), noted AS (
    INSERT INTO _crossfade.dead_letter AS l (collection, key, rev, removed, reason, noted_at)
    SELECT $1::text, $2::text, $3::bigint, $4::boolean, $5::text, clock_timestamp() FROM there WHERE NOT superseded
    ON CONFLICT (collection, key) DO UPDATE SET
        rev = excluded.rev, removed = excluded.removed, reason = excluded.reason, tried_at = clock_timestamp(),
        noted_at = CASE WHEN excluded.rev > l.rev THEN excluded.noted_at ELSE l.noted_at END
    WHERE excluded.rev > l.rev OR (excluded.rev = l.rev AND excluded.removed >= l.removed)
    RETURNING xmax = 0 AS new
)
SELECT there.superseded, coalesce((SELECT new FROM noted), false) AS new FROM there;

-- name: dead_letters
-- Dead letters of collection $1, of the keys $2 (NULL: of all), above $3 and up to $4 (NULL: the end) in byte order.
SELECT key, rev FROM _crossfade.dead_letter
WHERE collection = $1 AND ($2::text[] IS NULL OR key = ANY ($2)) AND key > $3 AND ($4::text IS NULL OR key <= $4);

-- name: count_dead_letters
-- The number of dead letters of collection $1.
SELECT count(*) FROM _crossfade.dead_letter WHERE collection = $1;

-- name: end_dead_letters
-- End dead letters of collection $1 about which both sides agree: keys $2, the revisions $3 that they had before ArangoDB
-- was read, and the revisions $4 that ArangoDB then returned, NULL if it has no such document.
DELETE FROM _crossfade.dead_letter l
USING unnest($2::text[], $3::bigint[], $4::bigint[]) AS i (key, noted, origin)
WHERE l.collection = $1 AND l.key = i.key AND l.rev <= i.noted
  AND i.origin IS NOT DISTINCT FROM (SELECT d.rev FROM {relation} d WHERE d.key = i.key AND d.doc IS NOT NULL)
RETURNING l.key;

-- name: flipped
-- Those of the collections ($1: `db/name`, `db/*`, `*`) whose reads may come from PostgreSQL.
SELECT collection, weight FROM _crossfade.collection
WHERE stage = 'flipped' AND (collection = ANY ($1::text[]) OR database || '/*' = ANY ($1) OR '*' = ANY ($1))
ORDER BY collection;

-- name: recorded_since
-- A mark or a dead letter of one of the collections $1 that was recorded after the time $2, at which the control row was
-- locked. (Both are written under that lock, with their time: none that is older can be uncommitted.)
SELECT collection, reason FROM (
    SELECT c.collection, u.reason FROM _crossfade.unverified u
    JOIN _crossfade.collection c ON u.collection IN (c.collection, c.database || '/*', '*/*')
    WHERE c.collection = ANY ($1::text[]) AND u.marked_at >= $2
    UNION ALL
    SELECT d.collection, 'PostgreSQL refused a document' FROM _crossfade.dead_letter d
    WHERE d.collection = ANY ($1) AND d.noted_at >= $2
) AS recorded LIMIT 1;

-- name: now
-- PostgreSQL's clock.
SELECT clock_timestamp();
