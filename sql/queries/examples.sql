-- Examples of reads by shape, for `crossfade shadow replay`.

-- name: add
-- Keep examples, or note that they were seen again: $1 shapes, $2 digests, $3 names of collections, a line each, $4 requests.
INSERT INTO _crossfade.example AS e (shape, digest, collections, request)
SELECT u.shape, u.digest, string_to_array(u.collections, E'\n'), u.request
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (shape, digest, collections, request)
ORDER BY 1, 2
ON CONFLICT (shape, digest) DO UPDATE SET recorded_at = now();

-- name: trim
-- Forgets all but the newest $2 examples of each of the shapes $1, and every one older than $3 days.
DELETE FROM _crossfade.example e
USING (SELECT shape, digest, row_number() OVER (PARTITION BY shape ORDER BY recorded_at DESC, digest) AS place
       FROM _crossfade.example WHERE shape = ANY ($1::text[])) AS ranked
WHERE (e.shape, e.digest) = (ranked.shape, ranked.digest)
  AND (ranked.place > $2 OR e.recorded_at < now() - $3::float8 * interval '1 day');

-- name: of_shapes
-- The examples of shapes $1, the newest first.
SELECT shape, request FROM _crossfade.example WHERE shape = ANY ($1::text[]) ORDER BY shape, recorded_at DESC;
