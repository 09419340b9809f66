"""PostgreSQL as a store: reads of the document tables, answered as ArangoDB would, fenced if a client is served.

    store       PostgresStore: one Operation -> Outcome; `fenced`, `query`, `owns_cursor`
    answers     documents, 304, 412, 404, arrays with errors inline: pure
    simple      /_api/simple and /_api/edges as queries and statements: pure
    graphs      a vertex or an edge through its graph's definition: pure
    queries     AQL: one statement if it compiles, else evaluated; what is too heavy for the event loop
    evaluation  drives the evaluator, answers its fetches by SQL under one snapshot
    snapshot_reads the documents of a query page by page, without limits
    fetching    the documents of a fetch, within the limits of one query
    worker_queries heavy queries in worker processes
    compiled_queries AQL that compiles: one statement under the fence; what is compared of it
    read_fence  the fence around a query, and the limits of what one may fetch
    scan_choice a fetch -> the scan that brings all that it needs and little more: pure
    cursors     results in batches, with a time to live; cursor ids that name the store that has them
    streams     rows that stay in PostgreSQL until they are asked for
    spooled_answers answers whose rows wait on disk
    catalog     collection -> table, cached
    own_indexes indexes that Crossfade made, dropped if they refuse a document
    unique_indexes created, filled, dropped; who has a value
    writes/     writes that PostgreSQL itself decides
    modifications/ AQL that writes, likewise

Statements: sql/queries/store.sql.

Terms: *fenced*: the statement itself checks the control row, so that a read is refused if the collection was rolled
back meanwhile. *Compiled*: an AQL query that is one SQL statement; *evaluated*: one that this process runs, which
fetches documents by SQL. *Fetch*: what the evaluator asks for; *scan*: the statement that brings it.
"""

from proxy.stores.postgres.read_fence import QueryLimits
from proxy.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore", "QueryLimits"]
