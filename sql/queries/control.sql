-- Stages, epochs, leases, gates, audit (mirror-protocol, "Flip"; DESIGN section 9).

-- name: register
-- An instance joins, or comes back: $1 instance, $2 incarnation, $3 host, $4 pid, $5 version, $6 admin URL, $7 place
-- (empty: not known to be that of a process which is gone). It has no lease until its first beat. `registered` is false
-- if a process that may still run holds a lease for this id. `fresh`: it was not registered, so it missed nothing.
-- joined_at is kept after a crash: an instance that never deregistered remained responsible for its writes.
WITH old AS (
    SELECT stopped_at, diverged, host, pid, beats, synced FROM _crossfade.instance WHERE instance = $1
), new AS (
    INSERT INTO _crossfade.instance AS i (instance, incarnation, host, pid, version, admin_url, place)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (instance) DO UPDATE SET
        incarnation = excluded.incarnation, host = excluded.host, pid = excluded.pid, version = excluded.version,
        admin_url = excluded.admin_url, place = excluded.place, started_at = now(), heartbeat_at = now(), lease_until = now(),
        joined_at = CASE WHEN i.stopped_at IS NULL THEN i.joined_at ELSE now() END,
        diverged = i.stopped_at IS NULL AND i.diverged,
        generation = 0, acknowledged = 0, stopped_at = NULL
    WHERE i.stopped_at IS NOT NULL OR (i.place = excluded.place AND i.place <> '')
        OR i.incarnation = excluded.incarnation OR i.lease_until <= clock_timestamp()
    RETURNING instance
)
SELECT EXISTS (SELECT FROM new) AS registered, old.host, old.pid,
    old.pid IS NULL OR old.stopped_at IS NOT NULL AS fresh, coalesce(old.beats, 0) AS beats,
    coalesce(old.synced, 0) AS synced,
    coalesce(old.stopped_at IS NULL AND old.diverged, false) AS diverged
FROM (VALUES (1)) AS one LEFT JOIN old ON true;

-- name: beat
-- Heartbeat and read in one statement. $1 instance, $2 incarnation, $3 generation that it runs at, $4 generation
-- acknowledged, $5 diverged, $6 backlog, $7 lag in seconds, $8 absolute end of the lease (NULL: not extended), $9 longest
-- lease in seconds, $10 generation whose collections it knows: they are returned only if it is another. $11 number of
-- the heartbeat: one that was there is another process's, a clone of this one. $12 number that the machine's disk has.
-- The end of the lease was computed from a look that began before, so a statement that arrives late extends nothing.
WITH mine AS (
    UPDATE _crossfade.instance SET
        heartbeat_at = clock_timestamp(), generation = $3, acknowledged = $4, diverged = $5, backlog = $6,
        lag_seconds = $7, beats = $11, synced = $12,
        -- `least` passes over NULL: without the CASE a mere read would extend the lease without the knowledge of this instance
        lease_until = CASE WHEN $8::timestamptz IS NULL THEN lease_until
            ELSE least($8::timestamptz, clock_timestamp() + make_interval(secs => $9)) END
    WHERE instance = $1 AND incarnation = $2 AND stopped_at IS NULL AND beats < $11
    RETURNING instance
)
SELECT EXISTS (SELECT FROM mine) AS registered, clock_timestamp() AS now, e.era, c.generation, c.epoch, c.phase,
    NOT EXISTS (
        SELECT FROM _crossfade.instance i
        WHERE i.stopped_at IS NULL AND i.instance <> $1 AND (i.diverged OR i.lease_until <= clock_timestamp())
    ) AS everyone,
    CASE WHEN c.generation <> $10 THEN (
        SELECT coalesce(jsonb_object_agg(collection, jsonb_build_array(stage, weight)), '{}') FROM _crossfade.collection
    )::text END AS collections,
    CASE WHEN c.generation <> $10 THEN (
        SELECT coalesce(jsonb_object_agg(database, stage), '{}') FROM _crossfade.default_stage
    )::text END AS defaults,
    CASE WHEN c.generation <> $10 AND c.phase <> 'settled' THEN (
        SELECT moves FROM _crossfade.epoch WHERE epoch = c.epoch
    )::text END AS moves,
    ARRAY(SELECT collection FROM _crossfade.collection WHERE dropped_at IS NOT NULL) AS absent, c.closing AS paused
FROM _crossfade.control c, _crossfade.era e;

