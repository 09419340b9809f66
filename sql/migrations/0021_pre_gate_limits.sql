-- Limits of gates get the names that `crossfade gates limits` shows.
UPDATE _crossfade.gate_limit SET name = 'min_p99_seconds' WHERE name = 'fast_seconds';
UPDATE _crossfade.gate_limit SET name = 'bypass_lag_seconds' WHERE name = 'watch_seconds';
