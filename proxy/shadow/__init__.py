"""Shadow reads: what a client was answered is compared with the other store, off the path; never a race (I8).

    runner      Shadow: queue, workers, the looks that settle a difference
    verdicts    Verdict and Sink: what each read came to (shape, collections, class, seconds on both sides)
    classify    two answers to one operation -> Difference or None: statuses, documents, arrays, queries; pure
    compare     documents and rows: class and paths of a difference, in microseconds; pure
    explain     DeepDiff in a worker process, once a fingerprint
    shapes      an operation without its literals: what coverage is counted by
    samples     what is kept of a mismatch as an example, redacted on request; pure
    ledger      counts and mismatches in memory, written in batches; survives PostgreSQL's being away
    mismatches  what the command line reads and marks

Verdicts: match, lag (resolved on recheck: a match, counted beside), missing, extra, stale, value, type, order, error,
unsettled, unsupported. What is not compared is skipped with a reason: sampled, queue full, not deterministic, reads
what only its run tells, partial, target unavailable, origin unavailable, origin answered 401 (and the like), too large,
not understood, shutdown.
"""
