"""Writes through a named graph: forwarded as they are, and what they wrote read again; with their cascades."""

from __future__ import annotations

from proxy.mirror import faults, graphs
from proxy.mirror.intent import Intent
from proxy.mirror.refusals import error, wrote_nothing
from proxy.operations import Operation
from proxy.routing import Route, mirrored
from proxy.wire.message import Request, Response
from proxy.writing import opaque
from proxy.writing.collections import swept
from proxy.writing.kit import Kit, collect

_SHOWN = frozenset({1200, 1202, 1210})  # errors that tell of a document that is there, or is not


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
            if wrote_nothing(operation, response.status, body):
                mirror.settled_nothing(intent)
            elif response.status >= 500:
                mirror.lost(intent)
            else:
                key = graphs.key_of(body)
                if key is not None:
                    mirror.learn(intent, (key,))
                mirror.reread(intent)
        await kit.applied(intents)
        shown = planned.key is not None and error(body)[0] in _SHOWN and kit.flipped(planned.collection)
        if shown and planned.key is not None:
            await kit.brought_up(planned.collection, (), (planned.key,))
    return Response(response.status, response.headers, body, response.reason)


async def _define(kit: Kit, request: Request, operation: Operation, way: Route) -> Response:
    """A change of the graph itself: its definition is a document, which is mirrored where its collection is."""
    definition = graphs.definition(operation)
    defined: list[Intent] = []
    if definition is not None and mirrored(kit.lease.snapshot, definition[:1]):
        defined.append(kit.mirror.intend(definition[0], definition[1:]))
    dropped, made = (mirrored(kit.lease.snapshot, of(operation)) for of in (graphs.drops, graphs.makes))
    kind = "graph" if dropped else "create"
    response = await swept(kit, request, operation, (*dropped, *made), kind, defined)
    await kit.applied(defined)
    return response
