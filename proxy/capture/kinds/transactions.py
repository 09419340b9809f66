"""Begin, commit and abort of stream transactions (`capture.transactions`)."""

from __future__ import annotations

from proxy.capture.kind import WriteKind, WriteParts
from proxy.model.endpoint import Verb
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def begin_or_end(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a begin, a commit or an abort. Raise UpstreamError, ArangoError 1655."""
    if operation.endpoint.verb is Verb.BEGIN:
        return await parts.transactions.begin(request, operation)
    return await parts.transactions.end(request, operation, route)


KIND = WriteKind(begin_or_end)
