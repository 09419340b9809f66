-- What PostgreSQL reports of itself and of a session.

-- name: alive
-- Any answer will do.
SELECT 1;

-- name: version
-- As a number: 150004 is 15.4.
SELECT current_setting('server_version_num')::integer;

-- name: version_name
-- As people write it.
SELECT current_setting('server_version');

-- name: read_only
-- Whether transactions of this session may not write.
SELECT current_setting('transaction_read_only') = 'on';

-- name: missing_right
-- What gives the role the right to create schemas, one per database of ArangoDB; empty if it has that right.
SELECT CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN ''
            ELSE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user) END;

-- name: process
-- The server process that runs this statement; a pooler may change it between two of them.
SELECT pg_backend_pid();

-- name: lock
-- Advisory lock $1, waited for; it ends with `unlock` or with the session.
SELECT pg_advisory_lock($1);

-- name: try_lock
-- Advisory lock $1, if it is free; it ends with `unlock` or with the session.
SELECT pg_try_advisory_lock($1);

-- name: unlock
-- Advisory lock $1 of this session.
SELECT pg_advisory_unlock($1);
