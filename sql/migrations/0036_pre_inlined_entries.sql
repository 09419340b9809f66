-- Entries of unique indexes without `[*]`, by expressions that PostgreSQL inlines into the statements of the triggers: loops
-- over the paths took most of the time.

-- As before. Not in SQL: a function of SQL with an expensive argument is not inlined, and takes longer to be called.
CREATE OR REPLACE FUNCTION _crossfade.index_entry(in_forms text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN octet_length(in_forms) <= 500 THEN in_forms
                ELSE 'sha256:' || encode(sha256(convert_to(in_forms, 'UTF8')), 'hex') END;
END
$$;

-- What `index_entries` returns for these paths, as an expression of in_key, in_rev and in_doc; NULL if a path has `[*]`.
CREATE FUNCTION _crossfade.entries_expression(in_paths text[], in_sparse boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    path text;
    part text;
    value text;
    forms text := '';
    without text := 'in_doc IS NULL'; -- when a document has no entry
BEGIN
    IF strpos(array_to_string(in_paths, '.'), '[*]') > 0 THEN
        RETURN NULL;
    END IF;
    FOREACH path IN ARRAY in_paths LOOP
        -- `doc` lacks these. An _id is different exactly if the key is
        IF path IN ('_key', '_id') THEN
            forms := forms || ' || '','' || to_jsonb(in_key)::text';
        ELSIF path = '_rev' THEN
            forms := forms || ' || '','' || in_rev::text';
        ELSE
            value := 'in_doc';
            FOREACH part IN ARRAY string_to_array(path, '.') LOOP
                value := value || format(' -> %L', part);
            END LOOP;
            forms := forms || format(' || '','' || _crossfade.index_form(%s)', value);
            IF in_sparse THEN
                without := without || format(' OR coalesce(%s, ''null''::jsonb) = ''null''::jsonb', value);
            END IF;
        END IF;
    END LOOP;
    RETURN format('CASE WHEN %s THEN ''{}''::text[] ELSE ARRAY[_crossfade.index_entry(%s)] END', without, substr(forms, 5));
END
$$;

-- Let the function of an index that returns a document's entries be such an expression, if it can.
CREATE FUNCTION _crossfade.inline_entries(in_index text, in_paths text[], in_sparse boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    expression text := _crossfade.entries_expression(in_paths, in_sparse);
BEGIN
    IF expression IS NOT NULL THEN
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION %s(in_key text, in_rev bigint, in_doc jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE '
            'PARALLEL SAFE AS $body$ SELECT %s $body$', _crossfade.unique_entries(in_index), expression);
    END IF;
END
$$;

-- As before, with such a function.
ALTER FUNCTION _crossfade.create_unique_index(text, text, text[], boolean, boolean) RENAME TO create_expanded_index;
CREATE FUNCTION _crossfade.create_unique_index(
    in_relation text, in_index text, in_paths text[], in_sparse boolean, in_deduplicate boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _crossfade.create_expanded_index(in_relation, in_index, in_paths, in_sparse, in_deduplicate);
    PERFORM _crossfade.inline_entries(in_index, in_paths, in_sparse);
END
$$;

-- The indexes that exist.
DO $$
DECLARE
    index text;
    arguments text;
    paths text[];
    sparse boolean;
BEGIN
    FOR index, arguments IN
        SELECT substr(p.proname, 8), substring(p.prosrc FROM 'index_entries\(in_key, in_rev, in_doc, (.*)\) $')
        FROM pg_proc p
        WHERE p.pronamespace = '_crossfade'::regnamespace AND p.proname LIKE 'unique/%' AND p.pronargs = 3
    LOOP
        EXECUTE format('SELECT paths, sparse FROM (VALUES (%s)) v (paths, sparse, deduplicate)', arguments) INTO paths, sparse;
        PERFORM _crossfade.inline_entries(index, paths, sparse);
    END LOOP;
END
$$;
