-- Tables and columns get the names that this field uses.
--
-- Proxies and workers of an earlier version do not know the new names: start those of this version after the migration.
-- Until an earlier proxy is replaced, its writes go to ArangoDB and wait in its journal; the next version applies them.

ALTER TABLE _crossfade.told RENAME TO write_report;
ALTER TABLE _crossfade.write_report RENAME COLUMN began TO started_at;
ALTER TABLE _crossfade.write_report RENAME COLUMN at TO reported_at;
ALTER TABLE _crossfade.write_report RENAME COLUMN reached TO complete_until; -- every write begun before it is reported
ALTER TABLE _crossfade.write_report RENAME COLUMN untold TO incomplete_until; -- some writes before it were too many to report

ALTER TABLE _crossfade.taken RENAME TO reported_write;
ALTER TABLE _crossfade.reported_write RENAME COLUMN whole TO whole_collection;
ALTER TABLE _crossfade.reported_write RENAME COLUMN at TO reported_at;
ALTER INDEX _crossfade.taken_at RENAME TO reported_write_reported_at;

ALTER TABLE _crossfade.twice RENAME TO baseline;
ALTER TABLE _crossfade.sampling RENAME COLUMN twice TO baseline_percent;

ALTER TABLE _crossfade.noise RENAME TO tolerance;

ALTER TABLE _crossfade.bypass RENAME TO out_of_band_write;

ALTER TABLE _crossfade.watch RENAME TO bypass_watch;
ALTER TABLE _crossfade.bypass_watch RENAME COLUMN judged TO judged_until;
ALTER TABLE _crossfade.bypass_watch RENAME COLUMN looked_at TO checked_at;

ALTER TABLE _crossfade.gap RENAME TO uncovered;
ALTER TABLE _crossfade.uncovered RENAME COLUMN effect TO reason;

ALTER TABLE _crossfade.horizon RENAME TO stamp_floor;
ALTER TABLE _crossfade.stamp_floor RENAME COLUMN mark TO floor; -- a statement with an older stamp is rejected

ALTER TABLE _crossfade.guard RENAME TO auto_rollback;
ALTER TABLE _crossfade.auto_rollback RENAME COLUMN errors_percent TO max_error_percent;
ALTER TABLE _crossfade.auto_rollback RENAME COLUMN seconds TO max_p99_seconds;
ALTER TABLE _crossfade.auto_rollback RENAME COLUMN mismatches TO max_mismatches;
ALTER TABLE _crossfade.auto_rollback RENAME COLUMN why TO reason;

ALTER TABLE _crossfade.shape RENAME COLUMN waived TO exempt_reason;
ALTER TABLE _crossfade.shape RENAME COLUMN waived_by TO exempted_by;
ALTER TABLE _crossfade.shape RENAME COLUMN waived_at TO exempted_at;

-- Constraints and sequences keep the table's former name: name them after the table, as PostgreSQL does.
DO $$
DECLARE
    renamed record;
    entry record;
BEGIN
    FOR renamed IN
        SELECT * FROM (VALUES ('told', 'write_report'), ('taken', 'reported_write'), ('twice', 'baseline'),
                              ('noise', 'tolerance'), ('bypass', 'out_of_band_write'), ('watch', 'bypass_watch'),
                              ('gap', 'uncovered'), ('horizon', 'stamp_floor'), ('guard', 'auto_rollback'))
            AS t (former, present)
    LOOP
        FOR entry IN
            SELECT conname AS name FROM pg_constraint
            WHERE conrelid = format('_crossfade.%I', renamed.present)::regclass AND starts_with(conname, renamed.former || '_')
        LOOP
            EXECUTE format('ALTER TABLE _crossfade.%I RENAME CONSTRAINT %I TO %I', renamed.present, entry.name,
                           renamed.present || substr(entry.name, length(renamed.former) + 1));
        END LOOP;
        FOR entry IN
            SELECT relname AS name FROM pg_class
            WHERE relnamespace = '_crossfade'::regnamespace AND relkind = 'S' AND starts_with(relname, renamed.former || '_')
        LOOP
            EXECUTE format('ALTER SEQUENCE _crossfade.%I RENAME TO %I', entry.name,
                           renamed.present || substr(entry.name, length(renamed.former) + 1));
        END LOOP;
    END LOOP;
END
$$;

-- As before, with the new name of the table of stamp floors.
CREATE OR REPLACE FUNCTION _crossfade.ensure_collection(in_database text, in_name text, in_edge boolean DEFAULT false)
RETURNS _crossfade.collection LANGUAGE plpgsql AS $$
DECLARE
    entry _crossfade.collection;
    in_collection text := in_database || '/' || in_name;
    schema_name text := _crossfade.schema_of(in_database);
BEGIN
    SELECT * INTO entry FROM _crossfade.collection c WHERE c.collection = in_collection;
    IF FOUND THEN
        RETURN entry;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('crossfade.ensure_collection'));
    SELECT * INTO entry FROM _crossfade.collection c WHERE c.collection = in_collection;
    IF FOUND THEN
        RETURN entry;
    END IF;
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    INSERT INTO _crossfade.collection (collection, database, name, edge, relation, stage)
    VALUES (in_collection, in_database, in_name, in_edge, _crossfade.make_table(schema_name, in_name, in_edge),
            coalesce((SELECT stage FROM _crossfade.default_stage WHERE database = in_database),
                     (SELECT stage FROM _crossfade.default_stage WHERE database = '*'), 'off'))
    RETURNING * INTO entry;
    INSERT INTO _crossfade.stamp_floor (collection) VALUES (in_collection) ON CONFLICT DO NOTHING;
    INSERT INTO _crossfade.comparison (collection) VALUES (in_collection) ON CONFLICT DO NOTHING;
    RETURN entry;
END
$$;
