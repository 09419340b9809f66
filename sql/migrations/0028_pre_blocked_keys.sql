-- Which documents a write could not have now, for writes of many documents that are refused one by one.

-- The keys among in_keys that another transaction has locked or is inserting, or that have changed since the snapshot of this
-- one; in_inserts: a key without a row would be inserted. Nothing stays locked or written. It raises lock_not_available if the
-- whole table is locked.
CREATE FUNCTION _crossfade.blocked_keys(in_relation text, in_keys text[], in_inserts boolean)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    tried text;
    found integer;
    former text := current_setting('lock_timeout');
BEGIN
    EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', in_relation);
    PERFORM set_config('lock_timeout', '1ms', true);
    FOREACH tried IN ARRAY in_keys LOOP
        BEGIN
            EXECUTE format('SELECT FROM %s WHERE key = $1 FOR UPDATE NOWAIT', in_relation) USING tried;
            GET DIAGNOSTICS found = ROW_COUNT;
            IF found = 0 AND in_inserts THEN -- a row that is being inserted is not visible: only an attempt meets it
                EXECUTE format('INSERT INTO %s (key, rev, mark) VALUES ($1, 0, 0) ON CONFLICT (key) DO NOTHING', in_relation)
                USING tried;
            END IF;
            RAISE EXCEPTION USING ERRCODE = 'CF000'; -- undoes it
        EXCEPTION
            WHEN SQLSTATE 'CF000' THEN NULL;
            WHEN lock_not_available OR serialization_failure THEN RETURN NEXT tried;
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', former, true);
END
$$;
