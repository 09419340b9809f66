"""`/_api/simple` writes: by the keys in the body, or by example, whose documents no answer names.

What an update or a replacement by example wrote is found by its revisions; after a removal by example the whole
collection is compared (`simple_api` says why).
"""

from __future__ import annotations

from proxy.capture import collections, opaque, reread, simple_api
from proxy.capture.context import WriteContext
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def by_keys(context: WriteContext, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a removal by keys. Raise UpstreamError."""
    keys = await context.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
    if keys is None or _anywhere(route):
        return await _unread(context, request, operation, route)
    return await reread.by_keys(context, request, operation, route.collections[0], keys)


async def by_revisions(context: WriteContext, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out an update or a replacement by example. Raise UpstreamError."""
    if _anywhere(route):
        return await _unread(context, request, operation, route)
    return await reread.by_revisions(context, request, operation, route.collections[0])


async def by_resync(context: WriteContext, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a removal by example. Raise UpstreamError."""
    if _anywhere(route):
        return await _unread(context, request, operation, route)
    return await collections.compared(context, request, operation, route.collections, "removal by example")


def _anywhere(route: Route) -> bool:
    """Return True if the body does not name the collection."""
    return route.collections[0].endswith("/*")


async def _unread(context: WriteContext, request: Request, operation: Operation, route: Route) -> Response:
    return await opaque.forward(context, request, operation, route.with_reason(operation.endpoint.name))
