"""Shadow reads: what a client was answered is compared with the other database, off the path, never a race (I8).

comparator          Shadow: queues and workers; jobs, packed_answer: values that they pass on; workload: how much waits
first_comparison    the first comparison of a read, and the verdict after a recheck
sampling_rules      which reads are compared, and by what tolerances; examples: requests kept for `shadow replay`
batching            which reads are compared together; batch_compare: by one statement; fast_path: what that shows
backpressure        comparisons wait while the event loop is busy with clients
normalize           simple reads, edges and graph documents as the queries and documents that they are
cursor_assembly     cursors read in several batches: one comparison of the whole
readers             ask both databases again; pair_comparison: reads and compares, here or in a worker
diff/               how two answers differ; pure
recheck             checks again until a difference is lag, a mismatch, or undecided
origin_history      what ArangoDB answered since the read: proves lag; peer_lag: what other instances have not applied
baseline_checker    ArangoDB against itself (A/A): differences that are not PostgreSQL's; self_check: how it differs
unordered_limit     LIMIT without SORT: any rows of the right number do
accounting          each read ends once: counters, verdicts (for sinks), result_store (PostgreSQL, in batches)
mismatch_recorder   a confirmed mismatch is counted, sampled (samples) and explained (explain, by DeepDiff)
shape_coverage      reads by shape, with latency; bounds: how many shapes are kept

Verdicts: match, lag (resolved on recheck: a match, counted beside), ignored (tolerance), missing, extra, stale, value,
type, order, error, undecided, unsupported. What is not compared is skipped with a reason: sampled out, overloaded, not
deterministic, reads collections that only its run determines, partial, equal sort keys inside, target unavailable,
origin unavailable, origin answered 401 (and the like), too large, compressed, not understood, over the limit of time,
over the limit of memory, its worker ended, shutdown, failed.

Terms: *sampled*: chosen to be compared. *Recheck*: both databases are read again, since a difference may be lag.
*Baseline*: what ArangoDB itself answers differently when it is asked twice. *Tolerance*: a rule by which a difference
does not count. *Shape*: the reads that differ in values only.
"""
