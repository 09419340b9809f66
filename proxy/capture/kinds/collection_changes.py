"""Create, drop and rename of collections, drop of a database: see `capture.collections`."""

from __future__ import annotations

from proxy.capture.collections import compared
from proxy.capture.kind import WriteKind, WriteParts
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def change(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Forward the change; if the origin carried it out, the collections are compared. Raise UpstreamError."""
    return await compared(parts.context, request, operation, route.collections, operation.endpoint.verb.value)


KIND = WriteKind(change)
