"""Backfill, verification and repair: copies the history while services write, and proves that the copy is right.

    layer 5   cli         `crossfade backfill`, `crossfade verify`; progress draws the bars
    layer 3   worker      claims chunks, finishes runs, builds indexes last
              copy        a chunk into the target: page, revision rule and checkpoint in one transaction
              verify      both sides in key order; whatever differs is a suspect
              look        suspects again, target first, until they are equal, confirmed or out of time
              repair      "Repair of a key" (mirror-protocol)
              target      documents into a table, those that PostgreSQL refuses set aside
              runs        the rows of crossfade.run and crossfade.chunk
              pacing      waits as the throttle says, keeping the chunk
              source      the origin, by python-arango, in threads
    layer 1   plan        key ranges, sizes of pages; answers of the origin; throttle; report: tallies, rates

Everything is written by I4: a page may be copied twice, late, or beside live writes, and nothing newer is lost. State
is in PostgreSQL alone, so that any number of workers on any machines share a run, and killing one costs one page.
"""
