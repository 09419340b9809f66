-- The semantics of AQL's values in SQL (the compiler, proxy/aql/compile, writes statements with these). A value is jsonb;
-- SQL NULL is null. All are IMMUTABLE, so that indexes on expressions serve them. What they cannot do exactly they refuse
-- with SQLSTATE 22P05, and the query is then evaluated outside. U+FDD0 begins an escape (proxy/model/documents.py).

-- Strings order by ICU, in ArangoDB's own way; not deterministic, so that what collates equal is told by its length.
-- Without ICU the collation is a stand-in, and the compiler does not use it: see crossfade.has_icu().
DO $$
BEGIN
    CREATE COLLATION crossfade.aql (provider = icu, locale = 'en-US-u-kf-upper-ks-identic', deterministic = false);
    CREATE COLLATION crossfade.aql_case (provider = icu, locale = 'und');
    CREATE FUNCTION crossfade.has_icu() RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
EXCEPTION WHEN feature_not_supported OR undefined_object OR invalid_parameter_value OR undefined_file OR internal_error THEN
    CREATE COLLATION crossfade.aql FROM "C";
    CREATE COLLATION crossfade.aql_case FROM "C";
    CREATE FUNCTION crossfade.has_icu() RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
END
$$;

-- null < bool < number < string < array < object: rank, then the value of its own kind. Of arrays and objects it has the
-- rank alone.
CREATE TYPE crossfade.sort_key AS (r smallint, n numeric, s text COLLATE crossfade.aql, z integer);

CREATE FUNCTION crossfade.sort_key(v jsonb) RETURNS crossfade.sort_key LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
    s text;
BEGIN
    IF t = 'string' THEN
        s := v #>> '{}';
        IF strpos(s, U&'\FDD0') > 0 THEN
            RAISE EXCEPTION 'order of escaped text' USING ERRCODE = '22P05';
        END IF;
        RETURN ROW(3::smallint, NULL::numeric, s, octet_length(s))::crossfade.sort_key;
    ELSIF t = 'number' THEN
        RETURN ROW(2::smallint, v::numeric, NULL::text, NULL::integer)::crossfade.sort_key;
    ELSIF t = 'boolean' THEN
        RETURN ROW(1::smallint, v::boolean::integer::numeric, NULL::text, NULL::integer)::crossfade.sort_key;
    ELSIF t = 'array' THEN
        RETURN ROW(4::smallint, NULL::numeric, NULL::text, NULL::integer)::crossfade.sort_key;
    ELSIF t = 'object' THEN
        RETURN ROW(5::smallint, NULL::numeric, NULL::text, NULL::integer)::crossfade.sort_key;
    END IF;
    RETURN ROW(0::smallint, NULL::numeric, NULL::text, NULL::integer)::crossfade.sort_key;
END
$$;

