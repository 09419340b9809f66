-- Where the watch for writers around the proxies reads the origin's log on from, after a restart.
ALTER TABLE crossfade.watch ADD COLUMN tick bigint NOT NULL DEFAULT 0, ADD COLUMN tick_at timestamptz;