-- name: deregister
-- A clean stop: $1 instance, $2 incarnation. Only with an empty backlog.
UPDATE _crossfade.instance SET stopped_at = now(), lease_until = now()
WHERE instance = $1 AND incarnation = $2 AND stopped_at IS NULL RETURNING instance;

-- name: control_lock
-- The control row, locked until the transaction ends: changes of stages run one after the other. Read what it
-- depends on in a later statement, which sees what was committed meanwhile.
SELECT c.generation, c.epoch, c.phase,
    (SELECT moves::text FROM _crossfade.epoch e WHERE e.epoch = c.epoch AND c.phase <> 'settled') AS moves
FROM _crossfade.control c FOR UPDATE OF c;

-- name: control
-- The control row, and the open epoch if there is one.
SELECT c.generation, c.epoch, c.phase, e.moves::text AS moves, e.actor, e.reason,
    extract(epoch FROM clock_timestamp() - e.opened_at)::float8 AS open_seconds
FROM _crossfade.control c LEFT JOIN _crossfade.epoch e ON e.epoch = c.epoch AND c.phase <> 'settled';

-- name: control_set
-- $1 the generation that it must have, $2 epoch, $3 phase. Returns the new generation; no row if it was another. Of a
-- demotion, `drain` is the first phase that holds something.
UPDATE _crossfade.control SET generation = generation + 1, epoch = $2, phase = $3, closing = false,
    held_since = CASE $3 WHEN 'hold' THEN clock_timestamp() WHEN 'drain' THEN coalesce(held_since, clock_timestamp()) END
WHERE generation = $1 RETURNING generation;

-- name: epoch_open
-- $1 epoch, $2 actor, $3 reason, $4 moves.
INSERT INTO _crossfade.epoch (epoch, actor, reason, moves) VALUES ($1, $2, $3, $4::text::jsonb);

-- name: epoch_record
-- An epoch that begins and ends in one transaction: $1 epoch, $2 actor, $3 reason, $4 moves.
INSERT INTO _crossfade.epoch (epoch, actor, reason, moves, closed_at, outcome)
VALUES ($1, $2, $3, $4::text::jsonb, now(), 'committed');

-- name: epoch_close
-- $1 epoch, $2 outcome.
UPDATE _crossfade.epoch SET closed_at = now(), outcome = $2 WHERE epoch = $1 AND outcome = 'open';

-- name: epoch_outcome
-- What became of epoch $1, and the generation now; the outcome of one that was never opened is NULL.
SELECT c.generation, (SELECT outcome FROM _crossfade.epoch WHERE epoch = $1) AS outcome FROM _crossfade.control c;

-- name: no_driver
-- Whether no session drives the open epoch: $1 the number of the lock, which ends with the transaction.
SELECT pg_try_advisory_xact_lock($1);

-- name: notify
-- Wake the instances: $1 the new generation.
SELECT pg_notify('crossfade', $1::text);

-- name: held_too_long
-- Whether queries have been held for $1 seconds or longer.
SELECT coalesce(held_since <= clock_timestamp() - make_interval(secs => $1), false) FROM _crossfade.control;

-- name: collection_stages
-- Every registered collection.
SELECT collection, stage, weight FROM _crossfade.collection ORDER BY collection;

-- name: present
-- Every registered collection that is not known to be missing in ArangoDB.
SELECT c.collection, c.stage, c.weight FROM _crossfade.collection c WHERE _crossfade.present(c) ORDER BY c.collection;

-- name: present_again
-- $1 collection: the origin has it.
UPDATE _crossfade.collection SET dropped_at = NULL WHERE collection = $1 AND dropped_at IS NOT NULL;

-- name: defaults
-- The stage of new collections by database; '*': of every other.
SELECT database, stage FROM _crossfade.default_stage ORDER BY database;

-- name: set_collection_stage
-- $1 collection, $2 stage, $3 weight.
UPDATE _crossfade.collection SET stage = $2, weight = $3, stage_since = now() WHERE collection = $1;

-- name: set_default
-- $1 database or '*', $2 stage.
INSERT INTO _crossfade.default_stage (database, stage) VALUES ($1, $2)
ON CONFLICT (database) DO UPDATE SET stage = excluded.stage;

-- name: adopt_default
-- Collections that were registered while the epoch $3 of their default was open came in with the old one.
-- $1 database or '*', $2 the new stage.
UPDATE _crossfade.collection c SET stage = $2, stage_since = now()
WHERE c.stage = 'off' AND c.created_at >= (SELECT opened_at FROM _crossfade.epoch WHERE epoch = $3)
    AND (c.database = $1 OR ($1 = '*' AND NOT EXISTS (SELECT FROM _crossfade.default_stage d WHERE d.database = c.database)));

