"""`x-arango-async` and `/_api/job`: requests that are answered at once and whose results are fetched later.

This server runs them before it answers 202, so that a job is never pending (protocol page, section 8).
"""

from __future__ import annotations

from typing import Final

from proxy.errors import ArangoError
from proxy.operations import Operation, Outcome
from proxy.stores.memory.server import Handler, Server
from proxy.wire.encode import json_outcome

_MOST: Final = 1000
_EMPTY: Final = b"text/plain"


def accepted(server: Server, outcome: Outcome, *, store: bool) -> Outcome:
    """The answer to an asynchronous request; its result is kept where it asked for that."""
    if not store:
        return Outcome(202, b"", (), _EMPTY)
    number = str(server.tick())
    server.jobs[number] = outcome
    while len(server.jobs) > _MOST:
        del server.jobs[next(iter(server.jobs))]
    return Outcome(202, b"", ((b"x-arango-async-id", number.encode()),), _EMPTY)


def job(server: Server, operation: Operation) -> Outcome:
    """All of `/_api/job`."""
    server.database(operation)
    below = operation.path[2:]
    if operation.method == "PUT" and len(below) == 1:
        stored = server.jobs.pop(_known(server, below[0]))
        headers = (*stored.headers, (b"x-arango-async-id", below[0].encode()))
        return Outcome(stored.status, stored.body, headers, stored.content_type)
    if operation.method == "PUT" and below[1:] == ("cancel",):
        _known(server, below[0])
        return json_outcome(200, {"result": True})
    if operation.method == "GET" and below[:1] in (("done",), ("pending",)):
        count = int(operation.params.get("count", "100") or 100)
        numbers = list(server.jobs)[:count] if below[0] == "done" else []
        return json_outcome(200, numbers)
    if operation.method == "GET" and len(below) == 1:
        _known(server, below[0])
        return Outcome(200, b"", ((b"x-arango-async-id", below[0].encode()),), _EMPTY)
    if operation.method == "DELETE" and len(below) == 1:
        if below[0] in ("all", "expired"):
            if below[0] == "all" or float(operation.params.get("stamp", "0") or 0) >= server.now():
                server.jobs.clear()
        else:
            del server.jobs[_known(server, below[0])]
        return json_outcome(200, {"result": True})
    raise ArangoError(10, "bad parameter")


def _known(server: Server, number: str) -> str:
    if number not in server.jobs:
        raise ArangoError(404, "not found")
    return number


HANDLERS: Final[dict[str, Handler]] = {"job": job}
