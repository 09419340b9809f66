"""Backfill, verification and repair: copies all documents while services write, and verifies the copy.

    layer 5   cli         `crossfade backfill`; cli_verify, cli_watch, cli_throttle; cli_runtime: what they share;
                          processes: several for one command; progress draws the bars
    layer 3   worker      claims chunks, finishes runs, builds indexes at the end
              run_planner makes runs: key ranges of even size, samples, what failed or changed
              chunk_split cuts a chunk under way, where ranges turned out uneven
              copy        a chunk into the target: page, revision rule and checkpoint in one transaction
              dump        the same by ArangoDB's parallel dump, where it is asked for
              verify      compares both sides in key order; whatever differs is a suspect
              recheck     compares suspects again, target first, until they are equal, confirmed or out of time
              key_repair  repairs keys by proxy.replication.key_repair, with more attempts
              run_store   the rows of _crossfade.run and _crossfade.chunk
              liveness_lock shows PostgreSQL that this process is alive: a killed worker's chunks are free immediately
              out_of_band_watch finds out-of-band writes; out_of_band_judge: which revisions no proxy
                          reported (pure, with the argument); wal_reader: the origin's log, or scans
              governor    waits as the throttle demands, keeping the chunk
              source      the origin, by python-arango, in threads; shards of a cluster merged by bytes
    layer 1   plan, probe key ranges, sizes of pages; answers of the origin; throttle; run_summary: tallies, rates
              archive/    compressed copies on disk

Everything is written by I4 (proxy.replication.target_writer): a page may be copied twice, late, or concurrently with
live writes, and nothing newer is lost. State is in PostgreSQL alone, so that any number of workers on any machines
share a run, and killing one costs one page.
"""
