"""Unsupported endpoints: views, services and tasks can be listed, creating one is refused (501) by name.

So are JavaScript (transactions, Foxx, tasks, functions of AQL), geo and fulltext queries, and the revision trees that
followers compare. `/_api/batch` and the oldest simple queries do not exist, as in 3.12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.base.errors import ArangoError, Unsupported
from proxy.devserver.store import access
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import json_outcome


def refused(what: str) -> Callable[[ServerState, Operation], Outcome]:
    """Return a handler that answers 501 with that name."""

    def refuse(server: ServerState, operation: Operation) -> Outcome:
        server.database(operation)
        raise Unsupported(what)

    return refuse


def gone(server: ServerState, operation: Operation) -> Outcome:
    """Answer as to an unknown path: 3.12 does not have the endpoint."""
    server.database(operation)
    raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")


def views(server: ServerState, operation: Operation) -> Outcome:
    """GET: the list, which is empty, or one view, which is not found."""
    if len(operation.path) > 2:
        return no_view(server, operation)
    server.database(operation)
    return done(operation, {"result": []})


def no_view(server: ServerState, operation: Operation) -> Outcome:
    """Answer that the view is not found."""
    server.database(operation)
    name = operation.path[2] if len(operation.path) > 2 else ""
    raise ArangoError(1203, f"collection or view not found: {name}")


def tasks(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/tasks`: none can be created, so there are none."""
    server.database(operation)
    if operation.method in ("GET", "DELETE") and len(operation.path) > 2:
        raise ArangoError(1852, "task not found", status=404)
    if operation.method == "GET":
        return json_outcome(200, [])
    raise Unsupported("tasks")


def services(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/foxx`: no service is installed; the list of all is empty, and everything about one finds none."""
    server.database(operation)
    if operation.path[:2] != ("_api", "foxx") or operation.method not in ("GET", "DELETE"):
        raise Unsupported("Foxx")
    if operation.method == "GET" and len(operation.path) == 2:
        return json_outcome(200, [])
    raise ArangoError(3009, f"No service found at: {operation.params.get('mount', '')}", status=404)


def functions(server: ServerState, operation: Operation) -> Outcome:
    """`/_api/aqlfunction`: none can be created, so there are none."""
    server.database(operation)
    if operation.method == "GET":
        return done(operation, {"result": []})
    if operation.method == "DELETE":
        raise ArangoError(1582, f"no AQL user function with name '{'/'.join(operation.path[2:])}' found")
    raise Unsupported("JavaScript functions of AQL")


COMMANDS: Final = {
    "transaction.js": EndpointCommand(refused("JavaScript transactions")),
    "view.create": EndpointCommand(refused("views"), access.database_write),
    "simple.near": EndpointCommand(refused("geo queries")),
    "simple.within": EndpointCommand(refused("geo queries")),
    "simple.within-rectangle": EndpointCommand(refused("geo queries")),
    "simple.fulltext": EndpointCommand(refused("fulltext queries")),
    "replication.revisions": EndpointCommand(refused("trees of revisions")),
    "batch": EndpointCommand(gone),
    "simple.first": EndpointCommand(gone),
    "simple.last": EndpointCommand(gone),
    "admin.execute": EndpointCommand(gone, access.administrator),
    "view.read": EndpointCommand(views),
    "view.change": EndpointCommand(no_view, access.database_write),
    "view.drop": EndpointCommand(no_view, access.database_write),
    "task": EndpointCommand(tasks),
    "foxx": EndpointCommand(services),
    "query.function": EndpointCommand(functions, access.database_write),
}
