-- AQL that writes, in a transaction of one snapshot (REPEATABLE READ), on the primary.

-- name: draw_revisions
-- $2 new revisions of collection $1: above every one that a snapshot taken before shows.
SELECT nextval(f.revisions::regclass) AS revision
FROM _crossfade.stamp_floor f, generate_series(1, $2::integer) WHERE f.collection = $1;

-- name: write_seen
-- New versions and removals, in collection $1, in a transaction that decided by what the
-- snapshot shows, and drew the revisions after it was taken. So no row needs to be locked before: PostgreSQL refuses
-- (40001) to write a row that has changed since, and what the snapshot shows has lower revisions. $2 keys, $3 revisions,
-- $4 raw documents (empty: removed), a line each; $5 queryable documents, which are NULL or not given if they are made of
-- raw; $6 whether the key has a document, a line each. A tombstone keeps its revision. Returns the keys that are written: one without a document that is not returned has one.
WITH given AS MATERIALIZED (
    SELECT g.key, g.rev, g.raw, coalesce(g.doc, _crossfade.queryable(g.raw)) AS doc, g.stored, e.era
    FROM unnest(string_to_array($2, E'\n'), string_to_array($3, E'\n')::bigint[], string_to_array($4, E'\n', '')::json[],
                $5::jsonb[], string_to_array($6, E'\n')::boolean[]) AS g (key, rev, raw, doc, stored),
         _crossfade.era e
), locked AS MATERIALIZED ( -- in the order of keys, against deadlocks
    SELECT d.key FROM {relation} d WHERE d.key = ANY (string_to_array($2, E'\n')) AND d.doc IS NOT NULL ORDER BY d.key COLLATE "C" FOR UPDATE
), updated AS (
    UPDATE {relation} d
    SET rev = CASE WHEN g.raw IS NULL THEN d.rev ELSE g.rev END, raw = g.raw, doc = g.doc,
        mark = CASE WHEN g.raw IS NULL THEN greatest(d.mark, g.era) ELSE d.mark END
    FROM given g JOIN locked l USING (key) WHERE g.stored AND d.key = g.key
    RETURNING d.key
), inserted AS (
    INSERT INTO {relation} AS d (key, rev, raw, doc, mark)
    SELECT key, rev, raw, doc, era FROM given WHERE NOT stored ORDER BY key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET rev = excluded.rev, raw = excluded.raw, doc = excluded.doc WHERE d.doc IS NULL
    RETURNING d.key
), noted AS (
    INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM given
    WHERE (SELECT in_arangodb FROM _crossfade.stamp_floor WHERE collection = $1) ORDER BY key COLLATE "C"
)
SELECT key FROM updated UNION ALL SELECT key FROM inserted;

-- name: wait_for_keys
-- Wait for the transactions that have the documents of the keys $1: as long as for those that are written. It is refused
-- (40001) if one has changed since the snapshot.
SELECT count(*) AS found
FROM (SELECT FROM {relation} WHERE key = ANY ($1::text[]) ORDER BY key COLLATE "C" FOR SHARE) AS locked;

-- name: compiled
-- A query that writes as one statement, which the compiler has made (proxy/aql/compile/writes), in a transaction of one
-- snapshot whose first statement was `begin`. Its parameters, then `database/collection`. Or a query of a stream transaction
-- that only reads (proxy/aql/compile), with its parameters.
{query};
