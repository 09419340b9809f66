"""From captured writes to PostgreSQL: whatever ArangoDB took is in PostgreSQL in the end (I1 to I5, mirror-protocol).

mirror               the room's face: what capture reports and what control asks; owns the tasks
applier              a bounded queue, and appliers that take batches from it
target_writer        the statements of I4: one row a key; bisection: rows that stay refused, found and put aside
transaction_applier  stream transactions, each one transaction in PostgreSQL too
key_repair           reads the origin again: after a crash, a lost answer, a refusal
resync               whole collections compared with the origin: after truncations, drops, renames
revision_scan        writes whose keys are not known, found in the origin by the time of their revisions
verification_marks   collections that may have missed a write; coverage_gaps: requests that were not captured
write_reports        what this process took, for the search for out-of-band writes
failover_detector    a new timeline of PostgreSQL may have lost commits
tombstone_gc         removes old tombstones
own_indexes          indexes that Crossfade made, dropped when they refuse a document
recent_applies, trace  what one instance knows of one document, for operators

Terms: *era*: the write epoch of a key; a repair raises it, so that older captured versions are refused. *Horizon*: the
stamp of a collection below which writes are refused, raised by a truncation or drop. *Tombstone*: the row of a removed
document, kept so that an older version cannot bring it back.
"""
