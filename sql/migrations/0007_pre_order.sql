-- Lists in AQL's order out of an index: the key of an attribute as an expression of built-in functions alone, which PostgreSQL
-- puts in the place of the call, so that a scan of an index on it costs what the comparison of a text costs.

-- A text with its escapes undone, as far as PostgreSQL can hold it (proxy/model/documents.py): U+0000 is U+0001, which no
-- collation tells from it but by the code point itself; a lone surrogate is U+FFFD, as in ArangoDB.
CREATE FUNCTION crossfade.unescaped(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(replace(regexp_replace(t COLLATE "C", U&'\FDD0s[0-9a-f]{4}', U&'\FFFD', 'g'), U&'\FDD0' || '0', U&'\0001'),
                   U&'\FDD0' || '1', U&'\FDD0')
$$;

-- The same order as before, and nothing is refused: a document must not fail for an index on its order.
CREATE OR REPLACE FUNCTION crossfade.sort_key(v jsonb) RETURNS crossfade.sort_key LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    t text := jsonb_typeof(v);
    s text;
BEGIN
    IF t = 'string' THEN
        s := v #>> '{}';
        IF strpos(s, U&'\FDD0') > 0 THEN
            s := crossfade.unescaped(s);
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

-- sort_key(doc -> name). What is neither a plain text nor a number is left to that.
CREATE FUNCTION crossfade.order_key(doc jsonb, name text) RETURNS crossfade.sort_key LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN jsonb_typeof(doc -> name) = 'string' AND strpos(doc ->> name, U&'\FDD0') = 0
            THEN ROW(3::smallint, NULL::numeric, doc ->> name, octet_length(doc ->> name))::crossfade.sort_key
        WHEN jsonb_typeof(doc -> name) = 'number'
            THEN ROW(2::smallint, (doc -> name)::numeric, NULL::text, NULL::integer)::crossfade.sort_key
        ELSE crossfade.sort_key(doc -> name)
    END
$$;
