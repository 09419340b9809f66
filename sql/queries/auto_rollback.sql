-- Automatic rollback of flipped collections (DESIGN section 9).

-- name: arm
-- $1 collections, $2 epoch, $3 percent of errors, $4 seconds (NULL: any), $5 mismatches, $6 actor. Replaces an older
-- budget of a collection.
INSERT INTO _crossfade.auto_rollback (collection, epoch, max_error_percent, max_p99_seconds, max_mismatches,
                                      mismatches_before, armed_by)
SELECT c.collection, $2, $3, $4, $5, coalesce(k.mismatched, 0), $6
FROM _crossfade.collection c LEFT JOIN _crossfade.comparison k ON k.collection = c.collection
WHERE c.collection = ANY ($1::text[])
ON CONFLICT (collection) DO UPDATE SET
    epoch = excluded.epoch, max_error_percent = excluded.max_error_percent, max_p99_seconds = excluded.max_p99_seconds,
    max_mismatches = excluded.max_mismatches, mismatches_before = excluded.mismatches_before, armed_at = now(),
    armed_by = excluded.armed_by, ended_at = NULL, ended_by = NULL, reason = NULL;

-- name: disarm
-- $1 collections, $2 actor. Returns those that were armed.
UPDATE _crossfade.auto_rollback SET ended_at = now(), ended_by = $2
WHERE collection = ANY ($1::text[]) AND ended_at IS NULL RETURNING collection;

-- name: all
-- Every automatic rollback, armed ones first. `mismatched`: confirmed since it was armed; a reset of the comparison starts again.
SELECT g.collection, g.epoch, g.max_error_percent, g.max_p99_seconds, g.max_mismatches, g.armed_at, g.armed_by, g.ended_at,
    g.ended_by, g.reason, c.stage, c.weight,
    CASE WHEN coalesce(k.since > g.armed_at, false) THEN k.mismatched
        ELSE coalesce(k.mismatched, 0) - g.mismatches_before END AS mismatched
FROM _crossfade.auto_rollback g JOIN _crossfade.collection c ON c.collection = g.collection
LEFT JOIN _crossfade.comparison k ON k.collection = g.collection
ORDER BY g.ended_at IS NOT NULL, g.collection;

-- name: together
-- The armed collections of the same epoch as $1, with $1 itself; none if $1 is not armed.
SELECT o.collection FROM _crossfade.auto_rollback g JOIN _crossfade.auto_rollback o ON o.epoch = g.epoch AND o.ended_at IS NULL
WHERE g.collection = $1 AND g.ended_at IS NULL ORDER BY o.collection FOR UPDATE OF o;

-- name: tripped
-- $1 collections, $2 who, $3 reason.
UPDATE _crossfade.auto_rollback SET ended_at = now(), ended_by = $2, reason = $3 WHERE collection = ANY ($1::text[]);

-- name: over
-- Collection $1 is not flipped any more, for any reason: end its automatic rollback.
UPDATE _crossfade.auto_rollback SET ended_at = now() WHERE collection = $1 AND ended_at IS NULL;
