"""Writes that are not captured: forwarded as they are, what they may touch becomes unverified (I10)."""

from __future__ import annotations

from proxy.operations import Effect, Operation
from proxy.routing import Route
from proxy.wire.message import Request, Response
from proxy.writing.kit import Kit, error_number

# errors of a query, simple or not, that was never run (parse, bind, authorisation, unknown collection)
NEVER_RAN = frozenset({11, 400, 401, 403, 404, 405, 501, 600, 1203, 1228, 1501, 1502, 1540, 1541, 1551, 1552, 1553})


async def forward(kit: Kit, request: Request, operation: Operation, way: Route) -> Response:
    """Rolls back what is flipped, forwards, and marks `way.collections` once the origin has answered."""
    reason = way.gap or operation.endpoint
    await kit.given_way(request, operation.database, way.collections, reason)
    kit.gap(operation, reason)
    intent = kit.mirror.intend(way.collections[0], way.collections, opaque=reason)
    response = await kit.forward(request, intent, whole=False)  # lost: marked once the request can no longer run
    read_first = operation.effect is Effect.QUERY or operation.endpoint.startswith("simple.")
    refused = read_first and response.status >= 400 and error_number(response.body) in NEVER_RAN
    if operation.effect is Effect.WRITE and response.status == 404:  # no such collection, or no such document
        refused = True
    if operation.endpoint == "import":  # refused as a whole: its format, its parameters, or with `complete`
        refused = 400 <= response.status < 500
    if operation.endpoint == "unknown" and response.status == 404 and isinstance(response.body, bytes):
        refused = b"unknown path '" in response.body  # ArangoDB's router: it came to nobody
    if refused or response.status in (401, 403, 405):
        kit.mirror.settled_nothing(intent)
    else:
        kit.mirror.opaque_done(intent, way.collections, reason)
    return response
