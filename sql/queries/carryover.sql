-- What PostgreSQL takes over from ArangoDB beside the documents.

-- name: taken
-- Collections of ArangoDB whose writes it no longer takes.
SELECT collection FROM _crossfade.stamp_floor WHERE writer <> 'origin' AND in_arangodb ORDER BY collection;

-- name: newest
-- Of table {relation}, tombstones too: its newest revision, and the largest numbers that its keys are, as key generators
-- write them: in decimal, and in 16 hexadecimal digits. NULL if there is none.
SELECT max(rev) AS revision, (max(key::numeric) FILTER (WHERE key ~ '^[0-9]{1,19}$'))::text AS decimal,
       max(key) FILTER (WHERE key ~ '^[0-9a-f]{16}$') AS padded
FROM {relation};

-- name: take_writes
-- PostgreSQL takes the writes of collection $1 from the commit on. $2: its new revisions are above this; $3: what writes must
-- follow; $4: the largest number of its key generator.
SELECT true AS taken FROM _crossfade.take_writes($1, $2::bigint, $3::text::json, $4::text::numeric);

-- name: duplicates
-- Keys of documents of table {relation} that have one value of a unique index together: at most two of each of the first $4
-- values. $1: its paths; $2: whether it is sparse; $3: whether an array may repeat an element.
SELECT (array_agg(d.key ORDER BY d.key COLLATE "C"))[1:2] AS keys
FROM {relation} d, unnest(_crossfade.index_entries(d.key, d.rev, d.doc, $1::text[], $2::boolean, $3::boolean)) AS e (value)
WHERE d.doc IS NOT NULL
GROUP BY e.value HAVING count(*) > 1 ORDER BY 1 LIMIT $4::integer;
