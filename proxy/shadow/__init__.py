"""Shadow reads: what a client was answered is compared with the other store, off the path; never a race (I8).

    runner      Shadow: queues, workers, first looks
    gather      which reads are looked at together, and when; pure
    together    many reads of single documents by one statement (glance: what that tells at once; pure)
    courtesy    clients go first: work waits while the event loop is behind with them
    looks       one look at both sides and what it comes to: here where it is small, else in a worker process (packed)
    settle      looks again until a difference is lag, a mismatch, or unsettled
    confirm     a confirmed difference: counted, kept, explained later
    history     what the origin answered meanwhile: lag is proven where the target shows a state out of that; pure
    fleet       whether the other proxies have applied what they took
    batches     cursors read in several batches: one comparison of the whole
    unsorted    LIMIT without SORT: the query whose rows are all that would do; pure
    sides       asks the target and the origin
    jobs        a read to compare, one look: the values that workers hand on
    plain       simple reads, edges, documents of graphs: as the queries and documents that they are; pure
    classify    two answers to one operation -> Difference or None: statuses, documents, arrays, queries; pure
    compare     documents and rows: class and paths of a difference, in microseconds; pure
    judge       two answers with noise and ArangoDB's own differences taken into account; pure
    noise       rules on paths where a difference does not matter; pure (paths: how they are written)
    itself      ArangoDB against itself: what differs without PostgreSQL's doing
    rules       shares of reads, noise, ArangoDB's own differences: read from PostgreSQL once a second
    verdicts    Verdict and Sink: what each read came to (shape, collections, class, seconds on both sides)
    account     each read's one end: counted by the ledger, told to the sinks
    counts      deltas in memory; ledger writes them in batches, and survives PostgreSQL's being away
    samples     what is kept of a mismatch as an example, redacted on request; pure
    explain     DeepDiff in a worker process, once a fingerprint
    shapes      an operation without its literals: what coverage is counted by
    coverage    the account of shapes, with histograms of latency (latency)
    mismatches  what the command line reads and marks

Verdicts: match, lag (resolved on recheck: a match, counted beside), ignored (noise), missing, extra, stale, value,
type, order, error, unsettled, unsupported. What is not compared is skipped with a reason: sampled out, overloaded, not
deterministic, reads what only its run tells, partial, equal sort keys inside, target unavailable, origin unavailable,
origin answered 401 (and the like), too large, compressed, not understood, over the
limit of time, over the limit of memory, its worker ended, shutdown, failed.
"""
