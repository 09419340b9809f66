"""Document writes: journal, origin with returnNew, client; where flipped, PostgreSQL has it before the answer (I7)."""

from __future__ import annotations

import structlog

from proxy.base import failpoints
from proxy.base.errors import error_label
from proxy.capture import opaque
from proxy.capture.answers import DocumentPlan, Opaque, plan, settle_gently
from proxy.capture.context import WriteContext, collect
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route

log = structlog.get_logger(__name__)


async def write(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Carry out a document write: captured, or forwarded as it is if its plan says why it cannot be."""
    unread = Opaque("a body that could not be read in time", way.collections)
    # one document is read faster here than it is sent to a worker
    size = len(operation.body) if operation.key is None and operation.body[:1] != b"{" else 0
    planned = await kit.read(plan, operation, size=size, odd=unread)
    if isinstance(planned, Opaque):
        return await opaque.forward(kit, request, operation, way)
    return await capture(kit, request, planned, way)


async def capture(kit: WriteContext, request: Request, planned: DocumentPlan, way: Route) -> Response:
    """Forwards a planned write and hands what it wrote to the mirror."""
    collection = way.collections[0]
    mirror, flight = kit.mirror, kit.flight
    trace = request.header(b"traceparent")
    intent = mirror.intend(collection, planned.keys, revised=not planned.removes, trace=trace)
    failpoints.reach("after-intend")
    with flight.during(flight.captured, way.collections, kit.lease.generation, lambda: not mirror.is_open(intent)):
        response = await kit.forward(planned.rewritten(request), intent)
        failpoints.reach("after-forward")
        body = await collect(response.body)
        try:
            captured = await settle_gently(planned, response.status, response.headers, body)
        except ValueError as error:  # an answer that is not ArangoDB's: the outcome is unknown
            log.warning("an answer of the origin was not understood", error=error_label(error), collection=collection)
            mirror.lost(intent)
            await kit.applied((intent,))  # its client may take it for a success
            return Response(response.status, response.headers, body, response.reason)
        await mirror.answered_gently(intent, captured)
        if kit.flipped(collection):  # looked up when answering, not before
            await kit.applied((intent,))
            if not captured.changes and response.status in (404, 409, 412):
                await kit.ensure_replica_has(collection, (), planned.keys)
    return Response(response.status, captured.headers, captured.body, response.reason)
