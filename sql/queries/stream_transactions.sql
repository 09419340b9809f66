-- Stream transactions of ArangoDB's API: PostgreSQL transactions of one snapshot (REPEATABLE READ), on the primary.

-- name: lock_writers
-- The collections $1 text[] whose writes PostgreSQL takes, which it does until the transaction ends. It is the first
-- statement that has a snapshot, so that the transaction sees what was committed while it waited for its locks.
SELECT collection FROM _crossfade.stamp_floor
WHERE collection = ANY ($1::text[]) AND writer = 'target' AND (SELECT NOT closing FROM _crossfade.control)
ORDER BY collection FOR SHARE;

-- name: lock_to_write
-- Wait for those that have {relation} for themselves. A lock of a table needs no snapshot, so none is taken yet.
LOCK TABLE {relation} IN ROW EXCLUSIVE MODE;

-- name: lock_exclusively
-- Keep every writer out of {relation}, and wait for those that are in it.
LOCK TABLE {relation} IN EXCLUSIVE MODE;
