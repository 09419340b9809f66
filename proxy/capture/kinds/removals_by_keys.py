"""`/_api/simple` removals by keys: the body names them, and they are read again."""

from __future__ import annotations

from proxy.capture import opaque, reread, simple_api
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_writes import PossibleWrite, no_collection, read_again
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def remove(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a removal. Raise UpstreamError."""
    context, collection = parts.context, route.collections[0]
    keys = await context.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
    if keys is None or collection.endswith("/*"):  # the body does not name them, or not the collection
        return await opaque.forward(context, request, operation, route.with_reason(operation.endpoint.name))
    return await reread.by_keys(context, request, operation, collection, keys)


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out one whose headers name a transaction. Raise UpstreamError."""
    context = parts.context
    possible: list[PossibleWrite] | str = no_collection(operation, route)
    if not possible:
        keys = await context.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
        possible = [PossibleWrite(route.collections[0], keys)] if keys else f"{operation.endpoint.name}: no keys"
    return await read_again(context, request, operation, route, buffer, possible)


KIND = WriteKind(remove, in_transaction)
