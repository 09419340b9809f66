-- A comparison that was seen neither equal nor different is undecided (it was called unsettled).
ALTER TABLE _crossfade.comparison RENAME COLUMN unsettled TO undecided;
ALTER TABLE _crossfade.shape RENAME COLUMN unsettled TO undecided;
ALTER TABLE _crossfade.coverage RENAME COLUMN unsettled TO undecided;

UPDATE _crossfade.gate_limit SET name = 'undecided_share' WHERE name = 'unsettled_share';

-- Results of verifications: the count, and the keys of that class.
UPDATE _crossfade.run SET result = (result - 'unsettled') || jsonb_build_object('undecided', result -> 'unsettled')
WHERE result ? 'unsettled';
UPDATE _crossfade.run
SET result = jsonb_set(result #- '{keys,unsettled}', '{keys,undecided}', result #> '{keys,unsettled}')
WHERE result -> 'keys' ? 'unsettled';
UPDATE _crossfade.chunk SET result = (result - 'unsettled') || jsonb_build_object('undecided', result -> 'unsettled')
WHERE result ? 'unsettled';
UPDATE _crossfade.chunk
SET result = jsonb_set(result #- '{keys,unsettled}', '{keys,undecided}', result #> '{keys,unsettled}')
WHERE result -> 'keys' ? 'unsettled';
