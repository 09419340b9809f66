-- Exact counts at a constant cost, of collections whose writes PostgreSQL takes. Triggers see every statement, those of SQL
-- clients too.

-- By how many documents a table has become larger or smaller. The sum is the count; a proxy puts rows together. relation: as
-- _crossfade.collection has it; not a number of PostgreSQL's, which a restored dump gives anew.
CREATE TABLE _crossfade.count_change (
    relation text COLLATE "C" NOT NULL,
    change bigint NOT NULL
);
CREATE INDEX count_change_relation ON _crossfade.count_change (relation) INCLUDE (change);

CREATE FUNCTION _crossfade.count_of(in_relation text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(change), 0)::bigint FROM _crossfade.count_change WHERE relation = in_relation
$$;

CREATE FUNCTION _crossfade.count_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    more bigint;
BEGIN
    SELECT count(*) INTO more FROM inserted WHERE doc IS NOT NULL;
    IF more > 0 THEN
        INSERT INTO _crossfade.count_change VALUES (format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), more);
    END IF;
    RETURN NULL;
END
$$;

-- Of a row that becomes a tombstone, or was one; of a document whose row is deleted.
CREATE FUNCTION _crossfade.count_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO _crossfade.count_change
    VALUES (format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME),
            CASE WHEN TG_OP = 'DELETE' OR NEW.doc IS NULL THEN -1 ELSE 1 END);
    RETURN NULL;
END
$$;

CREATE FUNCTION _crossfade.count_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM _crossfade.count_change WHERE relation = format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    RETURN NULL;
END
$$;

-- Counts the documents of a table from now on. Safe to call twice.
CREATE FUNCTION _crossfade.keep_count(in_relation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = in_relation::regclass AND tgname = 'count_inserted') THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', in_relation); -- so that no write is missed
    EXECUTE format('CREATE TRIGGER count_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS inserted '
                   'FOR EACH STATEMENT EXECUTE FUNCTION _crossfade.count_inserted()', in_relation);
    EXECUTE format('CREATE TRIGGER count_updated AFTER UPDATE ON %s FOR EACH ROW '
                   'WHEN ((OLD.doc IS NULL) <> (NEW.doc IS NULL)) EXECUTE FUNCTION _crossfade.count_changed()', in_relation);
    EXECUTE format('CREATE TRIGGER count_deleted AFTER DELETE ON %s FOR EACH ROW '
                   'WHEN (OLD.doc IS NOT NULL) EXECUTE FUNCTION _crossfade.count_changed()', in_relation);
    EXECUTE format('CREATE TRIGGER count_truncated AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION _crossfade.count_truncated()', in_relation);
    DELETE FROM _crossfade.count_change WHERE relation = in_relation; -- of a former table of that name
    EXECUTE format('INSERT INTO _crossfade.count_change SELECT %L, count(*) FROM %s WHERE doc IS NOT NULL',
                   in_relation, in_relation);
END
$$;

-- PostgreSQL takes the writes of a collection from the commit of the calling transaction on. in_revision: the new revisions
-- are above it, and above those of an earlier time; in_last: the largest number that the key generator has used.
-- Its documents are counted from then on.
CREATE FUNCTION _crossfade.take_writes(in_collection text, in_revision bigint, in_properties json, in_last numeric)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- with '/', which no name of a table of documents has by itself
    sequence text := format('_crossfade.%I', 'revision/' || md5(in_collection));
    newest bigint;
BEGIN
    -- first: it waits for the writes that have tested the row's former state
    PERFORM FROM _crossfade.stamp_floor WHERE collection = in_collection FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no collection %', in_collection USING ERRCODE = 'no_data_found';
    END IF;
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS %s AS bigint', sequence);
    EXECUTE format('SELECT last_value FROM %s', sequence) INTO newest;
    PERFORM setval(sequence::regclass, greatest(newest, in_revision, 1));
    INSERT INTO _crossfade.last_key (collection, last) VALUES (in_collection, in_last)
    ON CONFLICT (collection) DO UPDATE SET last = greatest(last_key.last, excluded.last);
    UPDATE _crossfade.stamp_floor SET writer = 'target', revisions = sequence, properties = in_properties
    WHERE collection = in_collection;
    PERFORM _crossfade.keep_count(relation) FROM _crossfade.collection WHERE collection = in_collection;
END
$$;

-- Puts changes of each table together that has many; of tables that are gone, removes them. Several may run concurrently.
CREATE FUNCTION _crossfade.fold_counts(in_most integer) RETURNS void LANGUAGE sql AS $$
    WITH folded AS (
        DELETE FROM _crossfade.count_change WHERE relation IN (
            SELECT relation FROM _crossfade.count_change GROUP BY relation HAVING count(*) > in_most)
        RETURNING relation, change
    )
    INSERT INTO _crossfade.count_change
    SELECT relation, sum(change) FROM folded WHERE to_regclass(relation) IS NOT NULL GROUP BY relation
$$;

SELECT _crossfade.keep_count(c.relation)
FROM _crossfade.collection c JOIN _crossfade.stamp_floor f USING (collection) WHERE f.writer = 'target';
