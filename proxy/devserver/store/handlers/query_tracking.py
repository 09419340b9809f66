"""Records that ArangoDB keeps about queries: running and slow ones, their cache, their plans, the optimizer's rules.

In the development server a query that does not sleep has ended before the next request is handled, so that the running
queries are those that sleep. Nothing is cached. Settings are kept and shown; they decide, per database, which queries
count as slow.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.queries.slow_queries import TRACKING, moment, shown
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.request_params import body_object, flag
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
# the optimizer's rules of a single server; none is applied here
_RULES: Final = (
    *("replace-function-with-index", "inline-subqueries", "simplify-conditions", "move-calculations-up"),
    *("move-filters-up", "remove-redundant-calculations", "remove-unnecessary-filters"),
    *(
        "remove-unnecessary-calculations",
        "remove-redundant-sorts",
        "optimize-subqueries",
        "interchange-adjacent-enumerations",
    ),
    *("replace-or-with-in", "remove-redundant-or", "use-indexes", "remove-filter-covered-by-index"),
    *("use-index-for-sort", "move-calculations-down", "fuse-filters", "reduce-extraction-to-projection"),
    *("optimize-projections", "remove-data-modification-out-variables", "patch-update-statements"),
    *("optimize-traversals", "optimize-paths", "remove-traversal-path-variable", "geo-index-optimizer"),
    *("late-document-materialization", "sort-limit", "splice-subqueries", "async-prefetch", "join-index-nodes"),
    *("push-down-late-materialization", "optimize-count", "parallelize-gather", "push-limit-into-index"),
)


_CACHE: Final[Document] = {
    "mode": "off",
    "maxResults": 128,
    "maxResultsSize": 268435456,
    "maxEntrySize": 16777216,
    "includeSystem": False,
}


def current(server: ServerState, operation: Operation) -> Outcome:
    """List the queries that run in a database; `all`, in `_system`: in every database."""
    server.database(operation)
    everywhere = _everywhere(server, operation)
    found = [one for one in server.running.values() if everywhere or one.database == operation.database]
    return json_outcome(200, [shown(one, server.now() - one.began, "executing") for one in found])


def slow(server: ServerState, operation: Operation) -> Outcome:
    """List the queries that took longer than the threshold, the latest last."""
    server.database(operation)
    everywhere = _everywhere(server, operation)
    return json_outcome(200, [one for one in server.slow if everywhere or one["database"] == operation.database])


def clear(server: ServerState, operation: Operation) -> Outcome:
    server.database(operation)
    everywhere = _everywhere(server, operation)
    server.slow = [one for one in server.slow if not everywhere and one["database"] != operation.database]
    return done(operation, {})


def kill(server: ServerState, operation: Operation) -> Outcome:
    """DELETE /_api/query/{id}: end the query with error 1500."""
    server.database(operation)
    found = server.running.get(operation.path[2])
    if found is None or (found.database != operation.database and not _everywhere(server, operation)):
        raise ArangoError(1591, "query ID not found", status=404)
    found.kill()
    return done(operation, {})


def history(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/server/aql-queries`: the latest queries, which are not kept."""
    access.require_admin(server, operation)
    return done(operation, {"result": {"queries": []}})


def calls(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/server/api-calls`: the latest requests, the newest first."""
    access.require_admin(server, operation)
    latest = [
        {
            "timeStamp": moment(call.time),
            "requestType": call.method,
            "path": "/" + "/".join(call.path),
            "database": call.database,
        }
        for call in reversed(server.calls)
    ]
    return done(operation, {"result": {"calls": latest}})


def rules(server: ServerState, operation: Operation) -> Outcome:
    """List the names of the optimizer's rules."""
    server.database(operation)
    flags = {
        "hidden": False,
        "clusterOnly": False,
        "canBeDisabled": True,
        "canCreateAdditionalPlans": False,
        "disabledByDefault": False,
        "enterpriseOnly": False,
    }
    return json_outcome(200, [{"name": name, "flags": flags} for name in _RULES])


def _everywhere(server: ServerState, operation: Operation) -> bool:
    """Return True if all databases are meant, which only administrators may ask for, in `_system`.

    Raise ArangoError 11.
    """
    if not flag(operation.params, "all"):
        return False
    access.require_admin(server, operation)
    if operation.database != "_system":
        raise ArangoError(11, "queries of all databases are only available in _system")
    return True


def properties(server: ServerState, operation: Operation) -> Outcome:
    """GET and PUT of the settings of query tracking."""
    server.database(operation)
    return done(operation, _settings(server, operation, f"tracking of {operation.database}", TRACKING))


def cache(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/query-cache/{properties,entries}`, DELETE."""
    server.database(operation)
    below = operation.path[2:]
    if below == ("properties",) and operation.method in ("GET", "PUT"):
        return json_outcome(200, _settings(server, operation, "cache", _CACHE))
    if below == ("entries",) and operation.method == "GET":
        return json_outcome(200, [])
    return _empty(operation, below)


def plans(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/query-plan-cache`: the list, which is empty, and DELETE."""
    server.database(operation)
    if operation.method == "GET":
        return json_outcome(200, [])
    return _empty(operation, operation.path[2:])


def _empty(operation: Operation, below: tuple[str, ...]) -> Outcome:
    if operation.method == "DELETE" and not below:
        return done(operation, {})
    raise ArangoError(405)


def _settings(server: ServerState, operation: Operation, name: str, defaults: Document) -> Document:
    """Return the settings of that name.

    A PUT changes the known ones that its body has, unless null. Raise ArangoError 10.
    """
    kept = server.settings.setdefault(name, dict(defaults))
    if operation.method == "PUT":
        given = body_object(operation)
        changes = {key: value for key, value in given.items() if key in kept and value is not None}
        for key, value in changes.items():
            if _kind(value) is not _kind(kept[key]):
                raise ArangoError(10, f"invalid value for '{key}'")
        kept.update(changes)
    return kept


def _kind(value: object) -> type:
    """Return the type of a setting; integers and fractions are one type."""
    return int if isinstance(value, float) else type(value)


COMMANDS: Final = {
    "query.current": EndpointCommand(current),
    "query.slow": EndpointCommand(slow),
    "query.rules": EndpointCommand(rules),
    "query.history": EndpointCommand(history),
    "admin.calls": EndpointCommand(calls),
    "query.clear_slow": EndpointCommand(clear),
    "query.kill": EndpointCommand(kill),
    "query.properties": EndpointCommand(properties),
    "query.set_properties": EndpointCommand(properties),
    "query.cache": EndpointCommand(cache),
    "query.plan_cache": EndpointCommand(plans),
}
