-- A group key, or a MIN or MAX. Refused besides arrays and objects: a whole number that a double prints with an exponent
-- (1e+15), and an integer does not. jsonb cannot distinguish them.
CREATE OR REPLACE FUNCTION _crossfade.group_key(v jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(v) IN ('array', 'object') THEN
        RAISE EXCEPTION 'order of arrays or objects' USING ERRCODE = '22P05';
    ELSIF jsonb_typeof(v) = 'number' THEN
        IF abs(v::numeric) BETWEEN 100000000 AND 18446744073709551615 AND scale(v::numeric) = 0
           AND v::numeric % 10000000 = 0 THEN
            RAISE EXCEPTION 'a group of a number with many zeros' USING ERRCODE = '22P05';
        END IF;
    END IF;
    RETURN coalesce(v, 'null');
END
$$;
