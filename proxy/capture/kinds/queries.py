"""AQL modifications (`capture.aql`), inside of a stream transaction and outside."""

from __future__ import annotations

from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def modify(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer | None = None
) -> Response:
    """Run a modification. Raise UpstreamError."""
    return await parts.modifications.capture(request, operation, route, buffer)


KIND = WriteKind(modify, modify)
