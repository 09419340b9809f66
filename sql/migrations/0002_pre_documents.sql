-- The generic document table (DESIGN section 11) and the one function that makes it.

-- A name that is safe as an identifier of at most 63 bytes: long names keep a prefix and a hash.
CREATE FUNCTION crossfade.identifier(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(name) <= 63 THEN name ELSE left(name, 11) || '_' || md5(name) END
$$;

-- The schema of a database's tables: its own name, but where PostgreSQL or Crossfade uses that name.
CREATE FUNCTION crossfade.schema_of(database text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT crossfade.identifier(
        CASE WHEN database IN ('public', 'crossfade', 'information_schema') OR database LIKE 'pg\_%' OR database LIKE 'db\_%'
             THEN 'db_' || database ELSE database END)
$$;

-- The document without its system attributes, as jsonb: what is queried. (What is served is `raw`.)
-- Callers escape U+0000 and U+FDD0 first where a document has them; see proxy/model/documents.py, "jsonb escape".
CREATE FUNCTION crossfade.queryable(raw json) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT raw::jsonb - ARRAY['_key', '_id', '_rev']
$$;

-- Registers a collection and makes its table. Safe to call twice, and at once from several connections.
CREATE FUNCTION crossfade.ensure_collection(in_database text, in_name text, in_edge boolean DEFAULT false)
RETURNS crossfade.collection LANGUAGE plpgsql AS $$
DECLARE
    entry crossfade.collection;
    in_collection text := in_database || '/' || in_name;
    schema_name text := crossfade.schema_of(in_database);
    in_relation text := format('%I.%I', schema_name, crossfade.identifier(in_name));
BEGIN
    SELECT * INTO entry FROM crossfade.collection c WHERE c.collection = in_collection;
    IF FOUND THEN
        RETURN entry;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('crossfade.ensure_collection'));
    SELECT * INTO entry FROM crossfade.collection c WHERE c.collection = in_collection;
    IF FOUND THEN
        RETURN entry;
    END IF;
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    -- doc IS NULL is a tombstone; mark is the era of it (mirror-protocol, "Eras")
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS %s ('
        'key text COLLATE "C" PRIMARY KEY, rev bigint NOT NULL, raw json, doc jsonb, mark bigint NOT NULL DEFAULT 0, '
        'CHECK ((raw IS NULL) = (doc IS NULL)))', in_relation);
    IF in_edge THEN
        EXECUTE format(
            'ALTER TABLE %s ADD COLUMN IF NOT EXISTS from_id text COLLATE "C" GENERATED ALWAYS AS (doc ->> ''_from'') STORED, '
            'ADD COLUMN IF NOT EXISTS to_id text COLLATE "C" GENERATED ALWAYS AS (doc ->> ''_to'') STORED', in_relation);
    END IF;
    INSERT INTO crossfade.collection (collection, database, name, edge, relation, stage)
    VALUES (in_collection, in_database, in_name, in_edge, in_relation,
            coalesce((SELECT stage FROM crossfade.default_stage WHERE database = in_database),
                     (SELECT stage FROM crossfade.default_stage WHERE database = '*'), 'off'))
    RETURNING * INTO entry;
    INSERT INTO crossfade.horizon (collection) VALUES (in_collection) ON CONFLICT DO NOTHING;
    INSERT INTO crossfade.comparison (collection) VALUES (in_collection) ON CONFLICT DO NOTHING;
    RETURN entry;
END
$$;

-- The index that equality filters use. Built after the load: standing, it halves the rate of a backfill.
CREATE FUNCTION crossfade.index_statement(in_collection text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('CREATE INDEX CONCURRENTLY IF NOT EXISTS %I ON %s USING gin (doc jsonb_path_ops)',
                  'doc_' || md5(in_collection), relation)
    FROM crossfade.collection WHERE collection = in_collection
$$;