-- null, false, 0 and "" are false, all else is true.
CREATE FUNCTION crossfade.truthy(v jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(v NOT IN ('null'::jsonb, 'false'::jsonb, '0'::jsonb, '""'::jsonb), false)
$$;

-- One form for all values that are equal: a missing attribute is null, and so is a missing element at the end.
CREATE FUNCTION crossfade.canonical(v jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
    result jsonb;
BEGIN
    IF t = 'array' THEN
        SELECT coalesce(jsonb_agg(crossfade.canonical(e) ORDER BY i), '[]') INTO result
        FROM jsonb_array_elements(v) WITH ORDINALITY AS a (e, i)
        WHERE i <= (SELECT coalesce(max(j), 0) FROM jsonb_array_elements(v) WITH ORDINALITY AS b (f, j) WHERE f <> 'null');
        RETURN result;
    ELSIF t = 'object' THEN
        SELECT coalesce(jsonb_object_agg(k, crossfade.canonical(e)), '{}') INTO result
        FROM jsonb_each(v) AS a (k, e) WHERE e <> 'null';
        RETURN result;
    END IF;
    RETURN coalesce(v, 'null');
END
$$;

-- Whether two values are equal.
CREATE FUNCTION crossfade.same(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT crossfade.canonical(a) = crossfade.canonical(b)
$$;

-- -1, 0 or 1 over all values.
CREATE FUNCTION crossfade.compare(a jsonb, b jsonb) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    ka crossfade.sort_key := crossfade.sort_key(a);
    kb crossfade.sort_key := crossfade.sort_key(b);
    place integer;
    name text;
    result integer;
BEGIN
    IF ka.r <> kb.r OR ka.r < 4 THEN
        RETURN CASE WHEN ka < kb THEN -1 WHEN ka > kb THEN 1 ELSE 0 END;
    END IF;
    IF ka.r = 4 THEN
        a := crossfade.canonical(a);
        b := crossfade.canonical(b);
        FOR place IN 0 .. least(jsonb_array_length(a), jsonb_array_length(b)) - 1 LOOP
            result := crossfade.compare(a -> place, b -> place);
            IF result <> 0 THEN
                RETURN result;
            END IF;
        END LOOP;
        RETURN sign(jsonb_array_length(a) - jsonb_array_length(b));
    END IF;
    FOR name IN SELECT k FROM (SELECT jsonb_object_keys(a) UNION SELECT jsonb_object_keys(b)) AS u (k)
                ORDER BY crossfade.sort_key(to_jsonb(k)) LOOP
        result := crossfade.compare(a -> name, b -> name);
        IF result <> 0 THEN
            RETURN result;
        END IF;
    END LOOP;
    RETURN 0;
END
$$;

-- IN: whether some element is equal; false where it is no array.
CREATE FUNCTION crossfade.member(v jsonb, a jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(a) IS DISTINCT FROM 'array' THEN
        RETURN false;
    END IF;
    v := crossfade.canonical(v);
    RETURN EXISTS (SELECT FROM jsonb_array_elements(a) AS e (x) WHERE crossfade.canonical(x) = v);
END
$$;

-- A number as ArangoDB prints it, where that is sure: integers, and decimals of few digits.
CREATE FUNCTION crossfade.number_text(n numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t numeric := trim_scale(n);
BEGIN
    -- a whole number prints alike whether it is an integer or a double, unless it has many zeros
    IF (scale(t) = 0 AND abs(t) < 9007199254740992
        AND length(abs(t)::text) - 1 < length(rtrim(abs(t)::text, '0')) + 7)
       OR (scale(t) BETWEEN 1 AND 6 AND abs(t) < 100000000 AND abs(t) >= 0.0001) THEN
        RETURN t::text;
    END IF;
    RAISE EXCEPTION 'text of a number' USING ERRCODE = '22P05';
END
$$;

-- A value as compact JSON. Objects of several attributes are refused: their order is that of the stored text.
CREATE FUNCTION crossfade.json_text(v jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
BEGIN
    IF t = 'number' THEN
        RETURN crossfade.number_text(v::numeric);
    ELSIF t = 'array' THEN
        RETURN '[' || coalesce((SELECT string_agg(crossfade.json_text(e), ',' ORDER BY i)
                                FROM jsonb_array_elements(v) WITH ORDINALITY AS a (e, i)), '') || ']';
    ELSIF t = 'object' THEN
        IF (SELECT count(*) FROM jsonb_object_keys(v)) > 1 THEN
            RAISE EXCEPTION 'text of an object' USING ERRCODE = '22P05';
        END IF;
        RETURN '{' || coalesce((SELECT to_json(k)::text || ':' || crossfade.json_text(e) FROM jsonb_each(v) AS a (k, e)), '')
               || '}';
    END IF;
    RETURN coalesce(v::text, 'null');
END
$$;

-- What text functions make of a value: null is "", arrays are JSON.
CREATE FUNCTION crossfade.text(v jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
    s text;
BEGIN
    IF t IS NULL OR t = 'null' THEN
        RETURN '';
    ELSIF t = 'string' THEN
        s := v #>> '{}';
    ELSE
        s := crossfade.json_text(v);
    END IF;
    IF strpos(s, U&'\FDD0') > 0 THEN
        RAISE EXCEPTION 'escaped text' USING ERRCODE = '22P05';
    END IF;
    RETURN s;
END
$$;

CREATE FUNCTION crossfade.lower(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(t) = char_length(t) THEN
        RETURN lower(t COLLATE "C");
    ELSIF NOT crossfade.has_icu() THEN
        RAISE EXCEPTION 'case without ICU' USING ERRCODE = '22P05';
    END IF;
    RETURN lower(t COLLATE crossfade.aql_case);
END
$$;

CREATE FUNCTION crossfade.upper(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF octet_length(t) = char_length(t) THEN
        RETURN upper(t COLLATE "C");
    ELSIF NOT crossfade.has_icu() THEN
        RAISE EXCEPTION 'case without ICU' USING ERRCODE = '22P05';
    END IF;
    RETURN upper(t COLLATE crossfade.aql_case);
END
$$;

-- LENGTH: members of arrays and objects, else characters; true is 1.
CREATE FUNCTION crossfade.length(v jsonb) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
BEGIN
    IF t = 'array' THEN
        RETURN jsonb_array_length(v);
    ELSIF t = 'object' THEN
        RETURN (SELECT count(*) FROM jsonb_object_keys(v));
    ELSIF t IN ('string', 'number') THEN
        RETURN char_length(crossfade.text(v));
    END IF;
    RETURN CASE WHEN v = 'true' THEN 1 ELSE 0 END;
END
$$;

-- The double that arithmetic makes of a value.
CREATE FUNCTION crossfade.number(v jsonb) RETURNS double precision LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
    s text;
BEGIN
    IF t = 'number' THEN
        RETURN v::double precision;
    ELSIF t = 'boolean' THEN
        RETURN CASE WHEN v = 'true' THEN 1 ELSE 0 END;
    ELSIF t = 'string' THEN
        s := v #>> '{}';
        IF s ~ '^[ \t\r\n\f\v]*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?[ \t\r\n\f\v]*$' THEN
            RETURN btrim(s, E' \t\r\n\f\v')::double precision;
        END IF;
    ELSIF t = 'array' AND jsonb_array_length(v) = 1 THEN
        RETURN crossfade.number(v -> 0);
    END IF;
    RETURN 0;
END
$$;

-- The array itself; anything else is refused: to go through it is error 1563.
CREATE FUNCTION crossfade.loop(v jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(v) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'no array' USING ERRCODE = '22P05';
    END IF;
    RETURN v;
END
$$;

-- The value itself, NULL as null; arrays and objects are refused, whose order is not exact here.
CREATE FUNCTION crossfade.group_key(v jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(v) IN ('array', 'object') THEN
        RAISE EXCEPTION 'order of arrays or objects' USING ERRCODE = '22P05';
    END IF;
    RETURN coalesce(v, 'null');
END
$$;

-- v[i]
CREATE FUNCTION crossfade.element(v jsonb, i integer) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(v) WHEN 'array' THEN v -> i WHEN 'object' THEN v -> i::text END
$$;

-- The remainder with the sign of the dividend, of whole numbers; by zero it is refused (null and a warning).
CREATE FUNCTION crossfade.remainder(a double precision, b double precision) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF a <> trunc(a) OR b <> trunc(b) OR b = 0 OR abs(a) > 9e15 OR abs(b) > 9e15 THEN
        RAISE EXCEPTION 'remainder' USING ERRCODE = '22P05';
    END IF;
    RETURN (a::bigint % b::bigint)::double precision;
END
$$;

-- A whole document as a value: the system attributes are not in its jsonb.
CREATE FUNCTION crossfade.document(in_prefix text, in_key text, in_raw json, in_doc jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN in_doc IS NOT NULL THEN
        in_doc || jsonb_build_object('_key', in_key, '_id', in_prefix || in_key, '_rev', in_raw ->> '_rev') END
$$;

-- The text of an id, or of an object that has one; anything else is refused (it warns).
CREATE FUNCTION crossfade.handle(v jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    s text;
BEGIN
    IF jsonb_typeof(v) = 'object' THEN
        v := v -> '_id';
    END IF;
    IF jsonb_typeof(v) = 'string' THEN
        s := v #>> '{}';
        IF s ~ '^[^/]+/[^/]+$' AND strpos(s, U&'\FDD0') = 0 THEN
            RETURN s;
        END IF;
    END IF;
    RAISE EXCEPTION 'no id' USING ERRCODE = '22P05';
END
$$;

-- The value, unless it must not be had.
CREATE FUNCTION crossfade.unless(refused boolean, v anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF refused THEN
        RAISE EXCEPTION 'order of arrays or objects' USING ERRCODE = '22P05';
    END IF;
    RETURN v;
END
$$;

-- What DOCUMENT takes: a string, or the _id of an object. NULL where it finds nothing; an array is refused.
CREATE FUNCTION crossfade.id_text(v jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(v) = 'object' THEN
        v := v -> '_id';
    ELSIF jsonb_typeof(v) = 'array' THEN
        RAISE EXCEPTION 'several documents' USING ERRCODE = '22P05';
    END IF;
    RETURN CASE WHEN jsonb_typeof(v) = 'string' THEN v #>> '{}' END;
END
$$;

-- An id, where it can be one, of one of these collections; of another it is refused.
CREATE FUNCTION crossfade.known(id text, collections text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF id !~ '^[^/]+/.' THEN
        RETURN NULL;
    ELSIF split_part(id, '/', 1) <> ALL (collections) THEN
        RAISE EXCEPTION 'another collection' USING ERRCODE = '22P05';
    END IF;
    RETURN id;
END
$$;
