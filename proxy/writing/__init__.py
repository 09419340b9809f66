"""What is written through the proxy: how each kind of write is carried out. Layer 4, below `dispatch`.

    carry         Writes: an operation that was routed here -> the module that carries it out
    kit           what all of them need: origin, mirror, lease, waiting for both stores
    documents     single and array document writes, from their answers
    collections   create, truncate, drop, rename: whole collections are compared afterwards
    imports       /_api/import, by its keys or as array writes
    modifications AQL that writes: keys from its rows, cursors until their end
    transactions  stream transactions: kept until their end, then applied as one
    inside        writes in them whose answers tell no versions: through graphs, simple ones, imports
    registry      transactions that any proxy saw, in PostgreSQL
    jobs          requests that are answered before they are carried out
    graphs        vertices and edges of named graphs, with their cascades
    untold        answers that do not tell what was written: by the request's keys, or by revisions
    opaque        what is not captured: forwarded, what it may touch becomes unverified (I10)

What is decided about requests and answers stands in pure functions of `proxy.mirror`, a module of the same name each.
"""

from proxy.writing.carry import Writes
from proxy.writing.kit import Kit, LeaseView, collect
from proxy.writing.registry import Registry

__all__ = ["Kit", "LeaseView", "Registry", "Writes", "collect"]
