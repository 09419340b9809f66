-- Who takes the writes of collections changes with the control row: by a promotion, a demotion, or the abort of one.

-- What ArangoDB's users were granted on collections before a promotion took their right to write, a row a user and
-- collection that had it. Written before the first of them is asked for, and removed when the user has it again.
CREATE TABLE _crossfade.origin_right (
    collection text COLLATE "C" NOT NULL,
    username text COLLATE "C" NOT NULL,
    granted text, -- the level of the collection itself; NULL: it had none, and its level followed from `followed`
    -- what the user's level followed from otherwise: of the database, of all its collections, of all databases
    followed jsonb NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz, -- when a change was requested whose answer is not known: it may still happen
    PRIMARY KEY (collection, username)
);

-- Lock who takes the writes of collections, in the order in which transactions lock: it waits for the writes that have tested
-- it. Raises object_not_in_prerequisite_state unless it is in_writer of all of them.
CREATE FUNCTION _crossfade.lock_writers(in_collections text[], in_writer text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    others text;
BEGIN
    PERFORM FROM _crossfade.stamp_floor WHERE collection = ANY (in_collections) ORDER BY collection COLLATE "C" FOR NO KEY UPDATE;
    SELECT string_agg(c.collection || ' ' || coalesce(f.writer, 'not mirrored'), ', ' ORDER BY c.collection) INTO others
    FROM unnest(in_collections) AS c (collection) LEFT JOIN _crossfade.stamp_floor f ON f.collection = c.collection
    WHERE f.writer IS DISTINCT FROM in_writer;
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'the writer is not %: %', in_writer, others USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;

-- Refuse every version that was stamped before: read or captured before the writer changed. The era is raised before a
-- collection is locked, as after a failover.
CREATE FUNCTION _crossfade.raise_floors(in_collections text[], in_writer text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    raised bigint := _crossfade.raise_era();
BEGIN
    PERFORM _crossfade.lock_writers(in_collections, in_writer);
    UPDATE _crossfade.stamp_floor SET floor = raised WHERE collection = ANY (in_collections) AND floor < raised;
END
$$;

-- The begin of a demotion: PostgreSQL takes no more writes of collections, and ArangoDB none yet.
CREATE FUNCTION _crossfade.withhold_writes(in_collections text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _crossfade.lock_writers(in_collections, 'target');
    UPDATE _crossfade.stamp_floor SET writer = 'none' WHERE collection = ANY (in_collections);
END
$$;

-- The abort of a demotion: PostgreSQL takes the writes as before.
CREATE FUNCTION _crossfade.resume_writes(in_collections text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _crossfade.lock_writers(in_collections, 'none');
    UPDATE _crossfade.stamp_floor SET writer = 'target' WHERE collection = ANY (in_collections);
END
$$;

-- The commit of a demotion: ArangoDB takes the writes again. Raises object_not_in_prerequisite_state if ArangoDB lacks a
-- write, or a collection.
CREATE FUNCTION _crossfade.give_writes_back(in_collections text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lacking text;
BEGIN
    PERFORM _crossfade.raise_floors(in_collections, 'none');
    SELECT f.collection INTO lacking FROM _crossfade.stamp_floor f
    WHERE f.collection = ANY (in_collections)
        AND (NOT f.in_arangodb OR EXISTS (SELECT FROM _crossfade.outbox o WHERE o.collection = f.collection))
    ORDER BY f.collection LIMIT 1;
    IF lacking IS NOT NULL THEN
        RAISE EXCEPTION 'ArangoDB lacks writes of %', lacking USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE _crossfade.stamp_floor SET writer = 'origin' WHERE collection = ANY (in_collections);
END
$$;
