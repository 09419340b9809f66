-- Begin to count the documents of a table without a lock for as long as the count takes: a promotion counts before writes are
-- held, and the mirror goes on.

-- Notes each change of the number of documents of a table from now on, and keeps its columns alike. Safe to call twice. The
-- number itself is added by a later transaction: in one snapshot it replaces what was noted by the number of documents.
CREATE FUNCTION _crossfade.count_changes(in_relation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = in_relation::regclass AND tgname = 'count_inserted') THEN
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', in_relation);
        EXECUTE format('CREATE TRIGGER count_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS inserted '
                       'FOR EACH STATEMENT EXECUTE FUNCTION _crossfade.count_inserted()', in_relation);
        EXECUTE format('CREATE TRIGGER count_updated AFTER UPDATE ON %s FOR EACH ROW '
                       'WHEN ((OLD.doc IS NULL) <> (NEW.doc IS NULL)) EXECUTE FUNCTION _crossfade.count_changed()', in_relation);
        EXECUTE format('CREATE TRIGGER count_deleted AFTER DELETE ON %s FOR EACH ROW '
                       'WHEN (OLD.doc IS NOT NULL) EXECUTE FUNCTION _crossfade.count_changed()', in_relation);
        EXECUTE format('CREATE TRIGGER count_truncated AFTER TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION _crossfade.count_truncated()', in_relation);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = in_relation::regclass AND tgname = 'columns_agree') THEN
        EXECUTE format('CREATE TRIGGER columns_agree AFTER UPDATE ON %s FOR EACH ROW WHEN (NEW.rev = OLD.rev AND NEW.doc IS NOT NULL) '
                       'EXECUTE FUNCTION _crossfade.refuse_other_document()', in_relation);
    END IF;
END
$$;
