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

-- name: process
-- The server process that runs this statement; a pooler may change it between two of them.
SELECT pg_backend_pid();
