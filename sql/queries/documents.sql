-- The one rule of I4, as mirror-protocol verified it. Every statement: READ COMMITTED, on the primary, with the
-- stamp floor locked FOR SHARE, one row a key, ordered by key. $1 is the collection ('database/name'). The stamp floor also
-- states who takes the writes: if that is not ArangoDB, a statement changes nothing, since what it carries was read from
-- ArangoDB or confirmed by it, and is older than what PostgreSQL has.

-- fragment: upsert_rows()
-- Insert the rows that the stamp floor allows, and update those whose key is stored: all of them, unless a WHERE follows.
WITH h AS MATERIALIZED (SELECT floor FROM _crossfade.stamp_floor WHERE collection = $1 AND writer = 'origin' FOR SHARE)
INSERT INTO {relation} AS d (key, rev, raw, doc, mark)
SELECT i.key, i.rev, i.raw, coalesce(i.doc, _crossfade.queryable(i.raw)), i.stamp
FROM unnest($2::text[], $3::bigint[], $4::json[], $5::jsonb[], $6::bigint[]) AS i (key, rev, raw, doc, stamp), h
WHERE i.stamp >= h.floor
ORDER BY i.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET rev = excluded.rev, raw = excluded.raw, doc = excluded.doc

-- name: upsert
-- Newer versions win. $2 keys, $3 revisions, $4 raw documents, $5 queryable documents or NULL (then made of raw),
-- $6 stamps (eras). A key that is not returned was refused: see `revisions`, settle if stored >= mine, else re-read.
{upsert_rows()}
WHERE excluded.rev > d.rev AND excluded.mark >= d.mark
RETURNING key;

-- name: replace_equal
-- As `upsert`, but an equal revision with other content is replaced too: for repair and full verification only
-- (mirror-protocol, answer 8). A tombstone of that revision is replaced only if it is older than the read that found
-- the document (a backup restored it); else the document was removed after that read, and stays removed.
{upsert_rows()}
WHERE (excluded.rev > d.rev
       OR (excluded.rev = d.rev AND (d.doc IS NOT NULL OR excluded.mark > d.mark)
           AND (d.raw::text IS DISTINCT FROM excluded.raw::text OR d.doc IS DISTINCT FROM excluded.doc)))
  AND excluded.mark >= d.mark
RETURNING key;

-- name: restore
-- The archive wins over any version: only if the operator asks for it. Parameters as `upsert`. A key that is not returned
-- was refused by the stamp floor.
{upsert_rows()}
RETURNING key;

-- name: remove
-- A delete leaves a tombstone at the removed revision, marked with the era at write. $2 keys, $3 removed revisions,
-- $4 stamps.
WITH h AS MATERIALIZED (SELECT floor FROM _crossfade.stamp_floor WHERE collection = $1 AND writer = 'origin' FOR SHARE),
     e AS (SELECT era FROM _crossfade.era)
INSERT INTO {relation} AS d (key, rev, raw, doc, mark)
SELECT i.key, i.rev, NULL, NULL, e.era
FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS i (key, rev, stamp), h, e
WHERE i.stamp >= h.floor
ORDER BY i.key COLLATE "C"
ON CONFLICT (key) DO UPDATE
SET rev = excluded.rev, raw = NULL, doc = NULL, mark = greatest(d.mark, excluded.mark)
WHERE d.rev <= excluded.rev
RETURNING key;

-- name: absent
-- Repair found nothing in the origin. $2 keys, $3 revisions that the target had before the origin was read (0 for
-- none), $4 eras raised before that. A key that is not returned has a newer row: repair it again.
WITH h AS MATERIALIZED (SELECT floor FROM _crossfade.stamp_floor WHERE collection = $1 AND writer = 'origin' FOR SHARE),
     e AS (SELECT era FROM _crossfade.era)
INSERT INTO {relation} AS d (key, rev, raw, doc, mark)
SELECT i.key, i.rev, NULL, NULL, greatest(i.era, e.era)
FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS i (key, rev, era), h, e
WHERE i.era >= h.floor
ORDER BY i.key COLLATE "C"
ON CONFLICT (key) DO UPDATE
SET rev = greatest(d.rev, excluded.rev), raw = NULL, doc = NULL, mark = greatest(d.mark, excluded.mark)
WHERE d.doc IS NULL OR d.rev <= excluded.rev
RETURNING key;

-- name: passed_over
-- Of versions ($2 keys, $3 revisions, $4 stamps, $5 whether removed) that a statement above did not return: those that
-- it must apply to what is there now. So something else passed them over: a trigger or a rule. lacks: it matters.
SELECT i.key, NOT i.removed OR d.doc IS NOT NULL AS lacks
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::boolean[]) AS i (key, rev, stamp, removed)
JOIN _crossfade.stamp_floor AS h ON h.collection = $1 AND h.writer = 'origin' AND h.floor <= i.stamp
LEFT JOIN {relation} AS d ON d.key = i.key
WHERE d.key IS NULL
   OR CASE WHEN i.removed THEN d.doc IS NULL OR d.rev <= i.rev ELSE d.rev < i.rev AND d.mark <= i.stamp END;

-- name: uncompared
-- Of versions ($2 keys, $3 revisions, $4 stamps) that `replace_equal` did not return: documents of that revision which it
-- may not have compared with what is there, since the stamp floor or a later repair refused the stamp, or ArangoDB does not
-- take the writes. Read them again.
SELECT d.key
FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS i (key, rev, stamp)
JOIN {relation} AS d ON d.key = i.key AND d.rev = i.rev AND d.doc IS NOT NULL
LEFT JOIN _crossfade.stamp_floor AS h ON h.collection = $1
WHERE h.floor IS NULL OR h.writer <> 'origin' OR h.floor > i.stamp OR d.mark > i.stamp;

-- name: revisions
-- What the target has of these keys ($1 text[]); a tombstone is alive = false.
SELECT key, rev, doc IS NOT NULL AS alive FROM {relation} WHERE key = ANY ($1::text[]);
