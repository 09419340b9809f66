-- One table a collection, by construction.
--
-- A name that PostgreSQL cannot hold gets a form with a '/', which no collection and no database of ArangoDB may have in its
-- name: no client can choose it. `relation` is unique. A table, index, view or type that is there already is never taken
-- over: the collection then gets the form with '/', numbered if need be.

-- Names of at most 63 bytes stay. Longer ones: a readable beginning of at most 20 bytes, '/', 160 bits of SHA-256.
CREATE FUNCTION crossfade.hashed_identifier(name text, nth integer DEFAULT 0) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(name, 5) || '/'
        || left(encode(sha256(convert_to(name || CASE WHEN nth = 0 THEN '' ELSE '/' || nth END, 'UTF8')), 'hex'), 40)
$$;

CREATE OR REPLACE FUNCTION crossfade.identifier(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(name) <= 63 THEN name ELSE crossfade.hashed_identifier(name) END
$$;

-- The identifiers to try for a name, best first.
CREATE FUNCTION crossfade.identifier_candidate(name text, nth integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN nth = 0 THEN crossfade.identifier(name) ELSE crossfade.hashed_identifier(name, nth) END
$$;

-- Makes a document table under the first free name in a schema. Returns it qualified and quoted.
CREATE FUNCTION crossfade.make_table(schema_name text, in_name text, in_edge boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    FOR nth IN 0 .. 99 LOOP
        made := format('%I.%I', schema_name, crossfade.identifier_candidate(in_name, nth));
        BEGIN
            -- doc IS NULL is a tombstone; mark is the era of it (mirror-protocol, "Eras")
            EXECUTE format(
                'CREATE TABLE %s ('
                'key text COLLATE "C" PRIMARY KEY, rev bigint NOT NULL, raw json, doc jsonb, mark bigint NOT NULL DEFAULT 0, '
                'CHECK ((raw IS NULL) = (doc IS NULL)))', made);
            IF in_edge THEN
                EXECUTE format(
                    'ALTER TABLE %s ADD COLUMN from_id text COLLATE "C" GENERATED ALWAYS AS (doc ->> ''_from'') STORED, '
                    'ADD COLUMN to_id text COLLATE "C" GENERATED ALWAYS AS (doc ->> ''_to'') STORED', made);
            END IF;
            RETURN made;
        EXCEPTION WHEN duplicate_table OR duplicate_object OR unique_violation THEN
            -- somebody else's relation or type has this name: the next one
        END;
    END LOOP;
    RAISE EXCEPTION 'no free name for a table of % in schema %', in_name, schema_name USING ERRCODE = 'duplicate_table';
END
$$;

-- Registers a collection and makes its table. Safe to call twice, and at once from several connections.
CREATE OR REPLACE FUNCTION crossfade.ensure_collection(in_database text, in_name text, in_edge boolean DEFAULT false)
RETURNS crossfade.collection LANGUAGE plpgsql AS $$
DECLARE
    entry crossfade.collection;
    in_collection text := in_database || '/' || in_name;
    schema_name text := crossfade.schema_of(in_database);
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
    INSERT INTO crossfade.collection (collection, database, name, edge, relation, stage)
    VALUES (in_collection, in_database, in_name, in_edge, crossfade.make_table(schema_name, in_name, in_edge),
            coalesce((SELECT stage FROM crossfade.default_stage WHERE database = in_database),
                     (SELECT stage FROM crossfade.default_stage WHERE database = '*'), 'off'))
    RETURNING * INTO entry;
    INSERT INTO crossfade.horizon (collection) VALUES (in_collection) ON CONFLICT DO NOTHING;
    INSERT INTO crossfade.comparison (collection) VALUES (in_collection) ON CONFLICT DO NOTHING;
    RETURN entry;
END
$$;

-- The name of an index of ours. With '/', since indexes and tables share their names; one that stands under the name that
-- earlier versions gave is kept. in_kind: doc (for equality), text (full text).
CREATE FUNCTION crossfade.index_name(in_kind text, in_collection text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT c.relname::text FROM crossfade.collection k
         JOIN pg_index i ON i.indrelid = k.relation::regclass JOIN pg_class c ON c.oid = i.indexrelid
         WHERE k.collection = in_collection AND c.relname = in_kind || '_' || md5(in_collection)),
        in_kind || '/' || md5(in_collection))
$$;

CREATE OR REPLACE FUNCTION crossfade.index_statement(in_collection text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('CREATE INDEX CONCURRENTLY IF NOT EXISTS %I ON %s USING gin (doc jsonb_path_ops)',
                  crossfade.index_name('doc', in_collection), relation)
    FROM crossfade.collection WHERE collection = in_collection
$$;

-- Collections that share a table, which earlier versions made possible: each could be read and written through the other.
-- Where one of them is beyond stage off, its proxies use that table: refused. Else each gets an empty table, and a mark.
DO $$
DECLARE
    shared record;
    member record;
    made text;
BEGIN
    FOR shared IN
        SELECT relation, string_agg(collection, ', ' ORDER BY collection) AS members,
               string_agg(collection, ' ' ORDER BY collection) FILTER (WHERE stage <> 'off') AS active
        FROM crossfade.collection GROUP BY relation HAVING count(*) > 1
    LOOP
        IF shared.active IS NOT NULL THEN
            RAISE EXCEPTION 'these collections share the table %: %', shared.relation, shared.members
                USING ERRCODE = 'duplicate_table',
                      HINT = 'run `crossfade rollback --to off ' || shared.active || '` with the version that runs now, then '
                             '`crossfade migrate` again: it gives each its own table; then mirror and backfill them again';
        END IF;
        EXECUTE format('ALTER TABLE %s RENAME TO %I', shared.relation, 'shared/' || left(md5(shared.relation), 20));
        FOR member IN SELECT * FROM crossfade.collection WHERE relation = shared.relation ORDER BY collection LOOP
            made := crossfade.make_table(crossfade.schema_of(member.database), member.name, member.edge);
            UPDATE crossfade.collection SET relation = made WHERE collection = member.collection;
            INSERT INTO crossfade.unverified (collection, reason, instance)
            VALUES (member.collection, 'its table was shared with another collection', 'migration');
            RAISE WARNING '% has a table of its own now: %; what was shared lies in %', member.collection, made,
                'shared/' || left(md5(shared.relation), 20);
        END LOOP;
    END LOOP;
END
$$;

ALTER TABLE crossfade.collection ADD CONSTRAINT collection_relation_key UNIQUE (relation);
