"""What ArangoDB remembers of queries: running and slow ones, their cache, their plans, the optimizer's rules.

Here each query has ended before another request is looked at, and nothing is cached: lists are empty, settings are
kept and shown.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.errors import ArangoError
from proxy.operations import Operation, Outcome
from proxy.stores.memory.collections import body_object, done
from proxy.stores.memory.server import Handler, Server
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_PROPERTIES: Final[Document] = {
    "enabled": True,
    "trackSlowQueries": True,
    "trackBindVars": True,
    "maxSlowQueries": 64,
    "slowQueryThreshold": 10,
    "slowStreamingQueryThreshold": 10,
    "maxQueryStringLength": 4096,
}
_CACHE: Final[Document] = {
    "mode": "off",
    "maxResults": 128,
    "maxResultsSize": 268435456,
    "maxEntrySize": 16777216,
    "includeSystem": False,
}


def listing(server: Server, operation: Operation) -> Outcome:
    """Current and slow queries, the rules of the optimizer (none is applied)."""
    server.database(operation)
    return json_outcome(200, [])


def clear(server: Server, operation: Operation) -> Outcome:
    server.database(operation)
    return done(operation, {})


def kill(server: Server, operation: Operation) -> Outcome:
    server.database(operation)
    raise ArangoError(1591, "cannot find query", status=404)


def properties(server: Server, operation: Operation) -> Outcome:
    """GET and PUT of what is tracked."""
    server.database(operation)
    return done(operation, _settings(server, operation, "tracking", _PROPERTIES))


def cache(server: Server, operation: Operation) -> Outcome:
    """`/_api/query-cache/{properties,entries}`, DELETE."""
    server.database(operation)
    below = operation.path[2:]
    if below == ("properties",) and operation.method in ("GET", "PUT"):
        return json_outcome(200, _settings(server, operation, "cache", _CACHE))
    if below == ("entries",) and operation.method == "GET":
        return json_outcome(200, [])
    return _empty(operation, below)


def plans(server: Server, operation: Operation) -> Outcome:
    """`/_api/query-plan-cache`: the list, which is empty, and DELETE."""
    server.database(operation)
    if operation.method == "GET":
        return json_outcome(200, [])
    return _empty(operation, operation.path[2:])


def _empty(operation: Operation, below: tuple[str, ...]) -> Outcome:
    if operation.method == "DELETE" and not below:
        return done(operation, {})
    raise ArangoError(405)


def _settings(server: Server, operation: Operation, name: str, defaults: Document) -> Document:
    """The settings of that name; a PUT changes those that it names. Raises ArangoError 10 for another type."""
    kept = server.settings.setdefault(name, dict(defaults))
    if operation.method == "PUT":
        changes = {key: value for key, value in body_object(operation).items() if key in kept}
        for key, value in changes.items():
            if type(value) is not type(kept[key]):
                raise ArangoError(10, f"invalid value for '{key}'")
        kept.update(changes)
    return kept


HANDLERS: Final[dict[str, Handler]] = {
    "query.current": listing,
    "query.slow": listing,
    "query.rules": listing,
    "query.clear_slow": clear,
    "query.kill": kill,
    "query.properties": properties,
    "query.set_properties": properties,
    "query.cache": cache,
    "query.plan_cache": plans,
}
