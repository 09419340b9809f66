"""Writes through a named graph: forwarded as they are, and what they wrote read again; with their cascades."""

from __future__ import annotations

from proxy.base import failpoints
from proxy.capture import graph_plan, opaque
from proxy.capture.collections import swept
from proxy.capture.context import WriteContext, collect
from proxy.capture.refusals import error, wrote_nothing
from proxy.journal.intent import Intent
from proxy.journal.records import VertexRemoval
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route
from proxy.routing.scope import captured_only

_SHOWN = frozenset({1200, 1202, 1210})  # errors that tell of a document that is there, or is not


async def capture(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Carry out the write of one document through a graph. Raises UpstreamError."""
    planned = graph_plan.plan(operation)
    if planned is None:
        return await opaque.forward(kit, request, operation, way.because(f"{operation.endpoint.name}: no collection"))
    mirror, flight = kit.mirror, kit.flight
    intents: list[Intent] = []
    if captured_only(kit.lease.snapshot, (planned.collection,)):
        keys = (planned.key,) if planned.key else ()
        intents.append(mirror.intend(planned.collection, keys, revised=not planned.cascade))
    if planned.cascade:
        every = f"{operation.database}/*"
        intents.append(mirror.intend_change(VertexRemoval(planned.cascade, (every,))))
    failpoints.reach("after-intend")
    with flight.during(
        flight.captured,
        way.collections,
        kit.lease.generation,
        left=lambda: [intent.collection for intent in intents if mirror.is_open(intent)],
    ):
        response = await kit.forward(request, *intents)
        failpoints.reach("after-forward")
        body = await collect(response.body)
        for intent in intents:
            if wrote_nothing(operation, response.status, body):
                mirror.close_intent(intent)
            elif response.status >= 500:
                mirror.lost(intent)
            else:
                key = graph_plan.key_of(body)
                if key is not None:
                    mirror.learn(intent, (key,))
                mirror.reread(intent)
        await kit.applied(intents)
        shown = planned.key is not None and error(body)[0] in _SHOWN and kit.flipped(planned.collection)
        if shown and planned.key is not None:
            await kit.ensure_replica_has(planned.collection, (), (planned.key,))
    return Response(response.status, response.headers, body, response.reason)


async def define(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Carry out a change of the graph itself: its definition is a document, mirrored where its collection is."""
    definition = graph_plan.definition(operation)
    defined: list[Intent] = []
    if definition is not None and captured_only(kit.lease.snapshot, definition[:1]):
        defined.append(kit.mirror.intend(definition[0], definition[1:]))
    dropped, made = (captured_only(kit.lease.snapshot, of(operation)) for of in (graph_plan.drops, graph_plan.makes))
    kind = "graph" if dropped else "create"
    response = await swept(kit, request, operation, (*dropped, *made), kind, defined)
    await kit.applied(defined)
    return response
