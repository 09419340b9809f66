"""Remove documents that TTL indexes have expired. The owner of the server calls `remove_expired` regularly.

No client is notified (protocol page, surprise 5).
"""

from __future__ import annotations

from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState
from proxy.semantics.expiry import is_over


def remove_expired(server: ServerState) -> int:
    """Remove every expired document, except those that a running transaction has written; return how many."""
    now, removed = server.now(), 0
    for _, collection in server.collections():
        for index in collection.indexes:
            if index.kind == "ttl" and collection.exclusive is None:
                removed += _remove_expired(collection, index.fields[0], float(index.shown["expireAfter"]), now)
    return removed


def _remove_expired(collection: Collection, path: str, after: float, now: float) -> int:
    over = [
        document["_key"]
        for document in collection.scan()
        if document["_key"] not in collection.locks and is_over(document, path, after, now)
    ]
    for key in over:
        collection.remove(key, collection.clock.tick())
    return len(over)
