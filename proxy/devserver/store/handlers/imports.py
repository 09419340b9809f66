"""`/_api/import`: parsed, decided and answered by proxy/semantics."""

from __future__ import annotations

from typing import Final

from proxy.devserver.store.collection_lookup import writable
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers.collections import empty
from proxy.devserver.store.state.locks import LockedError
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.imports import parse_import


def run(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/import."""
    request = parse_import(operation)
    collection = writable(server, operation, operation.collection or "")
    if server.patient and collection.locks:
        values = [item.value for item in request.items()]
        if any(isinstance(value, dict) and collection.locks.held(value.get("_key")) for value in values):
            raise LockedError("", "", message="timeout waiting to lock key")
    prepared = request.prepare(collection.generator, edge=collection.edge)
    if request.empties:
        empty(server, server.database(operation), collection)
    return prepared.carry_out(collection)


COMMANDS: Final = {
    "import": EndpointCommand(run),
}
