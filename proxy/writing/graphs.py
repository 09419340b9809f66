"""Writes through a named graph: forwarded as they are, and what they wrote read again; with their cascades."""

from __future__ import annotations

from proxy.mirror import faults, graphs
from proxy.mirror.intent import Intent
from proxy.operations import Operation
from proxy.routing import Route, mirrored
from proxy.wire.message import Request, Response
from proxy.writing import opaque
from proxy.writing.collections import swept
from proxy.writing.kit import Kit, collect


async def capture(kit: Kit, request: Request, operation: Operation, way: Route) -> Response:
    """Carries out one write of `gharial`. Raises UpstreamError."""
    if operation.endpoint not in graphs.DOCUMENTS:
        return await _define(kit, request, operation, way)
    planned = graphs.plan(operation)
    if planned is None:
        return await opaque.forward(kit, request, operation, way.because(f"{operation.endpoint}: no collection"))
    mirror, flight = kit.mirror, kit.flight
    intents: list[Intent] = []
    if mirrored(kit.lease.snapshot, (planned.collection,)):
        keys = (planned.key,) if planned.key else ()
        intents.append(mirror.intend(planned.collection, keys, revised=not planned.cascade))
    if planned.cascade:
        every = f"{operation.database}/*"
        intents.append(mirror.intend(every, (every,), sweep=f"cascade:{planned.cascade}"))
    faults.reach("after-intend")
    with flight.during(
        flight.captured,
        way.collections,
        kit.lease.generation,
        left=lambda: [intent.collection for intent in intents if mirror.is_open(intent)],
    ):
        response = await kit.forward(request, *intents)
        faults.reach("after-forward")
        body = await collect(response.body)
        for intent in intents:
            if response.status >= 500:
                mirror.lost(intent)
            elif response.status >= 400:
                mirror.settled_nothing(intent)
            else:
                key = graphs.key_of(body)
                if key is not None:
                    mirror.learn(intent, (key,))
                mirror.reread(intent)
        await kit.applied(intents)
    return Response(response.status, response.headers, body, response.reason)


async def _define(kit: Kit, request: Request, operation: Operation, way: Route) -> Response:
    """A change of the graph itself: its definition is a document, which is mirrored where its collection is."""
    definition = graphs.definition(operation)
    defined: list[Intent] = []
    if definition is not None and mirrored(kit.lease.snapshot, definition[:1]):
        defined.append(kit.mirror.intend(definition[0], definition[1:]))
    if graphs.drops(operation):
        await kit.given_way(request, operation.database, way.collections, operation.endpoint)
        response = await swept(kit, request, way.collections, "graph", defined)
    else:
        response = await swept(kit, request, mirrored(kit.lease.snapshot, graphs.makes(operation)), "create", defined)
    await kit.applied(defined)
    return response
