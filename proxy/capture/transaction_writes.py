"""Writes in a stream transaction, except AQL: documents, truncations, and those whose answers show no versions.

What they wrote is kept in the transaction's buffer (`capture.attempt`): versions are applied with its commit, the rest
is read again when it has ended, and if it was aborted nothing is. A write that rolls a flip back outside of a
transaction rolls it back at the commit in one.

ArangoDB carries out writes through graphs as a part of the transaction. Of imports and simple writes that is not known
here: they may be done immediately, whatever becomes of the transaction. So they are `apart`: read again both after
their answer and after the end.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import structlog

from proxy.base import failpoints
from proxy.base.errors import error_label
from proxy.capture import graph_plan, import_plan, opaque, outcomes, simple_api
from proxy.capture.answers import Opaque, parse_answer_in_turns, plan
from proxy.capture.attempt import Attempt, Undo
from proxy.capture.context import WriteContext
from proxy.capture.shown import ensure_shown
from proxy.capture.transaction_plan import Buffer
from proxy.journal.records import CollectionChange, Resync, VertexRemoval
from proxy.model.endpoint import Capture, InTransaction
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route
from proxy.routing.scope import captured_only

log = structlog.get_logger(__name__)

_WHY: Final = "a write in a transaction whose answer does not name its keys"


async def documents(
    context: WriteContext, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out a document write. Raise UpstreamError."""
    unread = Opaque("a body that could not be read in time", route.collections)
    size = len(operation.body) if operation.body[:1] == b"[" else 0  # one document is planned faster than sent away
    planned = await context.read(functools.partial(plan, transaction=True), operation, size=size, odd=unread)
    if isinstance(planned, Opaque):
        return await opaque.forward(context, request, operation, route.with_reason(planned.reason), buffer)
    async with context.write(buffer=buffer, counted=False) as attempt:
        attempt.intend(route.collections[0], planned.keys, revised=not planned.removes)
        response, body = await attempt.forward(planned.rewritten(request))
        failpoints.reach("transaction-wrote")
        try:
            captured = await parse_answer_in_turns(planned, response.status, response.headers, body)
        except ValueError as error:
            log.warning("answer_not_understood", error=error_label(error), collection=route.collections[0])
            await attempt.conclude(outcomes.UNKNOWN)
            return response
        await attempt.conclude(outcomes.of_documents(captured))
    await ensure_shown(context, planned, request, response.status, captured)
    return Response(response.status, captured.headers, captured.body, response.reason)


async def truncate(
    context: WriteContext, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out a truncation: the collection is compared after the end. Raise UpstreamError."""
    undo = Undo(route.collections, "truncate in a transaction")
    async with context.write(undo=undo, buffer=buffer, counted=False) as attempt:
        attempt.intend_change(CollectionChange("truncate", route.collections))
        response, body = await attempt.forward(request)
        await attempt.conclude(outcomes.without_versions(operation, response.status, body))
    return response


async def without_versions(
    context: WriteContext, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out a write through a graph, a simple one, an import. Raise UpstreamError."""
    apart = operation.endpoint.in_transaction is not InTransaction.PART
    parts = await _parts(context, operation, route)
    if isinstance(parts, str):
        return await opaque.forward(context, request, operation, route.with_reason(parts), buffer, apart=apart)
    unkeyed = [part.collection for part in parts if not part.keys and not isinstance(part.resync, VertexRemoval)]
    undo = Undo(unkeyed, _WHY)
    async with context.write(undo=undo, buffer=buffer, apart=apart, counted=False) as attempt:
        for part in parts:
            await part.intend(attempt)
        response, body = await attempt.forward(request)
        made = graph_plan.key_of(body) if operation.endpoint.capture is Capture.GRAPH_DOCUMENT else None
        keys = () if made is None else (made,)
        # the answer names the key that ArangoDB made: then every intent has its keys
        outcome = outcomes.without_versions(operation, response.status, body, keys)
        await attempt.conclude(outcome, keep_flips=made is not None)
        await attempt.applied()
    return response


@dataclass(frozen=True, slots=True)
class _Part:
    """The possible writes to a collection: these keys; keys that are not known; with `resync`, anything."""

    collection: str
    keys: tuple[str, ...] = ()
    resync: Resync | None = None

    async def intend(self, attempt: Attempt) -> None:
        if self.resync is not None:
            attempt.intend_change(self.resync)
        elif self.keys:
            await attempt.intend_keys(self.collection, self.keys)
        else:
            attempt.intend(self.collection, revised=True)


async def _parts(context: WriteContext, operation: Operation, route: Route) -> list[_Part] | str:
    """Return what it may write, or why that is not known."""
    collection, capture = route.collections[0], operation.endpoint.capture
    if capture is Capture.GRAPH_DOCUMENT:
        return _through_graph(context, operation)
    if collection.endswith("/*"):
        return f"{operation.endpoint.name}: no collection"
    if capture is Capture.IMPORT:
        return await _of_import(context, operation, collection)
    if capture is Capture.REVISIONS:
        return [_Part(collection)]
    if capture is Capture.RESYNC:
        return [_Part(collection, resync=CollectionChange("removal by example", (collection,)))]
    keys = await context.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
    return [_Part(collection, keys)] if keys else f"{operation.endpoint.name}: no keys"


def _through_graph(context: WriteContext, operation: Operation) -> list[_Part] | str:
    planned = graph_plan.plan(operation)
    if planned is None:
        return f"{operation.endpoint.name}: no collection"
    parts = []
    if captured_only(context.lease.snapshot, (planned.collection,)):
        parts.append(_Part(planned.collection, (planned.key,) if planned.key else ()))
    if planned.cascade:
        every = f"{operation.database}/*"
        parts.append(_Part(every, resync=VertexRemoval(planned.cascade, (every,))))
    return parts


async def _of_import(context: WriteContext, operation: Operation, collection: str) -> list[_Part] | str:
    unread = Opaque("a body that could not be read in time", (collection,))
    planned = await context.read(import_plan.plan, operation, size=len(operation.body), odd=unread)
    if isinstance(planned, Opaque):
        return f"import: {planned.reason}"
    if isinstance(planned, import_plan.FullResync):
        return [_Part(collection, resync=CollectionChange("overwrite", (collection,)))]
    # as array writes it would be a part of the transaction: what ArangoDB makes of it is not for the proxy to change
    return [_Part(collection, planned.keys if isinstance(planned, import_plan.ByKeys) else ())]
