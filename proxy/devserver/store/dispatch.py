"""Carry out one operation over the state of a server: its command, whether its user may make it, its answer.

No event loop and no locks: the stores that call this decide what waits. `commands` is a table of endpoints, of which
an absent one is answered with 501 and its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from proxy.base.errors import ArangoError, Unsupported
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.locks import LockedError
from proxy.devserver.store.state.server import RecordedCall, ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.document_answers import conflict_outcome
from proxy.semantics.request_params import flag
from proxy.semantics.write_rules import ConflictError
from proxy.wire.encode import error_outcome
from proxy.wire.velocypack import to_json

_CONFLICT: Final = 1200
_DIRTY: Final = ((b"x-arango-potential-dirty-read", b"true"),)


def command_of(commands: Mapping[str, EndpointCommand], operation: Operation) -> EndpointCommand:
    """Return the command of an operation."""
    return commands.get(operation.endpoint.name, _UNSUPPORTED)


def refusal(server: ServerState, operation: Operation, command: EndpointCommand) -> Outcome | None:
    """Return the answer to a request that its user may not make; None if it may be made."""
    if not server.accounts.limited:
        return None
    try:
        command.access(server, operation)
    except access.Unauthorized as error:
        return error_outcome(error, access.CHALLENGES)
    except ArangoError as error:
        return error_outcome(error)
    return None


def answer(server: ServerState, operation: Operation, command: EndpointCommand) -> Outcome:
    """Carry out an operation; errors are outcomes too, except LockedError if the server's state is patient."""
    server.calls.append(RecordedCall(server.now(), operation.method, operation.database, operation.path))
    try:
        server.database(operation)  # an unknown one answers no request, not even for the version
        outcome = command.run(server, with_json(operation))
    except ConflictError as error:
        if server.patient and isinstance(error, LockedError):
            raise
        if operation.key is not None and command.shows_conflict and error.number == _CONFLICT:
            return conflict_outcome(operation.collection or "", error)
        return error_outcome(error)
    except ArangoError as error:
        return error_outcome(error)
    return as_dirty_read(operation, command, outcome)


def with_json(operation: Operation) -> Operation:
    """Return the operation with a JSON body if it has one of VelocyPack. Raise ArangoError 600."""
    if operation.headers and "velocypack" in operation.headers.get("content-type", ""):
        return msgspec.structs.replace(operation, body=to_json(operation.body) if operation.body else b"")
    return operation


def as_dirty_read(operation: Operation, command: EndpointCommand, outcome: Outcome) -> Outcome:
    """Return the outcome, with the header of a dirty read if the client allows one and it can be one: not an error."""
    if (
        command.dirty_read
        and outcome.status < HTTPStatus.BAD_REQUEST
        and flag(operation.headers, "x-arango-allow-dirty-read")
    ):
        return msgspec.structs.replace(outcome, headers=(*outcome.headers, *_DIRTY))
    return outcome


def _unsupported(_server: ServerState, operation: Operation) -> Outcome:
    raise Unsupported(operation.endpoint.name)


_UNSUPPORTED: Final = EndpointCommand(_unsupported)
