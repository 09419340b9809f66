-- States of the control plane, as every instance exports them and `crossfade status` shows them.

-- name: collections
-- One row a collection: what blocks its flip, whether automatic rollback is armed, how far its watch lags ($1: stages
-- that are watched; NULL: it is not watched).
SELECT c.collection, c.stage, c.weight,
    (SELECT count(*) FROM _crossfade.unverified u WHERE c.stage <> 'off'
        AND u.collection IN (c.collection, c.database || '/*', '*/*')
        AND u.id > coalesce((SELECT max(r.unverified_before) FROM _crossfade.run r
            WHERE r.collection = c.collection AND r.kind = 'verify' AND r.state = 'done'), 0)) AS unverified,
    (SELECT count(*) FROM _crossfade.dead_letter d WHERE d.collection = c.collection) AS dead,
    (SELECT count(*) FROM _crossfade.mismatch m WHERE m.collection = c.collection AND m.state = 'open') AS mismatches,
    (SELECT count(*) FROM _crossfade.out_of_band_write b WHERE b.collection = c.collection AND b.repaired_at IS NULL)
        AS out_of_band,
    EXISTS (SELECT FROM _crossfade.auto_rollback g WHERE g.collection = c.collection AND g.ended_at IS NULL) AS armed,
    c.stage = ANY ($1::text[]) AS watchable,
    (SELECT extract(epoch FROM clock_timestamp() - w.judged_until)::float8 FROM _crossfade.bypass_watch w
        WHERE w.collection = c.collection) AS behind
FROM _crossfade.collection c WHERE _crossfade.present(c) ORDER BY c.collection;

-- name: instances
-- Registered instances by state.
SELECT CASE WHEN diverged THEN 'diverged' WHEN lease_until <= clock_timestamp() THEN 'silent' ELSE 'live' END AS state,
    count(*) AS number
FROM _crossfade.instance WHERE stopped_at IS NULL GROUP BY 1;

-- name: rollbacks
-- Rollbacks of reads by who started them: operator, auto_rollback, instance. The audit never changes, so that its older
-- rows keep the former name of automatic rollback, 'guard'.
SELECT replace(detail ->> 'taken_back_by', 'guard', 'auto_rollback') AS by, count(*) AS number FROM _crossfade.audit
WHERE detail ? 'taken_back_by' GROUP BY 1;

-- name: automatic_rollbacks
-- Automatic rollbacks that no operator has acknowledged, newest first, with those of their collections that were not
-- flipped again since. 'guard': the former name, in older rows of the audit.
SELECT a.id, a.at, a.actor, a.reason, replace(a.detail ->> 'taken_back_by', 'guard', 'auto_rollback') AS by, m.collections
FROM _crossfade.audit a
JOIN LATERAL (
    SELECT array_agg(move ->> 'collection' ORDER BY move ->> 'collection') AS collections
    FROM jsonb_array_elements(a.detail -> 'moves') AS move
    WHERE move -> 'before' ->> 'stage' = 'flipped'
        AND EXISTS (SELECT FROM _crossfade.collection c WHERE c.collection = move ->> 'collection')
        AND NOT EXISTS (
            SELECT FROM _crossfade.audit later, jsonb_array_elements(later.detail -> 'moves') AS other
            WHERE later.id > a.id AND later.action = 'change' AND other ->> 'collection' = move ->> 'collection'
                AND other -> 'after' ->> 'stage' = 'flipped')
) m ON m.collections IS NOT NULL
WHERE a.detail ? 'taken_back_by' AND a.detail ->> 'taken_back_by' <> 'operator'
    AND a.id > coalesce((SELECT max((k.detail ->> 'until')::bigint) FROM _crossfade.audit k
                         WHERE k.action = 'acknowledge'), 0)
ORDER BY a.id DESC;
