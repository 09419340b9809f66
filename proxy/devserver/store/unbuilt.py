"""What this server does not do, by name: views, services and tasks can be listed, what makes one is refused (501).

The same goes for JavaScript (transactions, Foxx, tasks, functions of AQL), geo and fulltext queries, and the trees of
revisions that followers compare. `/_api/batch` and the oldest simple queries are not there at all, as in 3.12.
"""

from __future__ import annotations

from typing import Final

from proxy.base.errors import ArangoError, Unsupported
from proxy.devserver.store.collections import done
from proxy.devserver.store.server import Handler, Server
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import json_outcome

# endpoint -> what the refusal names
_REFUSED: Final = {
    "transaction.js": "JavaScript transactions",
    "view.create": "views",
    "simple.near": "geo queries",
    "simple.within": "geo queries",
    "simple.within-rectangle": "geo queries",
    "simple.fulltext": "fulltext queries",
    "replication.revisions": "trees of revisions",
}
_GONE: Final = ("batch", "simple.first", "simple.last", "admin.execute")


def _refused(server: Server, operation: Operation) -> Outcome:
    server.database(operation)
    raise Unsupported(_REFUSED[operation.endpoint])


def _gone(server: Server, operation: Operation) -> Outcome:
    server.database(operation)
    raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")


def views(server: Server, operation: Operation) -> Outcome:
    """GET: the list, which is empty; everything about one view finds none."""
    server.database(operation)
    if operation.endpoint == "view.read" and len(operation.path) == 2:
        return done(operation, {"result": []})
    name = operation.path[2] if len(operation.path) > 2 else ""
    raise ArangoError(1203, f"collection or view not found: {name}")


def tasks(server: Server, operation: Operation) -> Outcome:
    """`/_api/tasks`: none can be made, so there are none."""
    server.database(operation)
    if operation.method in ("GET", "DELETE") and len(operation.path) > 2:
        raise ArangoError(1852, "task not found", status=404)
    if operation.method == "GET":
        return json_outcome(200, [])
    raise Unsupported("tasks")


def services(server: Server, operation: Operation) -> Outcome:
    """`/_api/foxx`: no service is installed; the list of all is empty, and everything about one finds none."""
    server.database(operation)
    if operation.path[:2] != ("_api", "foxx") or operation.method not in ("GET", "DELETE"):
        raise Unsupported("Foxx")
    if operation.method == "GET" and len(operation.path) == 2:
        return json_outcome(200, [])
    raise ArangoError(3009, f"No service found at: {operation.params.get('mount', '')}", status=404)


def functions(server: Server, operation: Operation) -> Outcome:
    """`/_api/aqlfunction`: none can be made, so there are none."""
    server.database(operation)
    if operation.method == "GET":
        return done(operation, {"result": []})
    if operation.method == "DELETE":
        raise ArangoError(1582, f"no AQL user function with name '{'/'.join(operation.path[2:])}' found")
    raise Unsupported("JavaScript functions of AQL")


HANDLERS: Final[dict[str, Handler]] = {
    **dict.fromkeys(_REFUSED, _refused),
    **dict.fromkeys(_GONE, _gone),
    **dict.fromkeys(("view.read", "view.change", "view.drop"), views),
    "task": tasks,
    "foxx": services,
    "query.function": functions,
}
