-- The columns `raw`, which is served, and `doc`, which is queried, are one document. SQL clients cannot change one alone.

-- For a changed row that keeps its revision: every write of a proxy changes that, so this costs them a comparison of numbers.
CREATE FUNCTION _crossfade.refuse_other_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- only a proxy knows the queryable form of a document that needs escapes
    IF NEW.doc IS DISTINCT FROM OLD.doc AND NEW.raw::text IS NOT DISTINCT FROM OLD.raw::text
        OR strpos(NEW.raw::text, '\u0000') = 0 AND strpos(lower(NEW.raw::text), '\ufdd0') = 0 AND strpos(NEW.raw::text, U&'\FDD0') = 0
            AND _crossfade.queryable(NEW.raw) IS DISTINCT FROM NEW.doc
    THEN
        RAISE EXCEPTION 'the columns raw and doc of document % differ', NEW.key
            USING ERRCODE = 'check_violation',
                  HINT = 'change documents through a proxy; or set raw, and doc = _crossfade.queryable(raw)';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION _crossfade.keep_count(text) RENAME TO add_count_triggers;

-- Counts the documents of a table from now on, and keeps its columns alike. Safe to call twice.
CREATE FUNCTION _crossfade.keep_count(in_relation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _crossfade.add_count_triggers(in_relation);
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = in_relation::regclass AND tgname = 'columns_agree') THEN
        EXECUTE format('CREATE TRIGGER columns_agree AFTER UPDATE ON %s FOR EACH ROW WHEN (NEW.rev = OLD.rev AND NEW.doc IS NOT NULL) '
                       'EXECUTE FUNCTION _crossfade.refuse_other_document()', in_relation);
    END IF;
END
$$;

SELECT _crossfade.keep_count(c.relation)
FROM _crossfade.collection c JOIN _crossfade.stamp_floor f USING (collection) WHERE f.writer = 'target';