-- name: cancel_runs
-- The copy of $1 grows stale, or was begun before every write was captured: no run of it counts any more.
UPDATE _crossfade.run SET state = 'cancelled', finished_at = coalesce(finished_at, now())
WHERE collection = $1 AND state <> 'cancelled';

-- name: reset_comparison
-- Reset the comparison of $1.
INSERT INTO _crossfade.comparison (collection) VALUES ($1)
ON CONFLICT (collection) DO UPDATE SET since = now(), compared = 0, matched = 0, mismatched = 0, undecided = 0,
    unsupported = 0, lagged = 0, ignored = 0;

-- name: instances
-- Registered instances, then those that stopped within a day. Ages in seconds, in PostgreSQL's time.
SELECT instance, host, pid, version, admin_url, started_at, joined_at, stopped_at, generation, acknowledged, diverged,
    backlog, lag_seconds, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age,
    extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_left
FROM _crossfade.instance
WHERE stopped_at IS NULL OR stopped_at > now() - interval '1 day'
ORDER BY stopped_at IS NOT NULL, instance;

-- name: waiting_for
-- Registered instances that generation $1 still waits for.
SELECT instance, host, pid, generation, diverged, backlog,
    extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age,
    extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_left
FROM _crossfade.instance
WHERE stopped_at IS NULL AND (acknowledged <> $1 OR diverged OR lease_until <= clock_timestamp())
ORDER BY instance;

-- name: behind
-- Registered instances that do not run at generation $1 yet.
SELECT instance FROM _crossfade.instance WHERE stopped_at IS NULL AND generation < $1 ORDER BY instance;

-- name: instance_lock
-- $1 instance.
SELECT host, pid, stopped_at, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age,
    lease_until > clock_timestamp() OR heartbeat_at > clock_timestamp() - interval '1 second' AS alive
FROM _crossfade.instance WHERE instance = $1 FOR UPDATE;

-- name: evict
-- $1 instance. Its incarnation is removed too, so that a process which still runs notices the eviction.
UPDATE _crossfade.instance SET stopped_at = now(), lease_until = now(), incarnation = '' WHERE instance = $1;

-- name: mark_served
-- Whatever an instance may have written for is unverified. $1 instance, $2 reason. Returns the collections.
INSERT INTO _crossfade.unverified (collection, reason, instance)
SELECT collection, $2, $1 FROM _crossfade.collection WHERE stage <> 'off'
UNION ALL
SELECT database || '/*', $2, $1 FROM _crossfade.default_stage WHERE stage <> 'off'
RETURNING collection;

-- name: evidence
-- Everything that the gates of collection $1 depend on.
SELECT ctl.generation,
    (SELECT to_jsonb(r) FROM (
        SELECT id, unverified_before, started_at, result FROM _crossfade.run
        WHERE collection = $1 AND kind = 'backfill' AND state = 'done' ORDER BY id DESC LIMIT 1) r)::text AS backfill,
    (SELECT to_jsonb(r) FROM (
        SELECT id, unverified_before, started_at, result FROM _crossfade.run
        WHERE collection = $1 AND kind = 'verify' AND state = 'done' ORDER BY id DESC LIMIT 1) r)::text AS verification,
    (SELECT coalesce(jsonb_agg(kind ORDER BY id), '[]') FROM _crossfade.run
        WHERE collection = $1 AND state = 'open')::text AS open_runs,
    (SELECT to_jsonb(u) FROM (
        SELECT id, reason, instance FROM _crossfade.unverified
        WHERE collection IN ($1, c.database || '/*', '*/*') ORDER BY id DESC LIMIT 1) u)::text AS mark,
    (SELECT max(joined_at) FROM _crossfade.instance WHERE stopped_at IS NULL) AS last_joined,
    coalesce(k.compared, 0) AS compared, coalesce(k.mismatched, 0) AS mismatched,
    coalesce(k.undecided, 0) AS undecided,
    (SELECT count(*) FROM _crossfade.mismatch m
        WHERE m.collection = $1 AND m.state = 'open' AND m.class <> 'write') AS open_mismatches,
    (SELECT count(*) FROM _crossfade.dead_letter d WHERE d.collection = $1) AS dead_letters,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('endpoint', g.endpoint, 'reason', g.reason, 'seen', g.seen,
            'last_seen', g.last_seen) ORDER BY g.endpoint, g.reason), '[]') FROM _crossfade.uncovered g
        WHERE g.collection IN ($1, c.database || '/*'))::text AS gaps
