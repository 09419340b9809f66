"""TTL indexes: remove documents that have expired. The owner of the server calls `remove_expired` regularly.

The attribute is a number of seconds since the epoch or a date as text; any other value never expires. A document
expires `expireAfter` seconds later. No client is notified (protocol page, surprise 5).
"""

from __future__ import annotations

import datetime
from typing import Any

from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState


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
        if document["_key"] not in collection.locks
        and (moment := moment_of(_at(document, path))) is not None
        and moment + after < now
    ]
    for key in over:
        collection.remove(key, collection.clock.tick())
    return len(over)


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def moment_of(value: object) -> float | None:
    """Return an attribute's value in seconds since the epoch; None if it is not a time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)).timestamp()
