"""From captured writes to PostgreSQL: whatever ArangoDB took is in PostgreSQL in the end (I1 to I5, mirror-protocol).

Used by mirror, backfill, archive and commands alike:

    versions             versions of documents, and the order among them (pure)
    target_writer        PostgreSQL as a target of versions: session_writer has the statements of one batch,
                         document_encoding its documents, tables its tables, dead_letters what was refused
    bisection            finds the rows of a batch that are refused
    key_repair           reads keys from ArangoDB, and brings PostgreSQL to that

The mirror:

    mirror               the room's face: what capture reports and what control asks; owns the tasks
    open_intents         the intents that are open, in the journal and in memory; intent_closer ends them
    applier              a bounded queue, and appliers that take batches from it
    transaction_applier  stream transactions, each one transaction in PostgreSQL too
    journal_drainer      repairs what the journal alone knows: after a crash, a lost answer, a refusal
    revision_scan        writes whose keys are not known, found in ArangoDB by the time of their revisions
    resync               whole collections to compare with ArangoDB: after truncations, drops, renames;
                         collection_resync: one of them; dropped_collections: that ArangoDB may lack (pure)
    target_catch_up      brings PostgreSQL up to an answer that waits for it; retries dead letters
    verification_marks   collections that may have missed a write; coverage_gaps: requests that were not captured
    write_reports        what this process took, for the search for out-of-band writes
    failover_detector    a new timeline of PostgreSQL may have lost commits
    tombstone_gc         removes old tombstones
    expiry_following     removes what ArangoDB's TTL indexes have removed
    lost_requests        when an intent becomes due whose request was lost; origin_time: ArangoDB's clock
    recent_applies, trace  what one instance knows of one document, for operators

Terms: *era*: the write epoch; a repair raises it, and stamps what it writes with it. *Stamp*: the era known before a
version was sent, or read. *Stamp floor*: below it, PostgreSQL refuses the versions of a collection; a truncation or
drop raises it. *Tombstone*: the row of a removed document, kept so that an older version cannot bring it back.
*Superseded*: PostgreSQL has this version of a document, or a later one. *Dead letter*: a version that PostgreSQL
refused. *Orphan*: an intent that the journal could not take. *Resync*: a whole collection compared and repaired.
"""
