-- The registered collections and their tables. `relation` is schema-qualified and quoted: `Statement.on` takes it.

-- name: find
-- The entry of one collection ($1 'database/name').
SELECT collection, database, name, edge, relation, stage FROM _crossfade.collection WHERE collection = $1;

-- name: ensure
-- The entry of a collection, which is registered with a new table if it is unknown. $1 database, $2 name, $3 whether it
-- holds edges.
SELECT collection, database, name, edge, relation, stage FROM _crossfade.ensure_collection($1, $2, $3);

-- name: all
-- Every collection and its table.
SELECT collection, relation FROM _crossfade.collection ORDER BY collection;
