-- What PostgreSQL keeps beside documents when it answers everything: databases, collections, accounts, the server's identity.

-- One row: the number of the present catalog. A change of the catalog raises it first, which also makes changes wait for
-- each other; a process that knows the number knows the catalog.
CREATE TABLE _crossfade.catalog_version (
    present boolean PRIMARY KEY DEFAULT true CHECK (present),
    version bigint NOT NULL
);
INSERT INTO _crossfade.catalog_version (version) VALUES (0);

-- kind: server, database, collection or account; name: of a collection 'database/name'. place: the order of creation, in
-- which clients see them.
CREATE TABLE _crossfade.catalog (
    place bigint GENERATED ALWAYS AS IDENTITY,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    body json NOT NULL,
    PRIMARY KEY (kind, name)
);

-- Numbers of databases, collections, indexes, cursors. A process takes a thousand at a time: those up to the value.
CREATE SEQUENCE _crossfade.tick AS bigint START 1001000 INCREMENT 1000;

-- Makes an empty collection whose writes PostgreSQL takes. Returns its table, qualified and quoted.
CREATE FUNCTION _crossfade.create_collection(
    in_database text, in_name text, in_edge boolean, in_revision bigint, in_properties json, in_last numeric)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    entry _crossfade.collection;
BEGIN
    IF EXISTS (SELECT FROM _crossfade.collection c
               WHERE collection = in_database || '/' || in_name AND NOT _crossfade.present(c)) THEN
        PERFORM _crossfade.drop_collection(in_database || '/' || in_name); -- dropped while it was ArangoDB's
    ELSIF EXISTS (SELECT FROM _crossfade.collection WHERE collection = in_database || '/' || in_name) THEN
        RAISE EXCEPTION 'the collection %/% is known already, and not in the catalog', in_database, in_name
            USING ERRCODE = 'duplicate_table';
    END IF;
    entry := _crossfade.ensure_collection(in_database, in_name, in_edge);
    PERFORM _crossfade.take_writes(entry.collection, in_revision, in_properties, in_last);
    UPDATE _crossfade.stamp_floor SET in_arangodb = false WHERE collection = entry.collection;
    RETURN entry.relation;
END
$$;

-- Removes a collection with its table. It waits for the writes that hold the fence, then for the readers of the table.
CREATE FUNCTION _crossfade.drop_collection(in_collection text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    sequence text;
    dropped text;
BEGIN
    SELECT f.revisions, c.relation INTO sequence, dropped
    FROM _crossfade.stamp_floor f JOIN _crossfade.collection c USING (collection)
    WHERE f.collection = in_collection FOR UPDATE OF f;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    EXECUTE format('DROP TABLE %s', dropped);
    IF sequence IS NOT NULL THEN
        EXECUTE format('DROP SEQUENCE %s', sequence);
    END IF;
    DELETE FROM _crossfade.outbox WHERE collection = in_collection;
    DELETE FROM _crossfade.collection WHERE collection = in_collection;
END
$$;

-- Gives a collection another name. That is part of every `_id`, so that all documents are written again, in a new table,
-- with their revisions. in_old, in_new: the beginning of the attribute `_id` in documents, up to the '/'.
CREATE FUNCTION _crossfade.rename_collection(in_collection text, in_name text, in_old text, in_new text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    former _crossfade.collection;
    entry _crossfade.collection;
    floor _crossfade.stamp_floor;
    newest bigint;
BEGIN
    SELECT * INTO STRICT floor FROM _crossfade.stamp_floor WHERE collection = in_collection FOR UPDATE;
    SELECT * INTO STRICT former FROM _crossfade.collection WHERE collection = in_collection;
    EXECUTE format('SELECT last_value FROM %s', floor.revisions) INTO newest;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', former.relation);
    entry := _crossfade.ensure_collection(former.database, in_name, former.edge);
    PERFORM _crossfade.take_writes(
        entry.collection, newest, floor.properties,
        (SELECT last FROM _crossfade.last_key WHERE collection = in_collection));
    EXECUTE format(
        'INSERT INTO %s (key, rev, raw, doc, mark) '
        'SELECT key, rev, overlay(raw::text PLACING $2 FROM strpos(raw::text, $1) FOR length($1))::json, doc, mark FROM %s',
        entry.relation, former.relation) USING in_old, in_new;
    UPDATE _crossfade.stamp_floor SET in_arangodb = floor.in_arangodb WHERE collection = entry.collection;
    PERFORM _crossfade.drop_collection(in_collection);
    RETURN entry.relation;
END
$$;
