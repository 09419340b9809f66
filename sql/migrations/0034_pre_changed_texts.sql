-- AQL that changes many documents in one statement: the texts of the new versions, by functions that PostgreSQL inlines. Their
-- arguments must be columns or constants, since an expression is not inlined that would be computed several times.

-- As before (0030), with cheaper functions for the times since 2004.
CREATE OR REPLACE FUNCTION _crossfade.revision_text(in_revision bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN in_revision >= 1152921504606846976 THEN
            substr('-_ABCDEF', (in_revision >> 60)::integer + 1, 1) || left(replace(replace(encode(int8send(
                ((((in_revision & 1152921504606846975) | 585610922974906400) - 36600682685931650) # (~in_revision & 585610922974906400)) << 4
            ), 'base64'), '+', '-'), '/', '_'), 10)
        WHEN in_revision <= 1450656000000 THEN in_revision::text
        ELSE ltrim(substr(translate(encode('\x00'::bytea || int8send(
            (((in_revision & 1152921504606846975) | 585610922974906400) - 36600682685931650) # (~in_revision & 585610922974906400)
        ), 'base64'), '+/', '-_'), 3), '-') END
$$;

-- The double that arithmetic makes of a value, as `number` does (0004).
CREATE FUNCTION _crossfade.number_of(in_value jsonb) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(in_value) = 'number' THEN in_value::double precision ELSE _crossfade.number(in_value) END
$$;

-- The text of a double, as printed_number makes it (0030).
CREATE FUNCTION _crossfade.printed_column(in_number double precision) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN in_number IS NULL THEN 'null'
                WHEN abs(in_number) < 100000000 AND in_number = trunc(in_number) THEN in_number::bigint::text
                ELSE _crossfade.printed_decimal(in_number::text::numeric) END
$$;

-- The text of an attribute; NULL if the document lacks it. Of an array or object, a jsonb does not have the same text.
CREATE FUNCTION _crossfade.former_text(in_raw json, in_doc jsonb, in_name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(in_doc -> in_name) IN ('array', 'object') THEN (in_raw -> in_name)::text
                ELSE (in_doc -> in_name)::text END
$$;

-- A document's text with another revision. in_place: the number of the part, between quotes, that is the former one, which is
-- never empty. The result is right if it is as long as the former text: it is not if the former revision is shorter or longer
-- than 11 characters, is not found there, or again after an attribute `_rev`. NULL of a time before 2004.
CREATE FUNCTION _crossfade.with_revision(in_text text, in_revision bigint, in_place integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN in_revision >= 1152921504606846976 THEN
        split_part(in_text, '"_rev":"', 1) || '"_rev":"' || _crossfade.revision_text(in_revision) || '"'
        || split_part(in_text, '"_rev":"' || split_part(in_text, '"', in_place) || '"', 2) END
$$;

-- Whether a value may have another text in the document than in its jsonb, a number such as 1e+8 or -0: then the same number
-- within an object, of an attribute of the same name, may be printed as in a jsonb.
CREATE FUNCTION _crossfade.has_other_forms(in_text text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT in_text ~ '^(0$|[-0-9].{8})'
$$;

-- A document's text with another value of one attribute: in_former is the text of its value (`former_text`), in_mark its name as
-- it is printed, with a colon. NULL if `patched` must do it: if objects are merged, a null removes the attribute, or what is
-- replaced is not found at one place alone.
CREATE FUNCTION _crossfade.with_member(
    in_text text, in_former text, in_mark text, in_value text, in_keep_null boolean, in_merge boolean)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN strpos(in_value, U&'\FDD0') > 0 OR (NOT in_keep_null AND in_value = 'null') OR (starts_with(in_value, '{')
            AND CASE WHEN in_former IS NULL THEN NOT in_keep_null ELSE in_merge AND starts_with(in_former, '{') END) THEN NULL
        WHEN in_former IS NULL THEN left(in_text, -1) || ',' || in_mark || in_value || '}'
        WHEN (split_part(in_text, in_mark, 3) = ''
            OR (split_part(in_text, in_mark || in_former, 3) = '' AND NOT _crossfade.has_other_forms(in_former)))
            AND left(split_part(in_text, in_mark || in_former, 2), 1) IN (',', '}')
            THEN replace(in_text, in_mark || in_former, in_mark || in_value) END
$$;

-- The queryable form of attributes that were printed here; refused if it needs escapes.
CREATE FUNCTION _crossfade.queryable_members(in_members text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(in_members, U&'\FDD0') > 0 THEN _crossfade.unless(true, NULL::jsonb)
                ELSE ('{' || in_members || '}')::jsonb END
$$;

-- As before (0030), but it does not take the attribute of an object for that of the document if both have one value, and the
-- document's is printed in another form.
CREATE OR REPLACE FUNCTION _crossfade.patched(
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
            OR left(tail, 1) NOT IN (',', '}')
            OR (_crossfade.has_other_forms(former) AND split_part(document, in_marks[i], 3) <> '') THEN
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
