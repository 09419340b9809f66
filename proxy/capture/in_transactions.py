"""Writes inside of a stream transaction whose answers tell no versions: through graphs, simple ones, imports.

What they may have written is noted as for the same request alone: its keys where the request or the answer names them,
a search by revisions, a comparison of the whole collection. It is read again when the transaction has ended; where it
was aborted nothing is. What takes a flip back outside of a transaction does so with the commit.

ArangoDB carries out writes through graphs as a part of the transaction. Of imports and simple writes that is not known
here: they may be done at once, whatever becomes of the transaction. So of them everything is noted twice, and read
again both behind their answer and behind the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.base import failpoints
from proxy.base.errors import UpstreamError, UpstreamUnavailable
from proxy.capture import graph_plan, import_plan, opaque, simple_api
from proxy.capture.answers import Opaque
from proxy.capture.context import WriteContext, collect
from proxy.capture.refusals import wrote_nothing
from proxy.capture.transaction_plan import Buffer
from proxy.journal.intent import Intent
from proxy.journal.records import CollectionChange, DocumentWrite, Resync, VertexRemoval
from proxy.model.endpoint import Capture, InTransaction
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route
from proxy.routing.scope import captured_only

_WHY = "a write in a transaction that does not tell its keys"


@dataclass(frozen=True, slots=True)
class _Part:
    """What may be written to a collection: these keys; keys that are not known; with `resync`, anything."""

    collection: str
    keys: tuple[str, ...] = ()
    resync: Resync | None = None

    async def noted(self, kit: WriteContext) -> list[Intent]:
        if self.resync is not None:
            return [kit.mirror.intend_change(self.resync)]
        if self.keys:
            return await kit.intend_keys(self.collection, self.keys)
        return [kit.mirror.intend(self.collection, revised=True)]


async def capture(kit: WriteContext, request: Request, operation: Operation, way: Route, buffer: Buffer) -> Response:
    """Carries it out. Raises UpstreamError."""
    apart = operation.endpoint.in_transaction is not InTransaction.PART
    parts = await _parts(kit, operation, way)
    if isinstance(parts, str):
        return await opaque.forward(kit, request, operation, way.because(parts), buffer, apart=apart)
    inside = [intent for part in parts for intent in await part.noted(kit)]
    outside = [intent for part in parts for intent in await part.noted(kit)] if apart else []
    untold = [part.collection for part in parts if not part.keys and not isinstance(part.resync, VertexRemoval)]
    failpoints.reach("after-intend")
    try:
        response = await kit.forward(request, *outside, undoes=(untold if apart else (), _WHY))
    except UpstreamUnavailable:
        _settled(kit, inside)
        raise
    except (UpstreamError, asyncio.CancelledError):
        buffer.keep(inside)
        buffer.undo(untold, _WHY)
        raise
    body = await collect(response.body)
    if wrote_nothing(operation, response.status, body):
        _settled(kit, [*inside, *outside])
        return Response(response.status, response.headers, body, response.reason)
    key = graph_plan.key_of(body) if operation.endpoint.capture is Capture.GRAPH_DOCUMENT else None
    if key is not None and isinstance(inside[0].write, DocumentWrite):
        kit.mirror.learn(inside[0], (key,))
        untold = []
    try:
        if untold and (apart or buffer.ended):
            await kit.roll_back(untold, _WHY)
    finally:
        for intent in outside:
            (kit.mirror.lost if response.status >= 500 else kit.mirror.reread)(intent)
        if buffer.ended:
            for intent in inside:
                kit.mirror.reread(intent)
        else:
            buffer.keep(inside)
            buffer.undo(untold, _WHY)
    await kit.applied(outside)
    return Response(response.status, response.headers, body, response.reason)


def _settled(kit: WriteContext, intents: Sequence[Intent]) -> None:
    for intent in intents:
        kit.mirror.close_intent(intent)


async def _parts(kit: WriteContext, operation: Operation, way: Route) -> list[_Part] | str:
    """What it may write, or why that is not known."""
    collection, capture = way.collections[0], operation.endpoint.capture
    if capture is Capture.GRAPH_DOCUMENT:
        return _through_graph(kit, operation)
    if collection.endswith("/*"):
        return f"{operation.endpoint.name}: no collection"
    if capture is Capture.IMPORT:
        return await _of_import(kit, operation, collection)
    if capture is Capture.REVISIONS:
        return [_Part(collection)]
    if capture is Capture.RESYNC:
        return [_Part(collection, resync=CollectionChange("removal by example", (collection,)))]
    keys = await kit.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
    return [_Part(collection, keys)] if keys else f"{operation.endpoint.name}: no keys"


def _through_graph(kit: WriteContext, operation: Operation) -> list[_Part] | str:
    planned = graph_plan.plan(operation)
    if planned is None:
        return f"{operation.endpoint.name}: no collection"
    parts = []
    if captured_only(kit.lease.snapshot, (planned.collection,)):
        parts.append(_Part(planned.collection, (planned.key,) if planned.key else ()))
    if planned.cascade:
        every = f"{operation.database}/*"
        parts.append(_Part(every, resync=VertexRemoval(planned.cascade, (every,))))
    return parts


async def _of_import(kit: WriteContext, operation: Operation, collection: str) -> list[_Part] | str:
    unread = Opaque("a body that could not be read in time", (collection,))
    planned = await kit.read(import_plan.plan, operation, size=len(operation.body), odd=unread)
    if isinstance(planned, Opaque):
        return f"import: {planned.reason}"
    if isinstance(planned, import_plan.Whole):
        return [_Part(collection, resync=CollectionChange("overwrite", (collection,)))]
    # as array writes it would be a part of the transaction: what ArangoDB makes of it is not for the proxy to change
    return [_Part(collection, planned.keys if isinstance(planned, import_plan.ByKeys) else ())]
