-- Unique indexes as ArangoDB has them: its equality of values, several values of one document for an array.
--
-- An index is a table of entries, `_crossfade."unique/<id>"`: each value once, with the key of its document. Triggers of the
-- document table keep it, so that it holds for every client, whatever it writes: a unique index of PostgreSQL holds one value
-- per row only, and checks each row of a statement before the next, so that two documents could not exchange their values.

-- The text that all values share which ArangoDB treats as equal, and no other: 1 and 1.0 are equal, a missing value is null,
-- attributes have no order, text is compared byte by byte. Doubles that are not integers of 64 bits have their bits.
CREATE FUNCTION _crossfade.index_form(in_value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    number numeric;
BEGIN
    CASE jsonb_typeof(in_value)
        WHEN 'string' THEN
            RETURN in_value::text;
        WHEN 'number' THEN
            number := in_value::numeric;
            IF number = trunc(number) AND number >= -9223372036854775808 AND number < 18446744073709551616 THEN
                RETURN trunc(number)::text;
            ELSIF abs(number) BETWEEN 4.95e-324 AND 1.797e308 THEN
                RETURN 'd' || encode(float8send(number::float8), 'hex');
            END IF;
            RETURN trim_scale(number)::text; -- the smallest and the largest doubles, and what only SQL clients can write
        WHEN 'array' THEN
            RETURN '[' || coalesce(
                (SELECT string_agg(_crossfade.index_form(e.value), ',' ORDER BY e.place)
                 FROM jsonb_array_elements(in_value) WITH ORDINALITY e (value, place)), '') || ']';
        WHEN 'object' THEN
            RETURN '{' || coalesce(
                (SELECT string_agg(to_json(e.key)::text || ':' || _crossfade.index_form(e.value), ',' ORDER BY e.key COLLATE "C")
                 FROM jsonb_each(in_value) e), '') || '}';
        ELSE -- null, a boolean, or no value
            RETURN coalesce(in_value::text, 'null');
    END CASE;
END
$$;

-- The entry of some values, each in its form and preceded by a comma: a digest if it is too long for an index.
CREATE FUNCTION _crossfade.index_entry(in_forms text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(in_forms) <= 500 THEN in_forms ELSE 'sha256:' || encode(sha256(convert_to(in_forms, 'UTF8')), 'hex') END
$$;

-- The entries of a document in an index. in_paths: dotted; `[*]` expands an array, and each of its elements is an entry.
-- in_sparse: none with a null. in_deduplicate: equal elements of an array are one. NULL, a tombstone, has none.
CREATE FUNCTION _crossfade.index_entries(
    in_key text, in_rev bigint, in_doc jsonb, in_paths text[], in_sparse boolean, in_deduplicate boolean)
RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    path text;
    part text;
    name text;
    found jsonb[];
    forms text[];
    entries text[] := ARRAY[''];
BEGIN
    IF in_doc IS NULL THEN
        RETURN '{}';
    END IF;
    FOREACH path IN ARRAY in_paths LOOP
        -- `doc` lacks these. An _id is different exactly if the key is
        IF path IN ('_key', '_id') THEN
            forms := ARRAY[to_jsonb(in_key)::text];
        ELSIF path = '_rev' THEN
            forms := ARRAY[in_rev::text];
        ELSE
            found := ARRAY[in_doc];
            FOREACH part IN ARRAY string_to_array(path, '.') LOOP
                name := regexp_replace(part, '\[\*\]$', '');
                IF name = part THEN
                    found := ARRAY(SELECT v.value -> name FROM unnest(found) WITH ORDINALITY v (value, place) ORDER BY v.place);
                ELSE
                    found := ARRAY(
                        SELECT e.value FROM unnest(found) WITH ORDINALITY v (value, place), jsonb_array_elements(
                            CASE WHEN jsonb_typeof(v.value -> name) = 'array' THEN v.value -> name ELSE '[]' END)
                            WITH ORDINALITY e (value, place)
                        ORDER BY v.place, e.place);
                END IF;
            END LOOP;
            forms := ARRAY(
                SELECT _crossfade.index_form(v.value) FROM unnest(found) WITH ORDINALITY v (value, place) ORDER BY v.place);
        END IF;
        IF in_sparse THEN
            forms := array_remove(forms, 'null');
        END IF;
        entries := ARRAY(SELECT e.entry || ',' || f.form FROM unnest(entries) e (entry), unnest(forms) f (form));
    END LOOP;
    IF in_deduplicate AND cardinality(entries) > 1 THEN
        RETURN ARRAY(SELECT DISTINCT _crossfade.index_entry(e.entry) FROM unnest(entries) e (entry));
    END IF;
    RETURN ARRAY(SELECT _crossfade.index_entry(e.entry) FROM unnest(entries) e (entry));
END
$$;

-- The entry of a list of values, as `index_entries` gives it for a document that has them.
CREATE FUNCTION _crossfade.index_entry_of(in_values jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT _crossfade.index_entry(string_agg(',' || _crossfade.index_form(e.value), '' ORDER BY e.place))
    FROM jsonb_array_elements(in_values) WITH ORDINALITY e (value, place)
$$;

-- The table of entries of an index, qualified and quoted.
CREATE FUNCTION _crossfade.unique_entries(in_index text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('_crossfade.%I', 'unique/' || in_index)
$$;

-- Create a unique index of a table, without entries of the documents that are there: `fill_unique_index` adds them. From the
-- commit on, writes are checked against what it has. in_index: its number, which no other index of this database has.
CREATE FUNCTION _crossfade.create_unique_index(
    in_relation text, in_index text, in_paths text[], in_sparse boolean, in_deduplicate boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entries text := _crossfade.unique_entries(in_index);
    arguments text := format('%L::text[], %L::boolean, %L::boolean', in_paths, in_sparse, in_deduplicate);
    event text;
    tables text;
BEGIN
    EXECUTE format('CREATE TABLE %s (value text COLLATE "C" PRIMARY KEY, key text COLLATE "C" NOT NULL)', entries);
    EXECUTE format('COMMENT ON TABLE %s IS %L', entries, 'building');
    -- the entries of a document as a function of its row
    EXECUTE format(
        'CREATE FUNCTION %s(in_key text, in_rev bigint, in_doc jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE '
        'AS $body$ SELECT _crossfade.index_entries(in_key, in_rev, in_doc, %s) $body$', entries, arguments);
    -- What a statement releases goes before what it claims comes. SECURITY DEFINER: clients need no right to the entries.
    EXECUTE format($function$
CREATE FUNCTION %1$s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    gone_keys text[];
    gone_values text[];
    new_keys text[];
    new_values text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO %1$s (value, key)
        SELECT e.value, n.key FROM new_rows n, unnest(%1$s(n.key, n.rev, n.doc)) e (value) ORDER BY e.value;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM %1$s u USING old_rows o, unnest(%1$s(o.key, o.rev, o.doc)) e (value)
        WHERE u.value = e.value AND u.key = o.key;
    ELSIF TG_OP = 'TRUNCATE' THEN
        TRUNCATE %1$s;
    ELSE
        WITH former AS MATERIALIZED (
            SELECT o.key, e.value FROM old_rows o, unnest(%1$s(o.key, o.rev, o.doc)) e (value)
        ), present AS MATERIALIZED (
            SELECT n.key, e.value FROM new_rows n, unnest(%1$s(n.key, n.rev, n.doc)) e (value)
        ), gone AS (
            SELECT key, value FROM former EXCEPT ALL SELECT key, value FROM present
        ), made AS (
            SELECT key, value FROM present EXCEPT ALL SELECT key, value FROM former
        )
        SELECT (SELECT array_agg(key ORDER BY value) FROM gone), (SELECT array_agg(value ORDER BY value) FROM gone),
               (SELECT array_agg(key ORDER BY value) FROM made), (SELECT array_agg(value ORDER BY value) FROM made)
        INTO gone_keys, gone_values, new_keys, new_values;
        IF gone_keys IS NOT NULL THEN
            DELETE FROM %1$s u USING unnest(gone_keys, gone_values) g (key, value) WHERE u.value = g.value AND u.key = g.key;
        END IF;
        IF new_keys IS NOT NULL THEN
            INSERT INTO %1$s (value, key) SELECT n.value, n.key FROM unnest(new_keys, new_values) n (key, value);
        END IF;
    END IF;
    RETURN NULL;
END
$body$ $function$, entries);
    FOR event, tables IN
        SELECT * FROM (VALUES ('INSERT', 'REFERENCING NEW TABLE AS new_rows'), ('DELETE', 'REFERENCING OLD TABLE AS old_rows'),
                              ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'), ('TRUNCATE', '')) v
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION %s()',
                       format('unique/%s/%s', in_index, lower(event)), event, in_relation, tables, entries);
    END LOOP;
END
$$;

-- Add the entries of the next documents after a key, at most in_limit. last: the key to continue after; NULL: that was all.
-- conflict: the key of a document with a value that the document `holder` has. The rows are locked, so that none of them
-- changes between its being read and its entry's being written.
CREATE FUNCTION _crossfade.fill_unique_index(in_relation text, in_index text, in_after text, in_limit integer)
RETURNS TABLE (last text, conflict text, holder text) LANGUAGE plpgsql AS $$
DECLARE
    entries text := _crossfade.unique_entries(in_index);
    page_size bigint;
    page_keys text[];
    page_values text[];
BEGIN
    EXECUTE format(
        'WITH page AS MATERIALIZED (SELECT key, rev, doc FROM %1$s WHERE key > $1 ORDER BY key LIMIT $2 FOR SHARE), '
        'claims AS (SELECT p.key, e.value FROM page p, unnest(%2$s(p.key, p.rev, p.doc)) e (value)) '
        'SELECT (SELECT count(*) FROM page), (SELECT max(key) FROM page), '
        '(SELECT array_agg(key ORDER BY key, value) FROM claims), (SELECT array_agg(value ORDER BY key, value) FROM claims)',
        in_relation, entries)
    INTO page_size, last, page_keys, page_values USING in_after, in_limit;
    EXECUTE format(
        'INSERT INTO %s (value, key) SELECT c.value, c.key FROM unnest($1, $2) WITH ORDINALITY c (key, value, place) '
        'ORDER BY c.place ON CONFLICT (value) DO NOTHING', entries) USING page_keys, page_values;
    EXECUTE format(
        'SELECT c.key, u.key FROM (SELECT key, value, count(*) AS times FROM unnest($1, $2) c (key, value) GROUP BY key, value) c '
        'JOIN %s u USING (value) WHERE u.key <> c.key OR c.times > 1 ORDER BY c.key, c.value LIMIT 1', entries)
    INTO conflict, holder USING page_keys, page_values;
    IF page_size < in_limit THEN
        last := NULL;
    END IF;
    RETURN NEXT;
END
$$;

-- Drop a unique index, if there is one of the number: its table may be gone already.
CREATE FUNCTION _crossfade.drop_unique_index(in_index text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entries text := _crossfade.unique_entries(in_index);
BEGIN
    EXECUTE format('DROP FUNCTION IF EXISTS %s() CASCADE', entries); -- with its triggers
    EXECUTE format('DROP FUNCTION IF EXISTS %s(text, bigint, jsonb)', entries);
    EXECUTE format('DROP TABLE IF EXISTS %s', entries);
END
$$;

-- The time that an attribute of a document states, for a TTL index: seconds since the epoch; NULL if it states none. A number,
-- or a date with an optional time of day, fraction and offset. The same rule: proxy/semantics/expiry.py.
CREATE FUNCTION _crossfade.moment_of(in_doc jsonb, in_path text[]) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    part text;
    value jsonb := in_doc;
    parts text[];
BEGIN
    FOREACH part IN ARRAY in_path LOOP
        value := value -> part;
    END LOOP;
    CASE jsonb_typeof(value)
        WHEN 'number' THEN
            RETURN CASE WHEN abs(value::numeric) < 1e308 THEN round(value::numeric, 300)::float8 END;
        WHEN 'string' THEN
            parts := regexp_match(value #>> '{}',
                '^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]{1,6})?))?'
                '(Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?)?$');
            IF parts IS NULL THEN
                RETURN NULL;
            END IF;
            RETURN extract(epoch FROM make_timestamp(
                    parts[1]::integer, parts[2]::integer, parts[3]::integer, coalesce(parts[4], '0')::integer,
                    coalesce(parts[5], '0')::integer, coalesce(parts[6], '0')::float8))::float8
                - coalesce((parts[8] || '1')::integer * (parts[9]::integer * 3600 + parts[10]::integer * 60), 0);
        ELSE
            RETURN NULL;
    END CASE;
EXCEPTION
    WHEN datetime_field_overflow THEN -- there is no such day
        RETURN NULL;
END
$$;

-- Remove documents of a collection whose attribute at a path states a time before in_before, at most in_limit of them. Returns
-- how many; nothing if PostgreSQL does not take the collection's writes. Documents that a transaction has locked stay.
CREATE FUNCTION _crossfade.remove_expired(in_collection text, in_path text[], in_before float8, in_limit integer)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    relation text;
    moment text := format('_crossfade.moment_of(doc, %L::text[])', in_path);
    removed bigint;
BEGIN
    SELECT c.relation INTO relation FROM _crossfade.stamp_floor f JOIN _crossfade.collection c USING (collection)
    WHERE f.collection = in_collection AND f.writer = 'target' AND (SELECT NOT closing FROM _crossfade.control)
    FOR SHARE OF f;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'WITH over AS MATERIALIZED (SELECT key FROM %1$s WHERE %2$s < $2 ORDER BY %2$s LIMIT $3 FOR UPDATE SKIP LOCKED), '
        'removed AS (UPDATE %1$s d SET raw = NULL, doc = NULL, mark = greatest(d.mark, e.era) '
        'FROM over, _crossfade.era e WHERE d.key = over.key RETURNING d.key), '
        'noted AS (INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM removed '
        'WHERE (SELECT in_arangodb FROM _crossfade.stamp_floor WHERE collection = $1) ORDER BY key COLLATE "C") '
        'SELECT count(*) FROM removed', relation, moment)
    INTO removed USING in_collection, in_before, in_limit;
    RETURN removed;
END
$$;
