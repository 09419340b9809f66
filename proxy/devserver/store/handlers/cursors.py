"""Cursors: AQL queries, their results in batches (protocol page, section 4)."""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.queries import execution
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.state.sessions import Cursor
from proxy.model.cursor_requests import CursorRequest, misplaced_batch, request_of
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


def misplaced(operation: Operation) -> ArangoError:
    """Return ArangoDB's error for `/_api/cursor` with too few or too many path segments."""
    if operation.method not in ("POST", "PUT", "DELETE"):
        return ArangoError(405)
    return ArangoError(400, f"expecting {operation.method} /_api/cursor/<cursor-id>")


def create(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/cursor."""
    server.database(operation)
    _expire(server)
    request = request_of(operation.body)
    outcome = execution.run(server, operation, request.query, request.bind_vars, request.options)
    return answer(server, operation, outcome, request)


def answer(server: ServerState, operation: Operation, found: execution.QueryResult, request: CursorRequest) -> Outcome:
    """Return the first batch of a result. The cursor is kept if there are more, or if a stream may be read again."""
    cursor = Cursor(
        server.identifier(server.ids.cursors),
        operation.database,
        found.rows,
        request.batch_size,
        request.ttl,
        server.now() + request.ttl,
        found.extra,
        request.count,
        request.allow_retry,
        access.identity(server, operation).user,
        request.streaming,
    )
    text = cursor.take()
    parts = [text, b',"hasMore":true' if cursor.more else b',"hasMore":false']
    if cursor.more or (cursor.retry and cursor.streaming):
        server.cursors[cursor.id] = cursor
    if cursor.more:
        parts.append(f',"id":"{cursor.id}","nextBatchId":"2"'.encode())
    if cursor.counted:
        parts.append(f',"count":{len(found.rows)}'.encode())
    parts.append(b',"cached":false' + cursor.closing() + b',"error":false,"code":201}')
    cursor.last = b"".join(parts)
    return Outcome(201, cursor.last)


def proceed(server: ServerState, operation: Operation) -> Outcome:
    """POST or PUT /_api/cursor/{id}[/{batch}]: return the next batch, or the last one again if retries are allowed."""
    cursor = _find(server, operation)
    cursor.expires = server.now() + cursor.ttl
    wanted = operation.path[3] if len(operation.path) > 3 else None
    if wanted is not None:
        if wanted == str(cursor.batch) and cursor.retry:
            return Outcome(200, cursor.last)  # `code` in its body is that of the first time
        if wanted != str(cursor.batch + 1):
            raise misplaced_batch(wanted, cursor.batch)
        if not cursor.more:
            raise ArangoError(1600)
    elif not cursor.more:
        raise ArangoError(1600)
    text = cursor.take()
    parts = [text, b',"hasMore":true' if cursor.more else b',"hasMore":false']
    if cursor.more:
        parts.append(f',"id":"{cursor.id}"'.encode())
    if cursor.counted:
        parts.append(f',"count":{len(cursor.rows)}'.encode())
    parts.append(cursor.closing() + b',"cached":false')
    if cursor.more:
        parts.append(f',"nextBatchId":"{cursor.batch + 1}"'.encode())
    parts.append(b',"error":false,"code":200}')
    cursor.last = b"".join(parts)
    if not cursor.more and not cursor.retry:
        del server.cursors[cursor.id]
    return Outcome(200, cursor.last)


def delete(server: ServerState, operation: Operation) -> Outcome:
    """DELETE /_api/cursor/{id}."""
    cursor = _find(server, operation)
    del server.cursors[cursor.id]
    return json_outcome(202, {"id": cursor.id, "error": False, "code": 202})


def _find(server: ServerState, operation: Operation) -> Cursor:
    _expire(server)
    found = server.cursors.get(operation.path[2])
    if found is None or found.database != operation.database:
        raise ArangoError(1600)
    who = access.identity(server, operation)
    if not who.superuser and who.user != found.user:
        raise ArangoError(1600)  # a user does not learn that another's cursor exists
    return found


def _expire(server: ServerState) -> None:
    now = server.now()
    for number in [number for number, cursor in server.cursors.items() if cursor.expires < now]:
        del server.cursors[number]


COMMANDS: Final = {
    "cursor.create": EndpointCommand(create, dirty_read=True),
    "cursor.next": EndpointCommand(proceed),
    "cursor.delete": EndpointCommand(delete),
}
