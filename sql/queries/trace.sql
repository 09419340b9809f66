-- What PostgreSQL knows of one document, for `crossfade trace`.

-- name: collection
-- $1 collection: its table, stage, stamp floor, and the era.
SELECT c.relation, c.stage, coalesce(h.floor, 0) AS stamp_floor, e.era
FROM _crossfade.collection c CROSS JOIN _crossfade.era e
LEFT JOIN _crossfade.stamp_floor h ON h.collection = c.collection
WHERE c.collection = $1;

-- name: row
-- $1 key. mark: the era before which a statement on this row is refused; of a tombstone, the era at its write.
SELECT rev, mark, doc IS NULL AS tombstone FROM {relation} WHERE key = $1;

-- name: dead_letter
-- $1 collection, $2 key.
SELECT rev, reason, noted_at FROM _crossfade.dead_letter WHERE collection = $1 AND key = $2;

-- name: marks
-- Marks of the collection or its database ($1, $2: 'db/*') that no finished verification covers, the newest first.
SELECT u.reason, u.instance, u.marked_at FROM _crossfade.unverified u
WHERE u.collection IN ($1, $2, '*/*')
  AND u.id > coalesce((SELECT max(r.unverified_before) FROM _crossfade.run r
      WHERE r.collection = $1 AND r.kind = 'verify' AND r.state = 'done'), 0)
ORDER BY u.id DESC LIMIT 20;

-- name: mismatches
-- Open mismatches that name the document: $1 collection, $2 key.
SELECT id, class AS kind, paths, seen, last_seen FROM _crossfade.mismatch
WHERE collection = $1 AND state = 'open' AND $2::text = ANY (keys) ORDER BY id DESC LIMIT 20;
