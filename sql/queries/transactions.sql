-- Stream transactions that passed the proxies: which process began them, which wrote in them.

-- name: note
-- $1 databases, $2 ids, $3 wrote, $4 lost, $5 instance, $6 incarnation. Nothing that was noted is taken back.
INSERT INTO _crossfade.stream_transaction AS t (database, id, instance, incarnation, wrote, lost)
SELECT u.database, u.id, $5::text, $6::text, u.wrote, u.lost
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::boolean[]) AS u (database, id, wrote, lost)
ORDER BY 1, 2
ON CONFLICT (database, id, instance, incarnation) DO UPDATE
SET wrote = t.wrote OR excluded.wrote, lost = t.lost OR excluded.lost, at = now();

-- name: over
-- Delete those that have ended: $1 databases, $2 ids, $3 instance.
DELETE FROM _crossfade.stream_transaction t
USING unnest($1::text[], $2::text[]) AS u (database, id)
WHERE t.database = u.database AND t.id = u.id AND t.instance = $3;

-- name: find
-- What all proxies know of transactions: $1 databases, $2 ids, $3 instance, $4 incarnation. elsewhere: another process
-- holds writes of it.
SELECT t.database, t.id,
    bool_or(t.lost) AS lost,
    bool_or(t.wrote AND NOT t.lost AND NOT (t.instance = $3::text AND t.incarnation = $4::text)) AS elsewhere
FROM _crossfade.stream_transaction t
JOIN unnest($1::text[], $2::text[]) AS u (database, id) ON t.database = u.database AND t.id = u.id
GROUP BY t.database, t.id;

-- name: restarted
-- A new process of an instance has no writes of an earlier one in its memory: $1 instance, $2 incarnation, $3 databases
-- in which the earlier one's journal had open intents.
UPDATE _crossfade.stream_transaction
SET lost = true
WHERE instance = $1 AND incarnation <> $2 AND NOT lost AND (wrote OR database = ANY ($3::text[]));

-- name: forget
-- Those whose end no proxy saw: a transaction does not live for a day.
DELETE FROM _crossfade.stream_transaction WHERE at < now() - interval '1 day';
