"""Truncations: the collection is compared as a whole, after the answer or after the end of the transaction.

Of what changes whole collections, only a truncation can be a part of a stream transaction.
"""

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


async def truncate(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a truncation. Raise UpstreamError."""
    return await compared(parts.context, request, operation, route.collections, "truncate")


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out a truncation that is a part of a stream transaction. Raise UpstreamError."""
    undo = Undo(route.collections, "truncate in a transaction")
    async with parts.context.write(undo=undo, buffer=buffer, counted=False) as attempt:
        attempt.intend_change(CollectionChange("truncate", route.collections))
        response, body = await attempt.forward(request)
        await attempt.conclude(outcomes.without_versions(operation, response.status, body))
    return response


KIND = WriteKind(truncate, in_transaction)
