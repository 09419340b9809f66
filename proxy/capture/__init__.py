"""One kind of write a module: what to ask ArangoDB for, and what its answer says was written.

All kinds:
    dispatch            the table: kind of write (`model.endpoint.Capture`) -> the module that carries it out
    attempt             the protocol that every kind follows, as a scope: intend, forward, conclude, wait
    outcomes, refusals  what an answer says was written; whether it says that nothing was; pure
    context             what all of them need: origin, mirror, lease, waiting for both databases
    bodies              of requests and answers
The kinds:
    documents           single and array writes, from their answers (answers: plan and parser, pure)
    collections         create, truncate, drop, rename: whole collections are compared afterwards
    imports             `/_api/import`, by its keys or as array writes (import_plan, pure)
    aql                 modifications: keys from their rows (aql_plan, pure); cursors: the client's rows in batches;
                        unread_rows: kept on disk
    graphs              vertices and edges of named graphs, with their cascades (graph_plan, pure)
    simple_writes       `/_api/simple`, by keys or by example (simple_api, pure)
    transactions        begin, commit, abort (transaction_plan, pure); transaction_writes: inside of them;
                        open_transactions: kept until their end, then applied as one; transaction_registry: whose
    async_jobs          requests that are answered before they are carried out
    shown               what the refusal of a document write shows is in PostgreSQL first
    reread              answers that do not say what was written: keys of the request, or revisions
    opaque              what is not captured: forwarded, and what it may touch gets a mark (I10)

A new kind is a module with a plan on top and `async with context.write(...)` below, and its line in `dispatch`.

Terms: *outcome*: nothing was written (refused), versions (applied from the answer), read again (by keys, by revisions
or as a whole collection), unknown (read again after the time bound), uncaptured (marked). *Undo*: flips that a write
rolls back, since PostgreSQL may never have what it wrote.
"""

from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.dispatch import WriteDispatcher
from proxy.capture.transaction_registry import TransactionRegistry

__all__ = ["TransactionRegistry", "WriteContext", "WriteDispatcher", "collect"]
