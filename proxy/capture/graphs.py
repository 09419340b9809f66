"""Writes through a named graph: forwarded as they are, and what they wrote read again; with their cascades."""

from __future__ import annotations

from proxy.capture import graph_plan, opaque, outcomes
from proxy.capture.collections import compared
from proxy.capture.context import WriteContext
from proxy.capture.refusals import SHOWING, conflicting, error
from proxy.journal.records import VertexRemoval
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route
from proxy.routing.scope import captured_only


async def capture(context: WriteContext, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out the write of one document through a graph. Raise UpstreamError."""
    planned = graph_plan.plan(operation)
    if planned is None:
        return await opaque.forward(
            context, request, operation, route.with_reason(f"{operation.endpoint.name}: no collection")
        )
    async with context.write() as attempt:
        if captured_only(context.lease.snapshot, (planned.collection,)):
            keys = (planned.key,) if planned.key else ()
            attempt.intend(planned.collection, keys, revised=not planned.cascade)
        if planned.cascade:
            attempt.intend_change(VertexRemoval(planned.cascade, (f"{operation.database}/*",)))
        response, body = await attempt.forward(request)
        made = graph_plan.key_of(body)
        outcome = outcomes.without_versions(operation, response.status, body, () if made is None else (made,))
        await attempt.conclude(outcome)
        await attempt.applied()
        if error(body)[0] in SHOWING and context.flipped(planned.collection):
            shown = {key for key in (planned.key, *conflicting(body)) if key}
            await context.ensure_replica_has(planned.collection, (), sorted(shown))
    return response


async def define(context: WriteContext, request: Request, operation: Operation, _: Route) -> Response:
    """Carry out a change of the graph itself: its definition is a document, mirrored if its collection is.

    Raise UpstreamError.
    """
    snapshot = context.lease.snapshot
    definition = graph_plan.definition(operation)
    if definition is not None and not captured_only(snapshot, definition[:1]):
        definition = None
    dropped, made = (captured_only(snapshot, of(operation)) for of in (graph_plan.drops, graph_plan.makes))
    kind = "graph" if dropped else "create"
    return await compared(context, request, operation, (*dropped, *made), kind, beside=definition)
