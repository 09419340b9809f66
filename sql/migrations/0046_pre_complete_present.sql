-- Whether every collection is complete is not decided by collections that are gone.

-- As before, but only if there is a complete collection: a database in which each was dropped has none.
CREATE OR REPLACE FUNCTION _crossfade.begin_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stage <> 'complete'
        AND EXISTS (SELECT FROM _crossfade.collection c WHERE c.stage = 'complete' AND _crossfade.present(c))
        AND NOT EXISTS (SELECT FROM _crossfade.collection c WHERE c.stage <> 'complete' AND _crossfade.present(c)) THEN
        NEW.stage := 'complete';
        NEW.weight := 100;
    END IF;
    RETURN NEW;
END
$$;
