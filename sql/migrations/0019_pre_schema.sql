-- The control schema is `_crossfade`: a name that no application and no role has by accident (a role's own name is a schema
-- that PostgreSQL looks into first), and that no database of ArangoDB can have. Up to 0018 it was `crossfade`.
--
-- A new installation has `_crossfade` from the first migration on (proxy/operator/migrate.py); one that is older is renamed
-- here. Texts of functions name the schema: they are made again with the new name. All else PostgreSQL knows by number.

DO $$
DECLARE
    routine record;
BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = '_crossfade') THEN
        RETURN;
    END IF;
    ALTER SCHEMA crossfade RENAME TO _crossfade;
    -- a body may name functions that are still to be made again
    PERFORM set_config('check_function_bodies', 'off', true);
    FOR routine IN
        SELECT regexp_replace(pg_get_functiondef(p.oid), '\mcrossfade\.', '_crossfade.', 'g') AS text
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = '_crossfade' AND p.prokind IN ('f', 'p')
    LOOP
        EXECUTE routine.text;
    END LOOP;
END
$$;

-- The schema of a database's tables: its own name, but where PostgreSQL or Crossfade uses that name.
CREATE OR REPLACE FUNCTION _crossfade.schema_of(database text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT _crossfade.identifier(
        CASE WHEN database IN ('public', 'crossfade', '_crossfade', 'information_schema')
                  OR database LIKE 'pg\_%' OR database LIKE 'db\_%'
             THEN 'db_' || database ELSE database END)
$$;
