"""`/_api/wal`: range, last tick and tail of the write-ahead log (protocol page, section 9)."""

from __future__ import annotations

import datetime
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.server import VERSION, ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.request_params import flag
from proxy.wire.encode import json_outcome

_CHUNK: Final = 1 << 20
_CONTENT: Final = b"application/x-arango-dump"


def state(server: ServerState) -> dict[str, Any]:
    """Return the newest tick, the time and the server, as several answers show them."""
    moment = datetime.datetime.fromtimestamp(server.now(), datetime.UTC)
    return {
        "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tick": str(server.log.last or server.last_tick),
        "server": {"version": VERSION, "serverId": server.id},
    }


def last_tick(server: ServerState, _operation: Operation) -> Outcome:
    return json_outcome(200, state(server))


def range_(server: ServerState, _operation: Operation) -> Outcome:
    now = state(server)
    first = str(server.log.first)
    return json_outcome(200, {"time": now["time"], "tickMin": first, "tickMax": now["tick"], "server": now["server"]})


def tail(server: ServerState, operation: Operation) -> Outcome:
    """Return JSON lines above `from`; 204 if there are none. `…-frompresent: false` means that some are lost."""
    params = operation.params
    start, end = _number(params.get("from"), 0), _number(params.get("to"), None)
    chunk = _number(params.get("chunkSize"), _CHUNK) or _CHUNK
    everywhere = flag(params, "global")
    wanted = params.get("collection")
    if not everywhere:
        server.database(operation)
    lines: list[bytes] = []
    size = 0
    scanned = included = 0
    more = False
    for marker in server.log.after(start or 0, end):
        if size >= chunk:
            more = True
            break
        scanned = marker.tick
        if not everywhere and marker.database != operation.database:
            continue
        if wanted and not _is_of(server, operation.database, marker.collection, wanted):
            continue
        line = marker.encode()
        lines.append(line)
        size += len(line) + 1
        included = marker.tick
    headers = (
        (b"x-arango-replication-checkmore", b"true" if more else b"false"),
        (b"x-arango-replication-lastincluded", str(included).encode()),
        (b"x-arango-replication-lastscanned", str(scanned or server.log.last).encode()),
        (b"x-arango-replication-lasttick", str(server.log.last).encode()),
        (b"x-arango-replication-frompresent", b"true" if (start or 0) >= server.log.lost else b"false"),
    )
    if not lines:
        return Outcome(204, b"", headers, _CONTENT)
    return Outcome(200, b"\n".join(lines) + b"\n", headers, _CONTENT)


def _is_of(server: ServerState, database: str, cuid: str, name: str) -> bool:
    found = server.databases[database].collections.get(name) if database in server.databases else None
    return found is not None and cuid == f"{server.guid}/{found.id}"


def _number(text: str | None, default: int | None) -> int | None:
    if not text:
        return default
    if not text.isdigit():
        raise ArangoError(10, "invalid tick value")
    return int(text)


COMMANDS: Final = {
    "wal.last_tick": EndpointCommand(last_tick, access.administrator),
    "wal.range": EndpointCommand(range_, access.administrator),
    "wal.tail": EndpointCommand(tail, access.administrator),
}
