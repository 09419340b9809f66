"""`/_api/simple` updates and replacements by example: found by their revisions (`capture.simple_api`)."""

from __future__ import annotations

from proxy.capture import opaque, reread
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_writes import PossibleWrite, no_collection, read_again
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def change(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out an update or a replacement. Raise UpstreamError."""
    collection = route.collections[0]
    if collection.endswith("/*"):  # the body does not name the collection
        return await opaque.forward(parts.context, request, operation, route.with_reason(operation.endpoint.name))
    return await reread.by_revisions(parts.context, request, operation, collection)


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out one whose headers name a transaction. Raise UpstreamError."""
    possible = no_collection(operation, route) or [PossibleWrite(route.collections[0])]
    return await read_again(parts.context, request, operation, route, buffer, possible)


KIND = WriteKind(change, in_transaction)
