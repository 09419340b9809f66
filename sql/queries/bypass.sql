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

-- name: tell
-- One report of a process: $1 instance, $2 incarnation, $3 sequence, $4 seconds since the oldest open intent (0: none is
-- open, NULL: not known, or not all of the report), $5 whether something is left out, $6 whether it is the last and nothing is open; then what it
-- took: $7 collections, $8 revisions of each (bigint[] as text), $9 keys of each (a JSON array), $10 whole.
-- Every intent that was opened before the report before this one, less that age, was settled when this one was made.
WITH row AS (
    INSERT INTO crossfade.told AS o (instance, incarnation, sequence, untold, closed)
    VALUES ($1, $2, $3, CASE WHEN $5 THEN clock_timestamp() END, $6)
    ON CONFLICT (instance, incarnation) DO UPDATE SET
        sequence = excluded.sequence, closed = excluded.closed,
        at = CASE WHEN $4::float8 IS NULL THEN o.at ELSE clock_timestamp() END,
        untold = coalesce(excluded.untold, o.untold),
        reached = greatest(o.reached, o.at - make_interval(secs => $4::float8))
    WHERE excluded.sequence > o.sequence
    RETURNING instance
)
INSERT INTO crossfade.taken (instance, collection, revisions, keys, whole)
SELECT row.instance, i.collection, i.revisions::bigint[], ARRAY(SELECT jsonb_array_elements_text(i.keys::jsonb)), i.whole
FROM row, unnest($7::text[], $8::text[], $9::text[], $10::boolean[]) AS i (collection, revisions, keys, whole);

-- name: forget
-- What was told $1 seconds ago, and reports of processes that ended a day ago.
WITH old AS (
    DELETE FROM crossfade.told o WHERE o.at < clock_timestamp() - interval '1 day'
        AND NOT EXISTS (SELECT 1 FROM crossfade.instance i WHERE i.instance = o.instance AND i.stopped_at IS NULL)
)
DELETE FROM crossfade.taken WHERE at < clock_timestamp() - make_interval(secs => $1::float8);
