"""Backfill, verification and repair: copies all documents while services write, and verifies the copy.

Commands:
    cli                `crossfade backfill`; cli_verify: verify; cli_watch: out-of-band watch; cli_throttle: throttle,
                       pause, resume; cli_runtime: what they share
    worker_processes   several worker processes for one command
    progress           progress bars; run_summary: results and rates of a run, as text and JSON (pure)
Runs:
    run_planner        plans a run: key ranges of even size, samples, what failed or changed
    key_ranges         key ranges and page sizes (pure); key_sampling: keys that cut a collection into even parts
    run_store          the rows of _crossfade.run and _crossfade.chunk
    worker             claims chunks, finishes runs, builds indexes at the end
    chunk_split        cuts a chunk that a worker is at, if it turns out larger than planned
    liveness_lock      shows PostgreSQL that a process is alive: the chunks of a killed worker are free immediately
    governor           waits as the throttle demands, and keeps the chunk; throttle: how long to wait, and why (pure)
Work on a chunk:
    source             the origin, by python-arango, in threads; shards of a cluster are merged in key order
    origin_pages       answers of the origin as values (pure)
    copy               writes a chunk into the target: page, revision rule and checkpoint in one transaction
    dump               the same by ArangoDB's parallel dump
    verify             compares both sides in key order; every difference is a suspect
    recheck            compares suspects again, target first, until they are equal, confirmed or out of time
    key_repair         repairs keys by proxy.replication.key_repair, with more attempts
Out-of-band writes:
    out_of_band_watch  finds them; wal_reader: reads the origin's log, or scans for revisions
    out_of_band_judge  decides which revisions no proxy reported (pure, with the argument)
Beside the runs:
    archive/           collections as compressed files, and back
    migration_report/  `crossfade report`
    completion/        `crossfade complete`: the end of a move, and its certificate
    checksum           the checksum of a set of documents (pure)

Every write follows I4 (proxy.replication.target_writer): a page may be copied twice, late, or concurrently with live
writes, and nothing newer is lost. All state is in PostgreSQL. So any number of workers on any machines share a run, and
killing one costs one page.

Terms: *run*: one backfill or verification of a collection; *chunk*: a key range of it, which one worker has at a time.
*Claim*: a chunk with the lease of its worker. *Checkpoint*: the position up to which a chunk is done, stored with what
was done. *Suspect*: a difference that was not compared again yet. *Throttle*: limits of rate and lag.
"""
