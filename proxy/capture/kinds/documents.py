"""Document writes: their versions come back in ArangoDB's answer, and go to PostgreSQL from there."""

from __future__ import annotations

import functools

import structlog

from proxy.base import failpoints
from proxy.base.errors import UpstreamError, error_label
from proxy.capture import opaque, outcomes
from proxy.capture.answers import DocumentPlan, Opaque, parse_answer_in_turns, plan
from proxy.capture.context import WriteContext
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.shown import ensure_shown
from proxy.capture.transaction_plan import Buffer
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route

log = structlog.get_logger(__name__)


async def write(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out a document write: captured, or opaque if it cannot be. Raise UpstreamError."""
    context = parts.context
    planned: DocumentPlan | Opaque
    if operation.key is not None or operation.body[:1] == b"{":  # one document: faster here than sent to a worker
        planned = plan(operation)
    else:
        unread = Opaque("a body that could not be read in time", route.collections)
        planned = await context.read(plan, operation, size=len(operation.body), odd=unread)
    if isinstance(planned, Opaque):
        return await opaque.forward(context, request, operation, route)
    return await capture(context, request, operation, planned, route)


async def capture(
    context: WriteContext,
    request: Request,
    operation: Operation,
    planned: DocumentPlan,
    route: Route,
    client: Operation | None = None,
) -> Response:
    """Carry out a planned write. client: the request that it is a part of. Raise UpstreamError."""
    collection = route.collections[0]
    chosen = None if context.rehearser is None else context.rehearser.choose(operation, collection, client)
    if chosen is not None:
        planned = planned.for_rehearsal(operation)
    async with context.write() as attempt:
        attempt.intend(collection, planned.keys, revised=not planned.removes, trace=request.header(b"traceparent"))
        try:
            response, body = await attempt.forward(planned.rewritten(request))
        except UpstreamError:
            if chosen is not None:
                chosen.lost()
            raise
        if chosen is not None:
            chosen.answered(response.status, response.headers, body)
        try:
            captured = await parse_answer_in_turns(planned, response.status, response.headers, body)
        except ValueError as error:  # an answer that is not ArangoDB's: the outcome is unknown
            log.warning("answer_not_understood", error=error_label(error), collection=collection)
            await attempt.conclude(outcomes.UNKNOWN)
            await attempt.applied()  # its client may take it for a success
            return Response(response.status, response.headers, body, response.reason)
        await attempt.conclude(outcomes.of_documents(captured))
        if context.rehearser is not None:
            context.rehearser.saw(captured.changes)
        if context.flipped(collection):  # looked up when answering, not before
            await attempt.applied()
            await ensure_shown(context, planned, request, response.status, captured)
    return Response(response.status, captured.headers, captured.body, response.reason)


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out a document write in a stream transaction: its versions are applied with the commit, and not before.

    Raise UpstreamError.
    """
    context = parts.context
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


KIND = WriteKind(write, in_transaction)
