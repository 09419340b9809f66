"""Writes, one module for each kind: what to ask ArangoDB for, and what its answer says was written.

    dispatch            one write -> the module of `kinds` that carries it out: the row of its endpoint names it
    kinds/              the kinds, one module each: what to do outside of a stream transaction, and inside of one
    kind                what such a module declares
What kinds have in common:
    attempt             the protocol that every kind follows, as a scope: intend, forward, conclude, wait
    outcomes, refusals  what an answer says was written; whether it says that nothing was; pure
    context             what all of them need: origin, mirror, lease, waiting for both databases
    bodies              of requests and answers
    collections         whole collections are compared after the answer
    reread              answers that do not say what was written: keys of the request, or revisions
    opaque              what is not captured: forwarded, and what it may touch gets a mark (I10)
    shown               what the refusal of a document write shows is in PostgreSQL first
What a kind needs, and state that is kept from request to request:
    answers             documents: what to ask ArangoDB for, and what its answers say (pure)
    import_plan, graph_plan, simple_api         what such requests write (pure)
    aql                 modifications: keys from their rows (aql_plan, pure); cursors: the client's rows in batches;
                        unread_rows: kept on disk
    transactions        begin, commit, abort (transaction_plan, pure); transaction_writes: inside of them, without
                        versions; open_transactions: kept until their end, then applied as one; transaction_registry:
                        whose
    async_jobs          requests that are answered before they are carried out

Terms: *outcome*: nothing was written (refused), versions (applied from the answer), read again (by keys, by revisions
or as a whole collection), unknown (read again after the time bound), uncaptured (marked). *Undo*: flips that a write
rolls back, since PostgreSQL may never have what it wrote.
"""

from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.dispatch import WriteDispatcher
from proxy.capture.transaction_registry import TransactionRegistry

__all__ = ["TransactionRegistry", "WriteContext", "WriteDispatcher", "collect"]
