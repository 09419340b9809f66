"""Create, truncate, drop and rename of collections, drop of a database: see `capture.collections`."""

from __future__ import annotations

from proxy.capture import outcomes
from proxy.capture.attempt import Undo
from proxy.capture.collections import compared
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def change(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Forward the change; if the origin carried it out, the collections are compared. Raise UpstreamError."""
    return await compared(parts.context, request, operation, route.collections, operation.endpoint.verb.value)


async def truncate_in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out a truncation, the only change that a transaction takes: the collection is compared after the end.

    Raise UpstreamError.
    """
    undo = Undo(route.collections, "truncate in a transaction")
    async with parts.context.write(undo=undo, buffer=buffer, counted=False) as attempt:
        attempt.intend_change(CollectionChange("truncate", route.collections))
        response, body = await attempt.forward(request)
        await attempt.conclude(outcomes.without_versions(operation, response.status, body))
    return response


KIND = WriteKind(change, truncate_in_transaction)
