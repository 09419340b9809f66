-- Whose process an instance's row is: where it runs, and the number of its newest heartbeat (and of the newest one that
-- its machine's disk knows of). A state directory that knows of fewer is an older copy.
ALTER TABLE crossfade.instance
    ADD COLUMN place text NOT NULL DEFAULT '',
    ADD COLUMN beats bigint NOT NULL DEFAULT 0,
    ADD COLUMN synced bigint NOT NULL DEFAULT 0;
