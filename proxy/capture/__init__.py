"""One kind of write a module: what to ask ArangoDB for, and what its answer says was written.

Pure plans and answers:
    answers             document writes; refusals: whether an answer says that nothing was written
    import_plan, aql_plan, graph_plan, transaction_plan, simple_api
Carried out:
    dispatch            the table: kind of write (`model.endpoint.Capture`) -> the module that carries it out
    context             what all of them need: origin, mirror, lease, waiting for both databases
    documents           single and array writes, from their answers
    collections         create, truncate, drop, rename: whole collections are compared afterwards
    imports             `/_api/import`, by its keys or as array writes
    aql, cursors        modifications: keys from their rows; the client's rows in batches; unread_rows: kept on disk
    transactions        stream transactions: kept until their end, then applied as one; transaction_registry: whose;
                        in_transactions: writes inside them whose answers give no versions
    graphs              vertices and edges of named graphs, with their cascades
    async_jobs          requests that are answered before they are carried out
    simple_writes       `/_api/simple`, by keys or by example
    reread              answers that do not say what was written: keys of the request, or revisions
    opaque              what is not captured: forwarded, and what it may touch gets a mark (I10)

Every kind follows one protocol: intend, forward, parse the answer, then report: nothing was written (refused), versions
(applied from the answer), keys (read again), or unknown (read again after the time bound, or marked).
"""

from proxy.capture.bodies import collect
from proxy.capture.context import LeaseView, WriteContext
from proxy.capture.dispatch import WriteDispatcher
from proxy.capture.transaction_registry import TransactionRegistry

__all__ = ["LeaseView", "TransactionRegistry", "WriteContext", "WriteDispatcher", "collect"]
