-- Changes of whole collections on their way to ArangoDB: rows of the outbox beside those of documents.

-- kind: document; create, drop, rename: carried in the order of their ids, and before any document; definition: indexes and
-- properties, which are copied as they are then. collection: its present name, whatever it was called when the row was
-- written; for a drop, its last one. key: empty for a change of a collection. body: what the request needs, by kind.
ALTER TABLE _crossfade.outbox
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'document'
        CHECK (kind IN ('document', 'create', 'drop', 'rename', 'definition')),
    ADD COLUMN body json;
CREATE INDEX outbox_change ON _crossfade.outbox (part, id) WHERE kind <> 'document';

-- Whether ArangoDB has collections whose writes PostgreSQL takes: then it gets new ones as well.
CREATE FUNCTION _crossfade.carries_changes() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM _crossfade.stamp_floor WHERE writer <> 'origin' AND in_arangodb)
$$;

-- Removes a collection with its table, and what the outbox has of its documents: without noting it for ArangoDB.
CREATE FUNCTION _crossfade.remove_collection(in_collection text) RETURNS void LANGUAGE plpgsql AS $$
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
    DELETE FROM _crossfade.outbox WHERE collection = in_collection AND kind IN ('document', 'definition');
    DELETE FROM _crossfade.refused_push WHERE collection = in_collection;
    DELETE FROM _crossfade.collection WHERE collection = in_collection;
END
$$;

-- As before; and ArangoDB gets the collection if it has others whose writes PostgreSQL takes.
CREATE OR REPLACE FUNCTION _crossfade.create_collection(
    in_database text, in_name text, in_edge boolean, in_revision bigint, in_properties json, in_last numeric)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    entry _crossfade.collection;
    carried boolean := _crossfade.carries_changes();
BEGIN
    IF EXISTS (SELECT FROM _crossfade.collection c
               WHERE collection = in_database || '/' || in_name AND NOT _crossfade.present(c)) THEN
        PERFORM _crossfade.remove_collection(in_database || '/' || in_name); -- dropped while it was ArangoDB's
    ELSIF EXISTS (SELECT FROM _crossfade.collection WHERE collection = in_database || '/' || in_name) THEN
        RAISE EXCEPTION 'the collection %/% is known already, and not in the catalog', in_database, in_name
            USING ERRCODE = 'duplicate_table';
    END IF;
    entry := _crossfade.ensure_collection(in_database, in_name, in_edge);
    PERFORM _crossfade.take_writes(entry.collection, in_revision, in_properties, in_last);
    UPDATE _crossfade.stamp_floor SET in_arangodb = carried WHERE collection = entry.collection;
    IF carried THEN
        INSERT INTO _crossfade.outbox (collection, key, kind, body) VALUES
            (entry.collection, '', 'create', json_build_object('name', in_name, 'edge', in_edge, 'properties', in_properties)),
            (entry.collection, '', 'definition', '{}');
    END IF;
    RETURN entry.relation;
END
$$;

-- As before; and ArangoDB drops it too if it has it, once the row of the outbox is carried. The row's id is drawn with the
-- lock of the stamp floor, so that it comes after those of all writes of the collection.
CREATE OR REPLACE FUNCTION _crossfade.drop_collection(in_collection text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    carried boolean;
BEGIN
    SELECT in_arangodb AND writer = 'target' INTO carried
    FROM _crossfade.stamp_floor WHERE collection = in_collection FOR UPDATE;
    PERFORM _crossfade.remove_collection(in_collection);
    IF carried THEN
        INSERT INTO _crossfade.outbox (collection, key, kind, body)
        VALUES (in_collection, '', 'drop', json_build_object('name', split_part(in_collection, '/', 2)));
    END IF;
END
$$;

-- As before; rows of the outbox follow the collection to its new name, and ArangoDB renames it if it has it.
CREATE OR REPLACE FUNCTION _crossfade.rename_collection(in_collection text, in_name text, in_old text, in_new text)
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
    UPDATE _crossfade.outbox SET collection = entry.collection WHERE collection = in_collection AND kind <> 'drop';
    DELETE FROM _crossfade.refused_push WHERE collection = in_collection;
    IF floor.in_arangodb THEN
        INSERT INTO _crossfade.outbox (collection, key, kind, body)
        VALUES (entry.collection, '', 'rename', json_build_object('name', former.name, 'new_name', in_name));
    END IF;
    PERFORM _crossfade.remove_collection(in_collection);
    RETURN entry.relation;
END
$$;