FROM _crossfade.collection c CROSS JOIN _crossfade.control ctl
LEFT JOIN _crossfade.comparison k ON k.collection = c.collection
WHERE c.collection = $1;

-- name: status
-- One row a collection, with everything about it. The journal of a silent instance is not drained: until
-- it comes back, or is evicted, what it served counts as unverified. unverified_reason: of the newest mark. lacking: writes that
-- PostgreSQL took and ArangoDB does not have.
SELECT c.collection, c.stage, c.weight, c.stage_since, coalesce(k.compared, 0) AS compared,
    coalesce(k.mismatched, 0) AS mismatched, coalesce(k.undecided, 0) AS undecided,
    (SELECT count(*) FROM _crossfade.mismatch m
        WHERE m.collection = c.collection AND m.state = 'open' AND m.class <> 'write') AS open_mismatches,
    (SELECT count(*) FROM _crossfade.dead_letter d WHERE d.collection = c.collection) AS dead_letters,
    u.marks + (SELECT count(*) FROM _crossfade.instance i
        WHERE c.stage <> 'off' AND i.stopped_at IS NULL AND i.lease_until < clock_timestamp()) AS unverified,
    u.reason AS unverified_reason,
    b.id AS backfill, b.state AS backfill_state, b.finished_at AS backfill_at,
    (SELECT coalesce(sum(ch.documents), 0)::bigint FROM _crossfade.chunk ch WHERE ch.run = b.id) AS backfill_documents,
    v.id AS verify, v.state AS verify_state, v.finished_at AS verify_at, v.result::text AS verify_result,
    coalesce(f.writer, 'origin') AS writer, coalesce(o.lacking, 0) AS lacking
FROM _crossfade.collection c
LEFT JOIN _crossfade.stamp_floor f ON f.collection = c.collection
LEFT JOIN (SELECT collection, count(*) AS lacking FROM _crossfade.outbox GROUP BY collection) o ON o.collection = c.collection
LEFT JOIN _crossfade.comparison k ON k.collection = c.collection
LEFT JOIN LATERAL (SELECT * FROM _crossfade.run r WHERE r.collection = c.collection AND r.kind = 'backfill'
    ORDER BY r.id DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (SELECT * FROM _crossfade.run r WHERE r.collection = c.collection AND r.kind = 'verify'
    ORDER BY r.id DESC LIMIT 1) v ON true
CROSS JOIN LATERAL (SELECT count(*) AS marks, (array_agg(m.reason ORDER BY m.id DESC))[1] AS reason
    FROM _crossfade.unverified m WHERE m.collection IN (c.collection, c.database || '/*', '*/*')
        AND m.id > coalesce((SELECT max(r.unverified_before) FROM _crossfade.run r
            WHERE r.collection = c.collection AND r.kind = 'verify' AND r.state = 'done'), 0)) u
WHERE _crossfade.present(c)
ORDER BY c.collection;

-- name: uncovered
-- What passed through without being captured or compared (I10).
SELECT database, collection, endpoint, reason, seen, last_seen FROM _crossfade.uncovered
ORDER BY database, collection, endpoint, reason;

-- name: audit_lock
-- One end of the chain at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('_crossfade.audit'));

-- name: audit_end
-- After audit_lock, in a separate statement: it must see what was committed during the wait for the lock.
-- $1 detail, which comes back as jsonb has it.
SELECT clock_timestamp() AS at, $1::text::jsonb::text AS detail,
    (SELECT hash FROM _crossfade.audit ORDER BY id DESC LIMIT 1) AS previous;

-- name: audit_insert
-- $1 at, $2 actor, $3 action, $4 reason, $5 detail, $6 previous hash, $7 hash.
INSERT INTO _crossfade.audit (at, actor, action, reason, detail, previous, hash)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7) RETURNING id;

-- name: audit_newest
-- $1 at most.
SELECT id, at, actor, action, reason, detail::text AS detail, previous, hash
FROM _crossfade.audit ORDER BY id DESC LIMIT $1;

-- name: audit_page
-- $1 after this id, $2 at most.
SELECT id, at, actor, action, reason, detail::text AS detail, previous, hash
FROM _crossfade.audit WHERE id > $1 ORDER BY id LIMIT $2;
