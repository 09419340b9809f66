-- Promotions and demotions: who takes the writes of collections (promotion-protocol). Each of the first five runs in the
-- transaction that changes the control row, and waits for the writes that have tested who takes them.

-- name: begin_taking
-- First of the commit of a promotion, before `take_writes` of each: lock collections $1, whose writes ArangoDB takes, and
-- refuse what was stamped before.
SELECT true AS locked FROM _crossfade.raise_floors($1::text[], 'origin');

-- name: withhold
-- PostgreSQL takes no more writes of collections $1: a demotion begins.
SELECT true AS withheld FROM _crossfade.withhold_writes($1::text[]);

-- name: resume
-- PostgreSQL takes the writes of collections $1 as before their demotion began.
SELECT true AS resumed FROM _crossfade.resume_writes($1::text[]);

-- name: give_back
-- ArangoDB takes the writes of collections $1 again. It has all that PostgreSQL took.
SELECT true AS given_back FROM _crossfade.give_writes_back($1::text[]);

-- name: other_writers
-- Of collections $1 those whose writes $2 does not take.
SELECT c.collection FROM unnest($1::text[]) AS c (collection)
LEFT JOIN _crossfade.stamp_floor f ON f.collection = c.collection
WHERE f.writer IS DISTINCT FROM $2 ORDER BY c.collection;
