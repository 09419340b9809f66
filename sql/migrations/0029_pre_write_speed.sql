-- Writes that PostgreSQL itself decides, with fewer and cheaper statements.

-- As before; noted: whether the outbox must have the keys of the writes, which holds until the transaction ends.
DROP FUNCTION _crossfade.begin_write(text, text[], integer, text, boolean);
CREATE FUNCTION _crossfade.begin_write(
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
    SELECT array_agg(nextval(sequence)) INTO revisions FROM generate_series(1, in_revisions);
    RETURN NEXT;
END
$$;
