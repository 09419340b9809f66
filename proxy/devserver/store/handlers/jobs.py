"""`x-arango-async` and `/_api/job`: requests that are answered immediately and whose results are fetched later.

A job that need not wait, for a lock or for a SLEEP, has its result when the 202 is sent. Only the user who started a
job sees it (protocol page, section 8). The result of a HEAD has no body.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.state.sessions import AsyncJob
from proxy.model.operations import Operation, Outcome
from proxy.semantics import request_params
from proxy.wire.encode import json_outcome

_MOST: Final = 1000
_EMPTY: Final = b"text/plain"
_ID: Final = b"x-arango-async-id"


def accepted(server: ServerState, operation: Operation, task: asyncio.Task[Outcome], number: str | None) -> Outcome:
    """Return the answer to an asynchronous request. number: of the job, if its result is kept."""
    if number is None:
        return Outcome(202, b"", (), _EMPTY)
    user = access.identity(server, operation).user
    server.jobs[number] = AsyncJob(user, server.now(), task, operation.method == "HEAD")
    while len(server.jobs) > _MOST:
        del server.jobs[next(iter(server.jobs))]
    return Outcome(202, b"", ((_ID, number.encode()),), _EMPTY)


def job(server: ServerState, operation: Operation) -> Outcome:
    """Carry out all of `/_api/job`."""
    server.database(operation)
    below = operation.path[2:]
    mine = _mine(server, operation)
    if operation.method == "PUT" and len(below) == 1:
        return _result(server, _known(mine, below[0]))
    if operation.method == "PUT" and below[1:] == ("cancel",):
        server.jobs[_known(mine, below[0])].task.cancel()
        return json_outcome(200, {"result": True})
    if operation.method == "GET" and below in (("done",), ("pending",)):
        count = max(request_params.number(operation.params, "count", 100), 0)
        wanted = [number for number in mine if server.jobs[number].task.done() == (below[0] == "done")]
        return json_outcome(200, wanted[:count])
    if operation.method == "GET" and len(below) == 1 and not below[0][:1].isdigit():
        raise ArangoError(400, "bad parameter")
    if operation.method == "GET" and len(below) == 1:
        number = _known(mine, below[0])
        status = 200 if server.jobs[number].task.done() else 204
        return Outcome(status, b"", ((_ID, number.encode()),), _EMPTY)
    if operation.method == "DELETE" and len(below) == 1:
        for number in _doomed(server, operation, mine):
            del server.jobs[number]
        return json_outcome(200, {"result": True})
    raise ArangoError(10, "bad parameter")


def _result(server: ServerState, number: str) -> Outcome:
    """Return the result of the job, which is then forgotten; 204 while it runs."""
    found = server.jobs[number]
    if not found.task.done():
        return Outcome(204, b"", (), _EMPTY)  # without the id, which drivers take for the sign of a result
    stored = found.outcome
    del server.jobs[number]
    return msgspec.structs.replace(stored, headers=(*stored.headers, (_ID, number.encode())))


def _mine(server: ServerState, operation: Operation) -> list[str]:
    """Return the numbers of the jobs that the user may see, the oldest first."""
    who = access.identity(server, operation)
    return [number for number, job in server.jobs.items() if who.superuser or job.user == who.user]


def _doomed(server: ServerState, operation: Operation, mine: list[str]) -> list[str]:
    """Return the jobs that `all`, `expired` (those before the stamp) or a number names."""
    which = operation.path[2]
    if which == "all":
        return mine
    if which == "expired":
        stamp = _number(operation.params.get("stamp"), 0)
        return [number for number in mine if server.jobs[number].stamp < stamp]
    return [_known(mine, which)]


def _known(mine: list[str], number: str) -> str:
    if number not in mine:
        raise ArangoError(404, "not found")
    return number


def _number(text: str | None, default: float) -> float:
    try:
        return float(text) if text else default
    except ValueError as error:
        raise ArangoError(10, "bad parameter") from error


COMMANDS: Final = {
    "job": EndpointCommand(job),
}
