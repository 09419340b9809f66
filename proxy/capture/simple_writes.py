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


async def by_keys(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Carry out a removal by keys. Raises UpstreamError."""
    keys = await kit.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
    if keys is None or _anywhere(way):
        return await _unread(kit, request, operation, way)
    return await reread.by_keys(kit, request, operation, way.collections[0], keys)


async def by_revisions(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Carry out an update or a replacement by example. Raises UpstreamError."""
    if _anywhere(way):
        return await _unread(kit, request, operation, way)
    return await reread.by_revisions(kit, request, operation, way.collections[0])


async def by_resync(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Carry out a removal by example. Raises UpstreamError."""
    if _anywhere(way):
        return await _unread(kit, request, operation, way)
    return await collections.swept(kit, request, operation, way.collections, "removal by example")


def _anywhere(way: Route) -> bool:
    """Return True if the body does not name the collection."""
    return way.collections[0].endswith("/*")


async def _unread(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    return await opaque.forward(kit, request, operation, way.because(operation.endpoint.name))
