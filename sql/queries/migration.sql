-- The list of applied migrations, which `crossfade migrate` keeps. {schema}: `_crossfade`, or `crossfade` (its former name).

-- name: create_schema
-- The control schema.
CREATE SCHEMA IF NOT EXISTS _crossfade;

-- name: create_table
-- checksum: sha256 of the file's text.
CREATE TABLE IF NOT EXISTS _crossfade.migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    phase text NOT NULL CHECK (phase IN ('pre', 'post')),
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: exists
-- Whether the control schema has its present name.
SELECT to_regclass('_crossfade.migration') IS NOT NULL;

-- name: exists_by_former_name
-- An application may have a schema of that name, and a table `migration` in it: ours has these columns.
SELECT count(*) = 5 FROM information_schema.columns
WHERE table_schema = 'crossfade' AND table_name = 'migration'
    AND column_name IN ('number', 'name', 'phase', 'checksum', 'applied_at');

-- name: applied
-- The applied migrations in order.
SELECT number, name, checksum FROM {schema}.migration ORDER BY number;

-- name: add
-- $1 number, $2 name, $3 phase, $4 checksum.
INSERT INTO {schema}.migration (number, name, phase, checksum) VALUES ($1, $2, $3, $4);
