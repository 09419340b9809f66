-- AQL that writes, compiled to one statement (proxy/aql/compile/writes): values as ArangoDB prints them, and documents with
-- other attributes. Like the functions of AQL's values, these refuse with SQLSTATE 22P05 what they cannot do exactly.

-- A revision as the text of `_rev`. Its digits are those of base64, two places later in the alphabet: 2 is taken from each
-- of the lower ten digits, without a borrow, and encode() writes them.
CREATE FUNCTION _crossfade.revision_text(in_revision bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN in_revision <= 1450656000000 THEN in_revision::text ELSE ltrim(
        substr('-_ABCDEF', (in_revision >> 60)::integer + 1, 1) || substr(translate(encode('\x00'::bytea || int8send(
            (((in_revision & 1152921504606846975) | 585610922974906400) - 36600682685931650) # (~in_revision & 585610922974906400)
        ), 'base64'), '+/', '-_'), 3), '-') END
$$;

-- A number with its shortest digits. Refused: a whole number that a double prints with an exponent or `.0`, and an integer
-- does not, since a jsonb does not distinguish them.
CREATE FUNCTION _crossfade.printed_decimal(in_number numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    number numeric := trim_scale(in_number);
    digits text;
    magnitude integer;
BEGIN
    IF scale(number) = 0 THEN
        IF abs(number) >= 9000000000000000 OR (abs(number) >= 100000000 AND number % 100000000 = 0) THEN
            RAISE EXCEPTION 'a number that a double prints in another way' USING ERRCODE = '22P05';
        END IF;
        RETURN number::text;
    ELSIF abs(number) >= 1000000000000000 OR abs(number) < 1e-290 THEN
        RAISE EXCEPTION 'digits that PostgreSQL may print in another way' USING ERRCODE = '22P05';
    END IF;
    digits := ltrim(replace(abs(number)::text, '.', ''), '0');
    magnitude := length(digits) - 1 - scale(number);
    IF scale(number) < 7 OR abs(magnitude) < 4 THEN
        RETURN number::text;
    END IF;
    RETURN CASE WHEN number < 0 THEN '-' ELSE '' END || left(digits, 1)
        || CASE WHEN length(digits) > 1 THEN '.' ELSE '' END || substr(digits, 2)
        || CASE WHEN magnitude < 0 THEN 'e-' ELSE 'e+' END || abs(magnitude);
END
$$;

-- A double that arithmetic gave; NULL is null.
CREATE FUNCTION _crossfade.printed_number(in_number double precision) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN in_number IS NULL THEN 'null'
                WHEN abs(in_number) < 100000000 AND in_number = trunc(in_number) THEN in_number::bigint::text
                ELSE _crossfade.printed_decimal(in_number::text::numeric) END;
END
$$;

-- A text as a JSON string. Refused: control characters without a short escape, which ArangoDB prints in upper case, and
-- escapes of jsonb.
CREATE FUNCTION _crossfade.printed_text(in_text text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    printed text := to_json(in_text);
BEGIN
    IF strpos(printed, '\u00') > 0 OR strpos(printed, U&'\FDD0') > 0 THEN
        RAISE EXCEPTION 'a character that is escaped' USING ERRCODE = '22P05';
    END IF;
    RETURN printed;
END
$$;

-- A value that only a jsonb has. Refused: an object of several attributes, whose order is not known.
CREATE FUNCTION _crossfade.printed(in_value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    CASE jsonb_typeof(in_value)
        WHEN 'string' THEN
            RETURN _crossfade.printed_text(in_value #>> '{}');
        WHEN 'number' THEN
            RETURN _crossfade.printed_decimal(in_value::numeric);
        WHEN 'array' THEN
            RETURN '[' || coalesce((SELECT string_agg(_crossfade.printed(e.value), ',' ORDER BY e.place)
                                    FROM jsonb_array_elements(in_value) WITH ORDINALITY e (value, place)), '') || ']';
        WHEN 'object' THEN
            IF (SELECT count(*) > 1 FROM jsonb_object_keys(in_value)) THEN
                RAISE EXCEPTION 'the order of attributes' USING ERRCODE = '22P05';
            END IF;
            RETURN '{' || coalesce((SELECT _crossfade.printed_text(e.key) || ':' || _crossfade.printed(e.value)
                                    FROM jsonb_each(in_value) e), '') || '}';
        ELSE
            RETURN coalesce(in_value::text, 'null');
    END CASE;
END
$$;

-- An object with a patch merged into it, as ArangoDB does it (proxy/model/documents.py, `merge`): attributes keep their
-- places, new ones follow. in_keep_null: else a null removes an attribute. in_merge: objects are merged into objects.
-- in_outermost: of a whole document, in which a new object loses its nulls without in_keep_null.
CREATE FUNCTION _crossfade.merged(in_old json, in_patch json, in_keep_null boolean, in_merge boolean, in_outermost boolean)
RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF strpos(in_old::text, '\u') > 0 OR strpos(in_patch::text, '\u') > 0 THEN
        RAISE EXCEPTION 'attributes whose names may be escaped' USING ERRCODE = '22P05';
    END IF;
    RETURN (
        WITH former AS (
            SELECT e.key, e.value, e.place FROM json_each(in_old) WITH ORDINALITY e (key, value, place)
        ), given AS (
            SELECT e.key, e.value, e.place, json_typeof(e.value) AS kind
            FROM json_each(in_patch) WITH ORDINALITY e (key, value, place)
        ), members AS (
            SELECT 0 AS part, f.place, f.key, CASE
                WHEN g.key IS NULL THEN f.value
                WHEN in_merge AND g.kind = 'object' AND json_typeof(f.value) = 'object'
                    THEN _crossfade.merged(f.value, g.value, in_keep_null, true, false)
                ELSE g.value END AS value
            FROM former f LEFT JOIN given g USING (key) WHERE g.key IS NULL OR in_keep_null OR g.kind <> 'null'
            UNION ALL
            SELECT 1, g.place, g.key, CASE
                WHEN in_outermost AND NOT in_keep_null AND g.kind = 'object'
                    THEN _crossfade.merged('{}', g.value, false, in_merge, false)
                ELSE g.value END
            FROM given g WHERE NOT EXISTS (SELECT FROM former f WHERE f.key = g.key) AND (in_keep_null OR g.kind <> 'null')
        )
        SELECT ('{' || coalesce(string_agg(to_json(m.key)::text || ':' || m.value::text, ',' ORDER BY m.part, m.place), '') || '}')::json
        FROM members m
    );
END
$$;

-- A document with another `_rev` and other values of some attributes, merged into it as an UPDATE does. in_doc: its
-- queryable form; in_marks: the names as they are printed, with a colon; in_values: the values as they are printed. `_rev` is
-- the first in the text, since no value before it can contain a quote. An attribute whose text is found at one place alone is
-- replaced there, which takes a third of the time.
CREATE FUNCTION _crossfade.patched(
    in_raw json, in_doc jsonb, in_revision bigint, in_names text[], in_marks text[], in_values text[],
    in_keep_null boolean, in_merge boolean)
RETURNS json LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    document text := in_raw;
    start text := left(document, strpos(document, '"_rev":"') + 7); -- the text up to the revision
    former text := split_part(substr(document, length(start) + 1, 30), '"', 1);
    tail text := split_part(document, former || '"', 2);
    head text;
    kind text;
BEGIN
    IF octet_length(start) + octet_length(former) + 1 + octet_length(tail) <> octet_length(document) THEN
        tail := substr(document, length(start) + length(former) + 2); -- takes longer
    END IF;
    document := tail; -- the text after the revision
    FOR i IN 1 .. cardinality(in_names) LOOP
        former := in_doc -> in_names[i];
        kind := left(former, 1); -- of an array or object, a jsonb does not have the same text
        IF kind IN ('[', '{') THEN
            former := in_raw -> in_names[i];
        END IF;
        head := split_part(document, in_marks[i], 1);
        tail := split_part(document, in_marks[i] || former, 2);
        IF strpos(in_values[i], U&'\FDD0') > 0 THEN
            RAISE EXCEPTION 'a character that is escaped' USING ERRCODE = '22P05';
        ELSIF (in_values[i] = 'null' AND NOT in_keep_null)
            OR (starts_with(in_values[i], '{') AND (kind = '{' AND in_merge OR kind IS NULL AND NOT in_keep_null))
            OR octet_length(head) + octet_length(in_marks[i]) + octet_length(former) + octet_length(tail) <> octet_length(document)
            OR left(tail, 1) NOT IN (',', '}') THEN
            document := substr(_crossfade.merged(
                ('{"_rev":""' || document)::json, ('{' || in_marks[i] || in_values[i] || '}')::json,
                in_keep_null, in_merge, true)::text, 11);
        ELSIF kind IS NULL THEN
            document := left(document, -1) || ',' || in_marks[i] || in_values[i] || '}';
        ELSE
            document := head || in_marks[i] || in_values[i] || tail;
        END IF;
    END LOOP;
    RETURN start || _crossfade.revision_text(in_revision) || '"' || document;
END
$$;

-- A document with another revision and other attributes beside the system's. in_members: these, as they are printed, each
-- preceded by a comma.
CREATE FUNCTION _crossfade.replaced(in_raw json, in_revision bigint, in_members text) RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (split_part(in_raw::text, '"_rev":"', 1) || '"_rev":"' || _crossfade.revision_text(in_revision) || '"' || in_members || '}')::json
$$;

-- The queryable form of a document that was made here; refused if it needs escapes.
CREATE FUNCTION _crossfade.queryable_unescaped(in_raw json) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF strpos(in_raw::text, U&'\FDD0') > 0 THEN
        RAISE EXCEPTION 'a character that is escaped' USING ERRCODE = '22P05';
    END IF;
    RETURN _crossfade.queryable(in_raw);
END
$$;
