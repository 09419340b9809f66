-- The revisions that PostgreSQL gives show when they were given, and a server that lacks commits gives none of theirs again.

-- How far revisions may lag the clock, in milliseconds. After a failover a revision is above all that the lost
-- commits had if the server did not take over more quickly than this.
CREATE FUNCTION _crossfade.revision_lag() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT 100 $$;

-- Moves a sequence of revisions (milliseconds << 20) up to the clock if it lags by more than that. The caller has locked
-- the collection's stamp floor, which excludes `take_writes` and `leap_revisions`; of several callers one has the advisory
-- lock until its transaction ends, and the others continue where the sequence is, without waiting. So it never goes back: what is drawn beside this adds
-- single revisions to a value that is many millions below the new one.
CREATE FUNCTION _crossfade.follow_clock(in_sequence regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := extract(epoch FROM clock_timestamp()) * 1000;
BEGIN
    IF pg_sequence_last_value(in_sequence) >> 20 < now_ms - _crossfade.revision_lag()
        AND pg_try_advisory_xact_lock(x'0C055FAD'::integer, in_sequence::oid::integer)
        -- again: another caller may have moved it before it let the lock go
        AND pg_sequence_last_value(in_sequence) >> 20 < now_ms - _crossfade.revision_lag()
    THEN
        PERFORM setval(in_sequence, now_ms << 20);
    END IF;
END
$$;

-- As before; the revisions follow the clock.
CREATE OR REPLACE FUNCTION _crossfade.begin_write(
    in_collection text, in_keys text[], in_revisions integer, in_lock_wait text, in_empties boolean)
RETURNS TABLE (
    relation text, edge boolean, properties text, noted boolean, keys text[], raws text[], revisions bigint[])
LANGUAGE plpgsql AS $$
DECLARE
    sequence regclass;
BEGIN
    SELECT c.relation, c.edge, f.properties::text, f.revisions, f.in_arangodb
    INTO relation, edge, properties, sequence, noted
    FROM _crossfade.stamp_floor f JOIN _crossfade.collection c USING (collection)
    WHERE f.collection = in_collection AND f.writer = 'target' AND (SELECT NOT closing FROM _crossfade.control)
    FOR SHARE OF f;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', in_lock_wait, true);
    IF in_empties THEN
        EXECUTE format(
            'WITH locked AS MATERIALIZED (SELECT key FROM %1$s WHERE doc IS NOT NULL ORDER BY key FOR UPDATE), '
            'removed AS (UPDATE %1$s d SET raw = NULL, doc = NULL, mark = greatest(d.mark, (SELECT era FROM _crossfade.era)) '
            'FROM locked WHERE d.key = locked.key RETURNING d.key) '
            'INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM removed WHERE $2', relation)
        USING in_collection, noted;
    END IF;
    EXECUTE format(
        'SELECT array_agg(l.key), array_agg(l.raw) '
        'FROM (SELECT key, raw::text AS raw FROM %s WHERE key = ANY ($1) ORDER BY key FOR UPDATE) l', relation)
    INTO keys, raws USING in_keys;
    PERFORM _crossfade.follow_clock(sequence);
    SELECT array_agg(nextval(sequence)) INTO revisions FROM generate_series(1, in_revisions);
    RETURN NEXT;
END
$$;

-- After a failover that may have lost commits: the revisions of every collection whose writes PostgreSQL takes continue above
-- the clock and in_margin milliseconds, by which the clocks of two servers may differ. It waits for the writes under way, in the
-- order in which transactions lock.
CREATE FUNCTION _crossfade.leap_revisions(in_margin bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    sequence regclass;
    least_new bigint;
BEGIN
    FOR sequence IN
        SELECT revisions FROM _crossfade.stamp_floor WHERE writer = 'target' ORDER BY collection COLLATE "C" FOR UPDATE
    LOOP
        least_new := ((extract(epoch FROM clock_timestamp()) * 1000)::bigint + in_margin) << 20;
        PERFORM setval(sequence, greatest(pg_sequence_last_value(sequence), least_new));
    END LOOP;
END
$$;
