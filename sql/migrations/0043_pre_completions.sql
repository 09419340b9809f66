-- Collections of which ArangoDB gets no more writes.

-- The commit of a completion: ArangoDB has every write until now, since none was taken while the epoch was open, and gets no more.
-- Raises object_not_in_prerequisite_state if it lacks one.
CREATE FUNCTION _crossfade.complete_collections(in_collections text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lacking text;
BEGIN
    PERFORM _crossfade.lock_writers(in_collections, 'none');
    SELECT o.collection INTO lacking FROM _crossfade.outbox o
    WHERE o.collection = ANY (in_collections) ORDER BY o.collection LIMIT 1;
    IF lacking IS NOT NULL THEN
        RAISE EXCEPTION 'ArangoDB lacks writes of %', lacking USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE _crossfade.stamp_floor SET writer = 'target', in_arangodb = false WHERE collection = ANY (in_collections);
    DELETE FROM _crossfade.refused_push WHERE collection = ANY (in_collections);
END
$$;

-- Once every collection is complete, so is each that is created or renamed: a proxy asks ArangoDB for nothing then.
CREATE FUNCTION _crossfade.begin_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stage <> 'complete' AND EXISTS (SELECT FROM _crossfade.collection)
        AND NOT EXISTS (SELECT FROM _crossfade.collection c WHERE c.stage <> 'complete' AND _crossfade.present(c)) THEN
        NEW.stage := 'complete';
        NEW.weight := 100;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER begin_complete BEFORE INSERT ON _crossfade.collection FOR EACH ROW EXECUTE FUNCTION _crossfade.begin_complete();
