-- Dates in conditions (proxy/aql/functions/calendar.py has the rules). What is no date, or one in an odd form, is refused: the
-- query is then evaluated outside, with the warning.

-- Milliseconds since 1970, UTC, of a number of them or of a text: 2024-05-06, 2024-05-06T07:08:09.123Z, +02:00.
CREATE FUNCTION crossfade.date_ms(v jsonb) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
    p text[];
    n numeric;
BEGIN
    IF t = 'number' THEN
        n := v::numeric;
    ELSIF t = 'string' THEN
        p := regexp_match(v #>> '{}', '^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])'
                                      '(?:\.([0-9]{1,9}))?)?(?:Z|([-+])([0-9]{2}):([0-9]{2}))?$');
        IF p IS NOT NULL THEN
            n := (p[1]::date - date '1970-01-01') * 86400000::numeric
                 + coalesce(p[2]::integer, 0) * 3600000 + coalesce(p[3]::integer, 0) * 60000
                 + coalesce(p[4]::integer, 0) * 1000 + rpad(left(coalesce(p[5], ''), 3), 3, '0')::integer
                 - coalesce((p[6] || '1')::integer * (p[7]::integer * 60 + p[8]::integer) * 60000, 0);
        END IF;
    END IF;
    -- the years 1 to 9999: ArangoDB's year 0 is none of PostgreSQL's
    IF n IS NULL OR n < -62135596800000 OR n > 253402300799999 THEN
        RAISE EXCEPTION 'no date' USING ERRCODE = '22P05';
    END IF;
    RETURN trunc(n);
END
$$;

-- The same as a timestamp of UTC, for its parts.
CREATE FUNCTION crossfade.moment(v jsonb) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    n bigint := crossfade.date_ms(v);
    days bigint := floor(n / 86400000.0);
BEGIN
    RETURN (date '1970-01-01' + days::integer)::timestamp + (n - days * 86400000) * interval '1 millisecond';
END
$$;

-- A timestamp as ArangoDB prints it.
CREATE FUNCTION crossfade.iso_text(t timestamp) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(t, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
