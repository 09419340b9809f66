-- Collections that the origin has no more: their rows stay, since horizon, tombstones and stage must outlive them, but
-- operators do not see them. One of which a later mark says that it may have been written is seen again.
ALTER TABLE crossfade.collection ADD COLUMN dropped_at timestamptz;

CREATE FUNCTION crossfade.present(c crossfade.collection) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT c.dropped_at IS NULL OR EXISTS (
        SELECT FROM crossfade.unverified u
        WHERE u.collection IN (c.collection, c.database || '/*', '*/*') AND u.marked_at > c.dropped_at)
$$;
