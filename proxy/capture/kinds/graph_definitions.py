"""Changes of a named graph itself: its definition is a document of `_graphs`; collections may come and go with it."""

from __future__ import annotations

from proxy.capture import graph_plan
from proxy.capture.collections import compared
from proxy.capture.kind import WriteKind, WriteParts
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route
from proxy.routing.scope import captured_only


async def define(parts: WriteParts, request: Request, operation: Operation, _: Route) -> Response:
    """Carry out the change: the definition is mirrored if its collection is. Raise UpstreamError."""
    snapshot = parts.context.lease.snapshot
    definition = graph_plan.definition(operation)
    if definition is not None and not captured_only(snapshot, definition[:1]):
        definition = None
    dropped, made = (captured_only(snapshot, of(operation)) for of in (graph_plan.drops, graph_plan.makes))
    kind = "graph" if dropped else "create"
    return await compared(parts.context, request, operation, (*dropped, *made), kind, beside=definition)


KIND = WriteKind(define)
