-- Writes that PostgreSQL itself decides, in collections whose writes ArangoDB no longer takes.

-- The row that every statement which writes documents locks FOR SHARE also states who takes the writes. It changes in the
-- transaction of the control row only. What writes must follow is here as well: a write that has locked the row sees it as
-- it is now, even if it waited for the lock.
ALTER TABLE _crossfade.stamp_floor
    ADD COLUMN writer text NOT NULL DEFAULT 'origin' CHECK (writer IN ('origin', 'none', 'target')),
    ADD COLUMN revisions text, -- the sequence of revisions, qualified and quoted; NULL before PostgreSQL takes writes
    -- keyOptions, schema, computedValues, waitForSync and indexes, as ArangoDB shows them
    ADD COLUMN properties json NOT NULL DEFAULT '{}',
    -- false: the collection was created here, so that the outbox need not have the keys of its writes
    ADD COLUMN in_arangodb boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT stamp_floor_revisions_check CHECK (writer <> 'target' OR revisions IS NOT NULL);

-- Set before `writer` changes, in a separate transaction: writes stop asking for the row, which could else be shared
-- without a pause and never be updated. It is not needed for correctness.
ALTER TABLE _crossfade.control ADD COLUMN closing boolean NOT NULL DEFAULT false;

-- Keys whose documents ArangoDB does not have yet, one row for each write of a key. The documents are in their tables.
CREATE TABLE _crossfade.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL
);

-- The largest number that a collection's key generator has made or seen in a key: up to 2^64 - 1.
CREATE TABLE _crossfade.last_key (
    collection text COLLATE "C" PRIMARY KEY REFERENCES _crossfade.stamp_floor ON DELETE CASCADE,
    last numeric(20) NOT NULL
);

-- What a write needs before it decides, in one round trip; nothing if PostgreSQL does not take the collection's writes.
-- Each step is a statement with its own snapshot, since one that waited for a lock reads everything else as it was before:
-- the fence, so that the writer does not change until the transaction ends; the rows of the keys, locked in their order;
-- then the revisions, so that those of a key rise in the order of its writes. in_lock_wait: how long to wait for a row.
-- in_empties: remove every document first; the outbox gets their keys unless ArangoDB never had the collection. raws: NULL
-- for a tombstone. A second call in a transaction loads more keys.
CREATE FUNCTION _crossfade.begin_write(
    in_collection text, in_keys text[], in_revisions integer, in_lock_wait text, in_empties boolean)
RETURNS TABLE (relation text, edge boolean, properties text, keys text[], raws text[], revisions bigint[]) LANGUAGE plpgsql AS $$
DECLARE
    sequence regclass;
    noted boolean;
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
            'removed AS (UPDATE %1$s d SET raw = NULL, doc = NULL, mark = greatest(d.mark, e.era) '
            'FROM locked, _crossfade.era e WHERE d.key = locked.key RETURNING d.key) '
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
