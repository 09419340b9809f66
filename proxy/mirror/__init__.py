"""Whatever ArangoDB took is in PostgreSQL in the end (I1 to I5, DESIGN section 6, mirror-protocol).

pipeline   Mirror: what the dispatcher tells and the control plane asks; owns the tasks
capture    what to ask ArangoDB for beside what the client asked, and what its answer says was written (pure)
imports    how an import becomes known: by its keys, or as array writes (pure)
modifications  AQL that writes: the request that tells its keys, its answers without them (pure)
transactions   what a stream transaction wrote, until its end; together: applied as one transaction
graphs     which document a request through a named graph writes (pure)
examples   writes of `/_api/simple`: what their bodies name (pure)
trim       cuts out again what the client did not ask for, byte for byte (pure)
journal    intents on disk before forwarding; segment: one file of it; records: its format (pure);
           written: the collections that a stop of the machine may have cost something; alarm: a full disk, said on it
intent     a write that is under way
book       what is open in memory, and who waits for it
apply      the bounded queue and the appliers; target: the statements of I4 on PostgreSQL
repair     reads the origin again: after a crash, a lost answer, a full queue, a refusal; purge: old tombstones
sweep      whole collections compared with the origin: behind truncations, drops, renames, imports that overwrite
scan       writes whose keys never became known, found in the origin by the time of their revisions
recent     what was applied a moment ago; trace: what one instance knows of one document
told       what this process took, in reports to PostgreSQL: what nobody took went around the proxies
marks      collections that become unverified, on their way to PostgreSQL; timeline: a failover makes all of them so
faults     points at which a test may kill the process; backoff: waiting longer from failure to failure
"""
