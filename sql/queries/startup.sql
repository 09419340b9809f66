-- A proxy that answers from PostgreSQL alone.

-- name: held_by_origin
-- The collections whose writes ArangoDB takes, or nobody during a change: such a proxy must not start.
SELECT c.collection
FROM _crossfade.collection c LEFT JOIN _crossfade.stamp_floor f USING (collection)
WHERE _crossfade.present(c) AND coalesce(f.writer, 'origin') <> 'target'
ORDER BY c.collection;

-- name: complete
-- Whether there are collections, and every one is complete: nothing is ArangoDB's any more.
SELECT coalesce(bool_and(c.stage = 'complete'), false) AS complete FROM _crossfade.collection c WHERE _crossfade.present(c);
