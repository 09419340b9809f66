"""`/_api/simple` removals by example: the whole collection is compared (`capture.simple_api`)."""

from __future__ import annotations

from proxy.capture import opaque
from proxy.capture.collections import compared
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_writes import PossibleWrite, no_collection, read_again
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route

_CHANGE = "removal by example"


async def remove(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a removal. Raise UpstreamError."""
    if route.collections[0].endswith("/*"):  # the body does not name the collection
        return await opaque.forward(parts.context, request, operation, route.with_reason(operation.endpoint.name))
    return await compared(parts.context, request, operation, route.collections, _CHANGE)


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out one whose headers name a transaction. Raise UpstreamError."""
    collection = route.collections[0]
    possible = no_collection(operation, route) or [
        PossibleWrite(collection, resync=CollectionChange(_CHANGE, (collection,)))
    ]
    return await read_again(parts.context, request, operation, route, buffer, possible)


KIND = WriteKind(remove, in_transaction)
