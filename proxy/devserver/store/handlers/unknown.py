"""ArangoDB's answer to a path or a method that is not an endpoint."""

from __future__ import annotations

from typing import Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers import cursors
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.document_writes import misplaced
from proxy.wire.path_tree import METHODS, knows_path


def unknown(server: ServerState, operation: Operation) -> Outcome:
    """Return the answer to OPTIONS. Raise ArangoError 1228, 400, 404, 405, 601, 1203."""
    server.database(operation)
    if operation.method == "OPTIONS":
        return Outcome(200, b"", ((b"allow", METHODS),), b"text/plain")
    known = "/".join(operation.path[:2])
    if known == "_api/document":
        raise misplaced(operation)
    if known == "_api/cursor":
        raise cursors.misplaced(operation)
    if known == "_api/import":
        raise ArangoError(601, "superfluous suffix, expecting /_api/import?collection=<identifier>")
    if knows_path(operation.path):
        raise ArangoError(405)
    raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")


COMMANDS: Final = {"unknown": EndpointCommand(unknown)}
