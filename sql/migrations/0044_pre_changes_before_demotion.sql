-- As before; and ArangoDB must have every change of a collection of the same databases: a drop or a renaming that came after
-- the demotion would hit a collection that clients have made in ArangoDB since.
CREATE OR REPLACE FUNCTION _crossfade.give_writes_back(in_collections text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lacking text;
BEGIN
    PERFORM _crossfade.raise_floors(in_collections, 'none');
    SELECT f.collection INTO lacking FROM _crossfade.stamp_floor f
    WHERE f.collection = ANY (in_collections)
        AND (NOT f.in_arangodb OR EXISTS (
            SELECT FROM _crossfade.outbox o
            WHERE o.collection = f.collection
                OR (o.kind <> 'document' AND split_part(o.collection, '/', 1) = split_part(f.collection, '/', 1))))
    ORDER BY f.collection LIMIT 1;
    IF lacking IS NOT NULL THEN
        RAISE EXCEPTION 'ArangoDB lacks writes of %', lacking USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE _crossfade.stamp_floor SET writer = 'origin' WHERE collection = ANY (in_collections);
END
$$;
