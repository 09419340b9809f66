"""AQL queries that write, each executed in one PostgreSQL transaction: as one statement, or evaluated.

A query that compiles (proxy/aql/compile/writes) is one statement after the fence. If that is not exact for the data or
the collection, or PostgreSQL refuses it, the query is evaluated.

The evaluator requests documents and writes. Documents are read from one snapshot (REPEATABLE READ), which PostgreSQL
itself verifies: it refuses to write a row that has changed since (40001), and the query is repeated on a new snapshot.
So a row need not be locked before the decision, and revisions that are drawn after the snapshot are above all that it
shows. Writes are decided in memory by the rules of proxy/semantics, and written by one statement a collection.

What a write or an UPSERT needs and no fetch has brought is not read one by one: the query continues as if it were not
there, which collects whatever else is missing; then everything is read together, and the query runs again. Only a run
that missed nothing counts.

    modification_queries  ModificationQueries: a request -> its result; repetitions and errors
    compiled_attempt      one transaction of a compiled query: fence, statement, result
    given_rows            the rows of a compiled INSERT or UPSERT: computed, checked, made parameters
    given_writes          their statements with keys for new documents
    transaction_reads     a compiled query of a stream transaction that only reads
    attempt               one transaction: fence, runs, writes
    prepared              what attempts find out for those that follow
    query_run             one run of the evaluator, and what it missed
    blocked_keys          documents that a stream transaction cannot write: found, and refused
    flushes               the writes of a run that are sent before its end
    pauses                calls of SLEEP
    query_collection      a collection within a run: what is stored, with the writes of the run
    turns                 queries that write the same documents, one after the other
    assumed_values        values of unique indexes that a run has taken to be free
    known_documents       what a transaction has read of a collection
    value_index           documents by their values at some paths
    reserved_numbers      a key generator that makes numbers of a range which is taken

Terms: *run*: one evaluation of the query, from its start; *missed*: needed by a run, and not read yet. *Snapshot*: the
state of PostgreSQL that all reads of one attempt see.
"""

from proxy.stores.postgres.modifications.given_rows import NotExactError
from proxy.stores.postgres.modifications.given_writes import shown
from proxy.stores.postgres.modifications.modification_queries import ModificationQueries, ModificationResult

__all__ = ["ModificationQueries", "ModificationResult", "NotExactError", "shown"]
