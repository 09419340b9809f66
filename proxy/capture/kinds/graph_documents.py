"""Writes of one document through a named graph: forwarded as they are, and read again; with their cascades."""

from __future__ import annotations

from proxy.capture import graph_plan, opaque, outcomes
from proxy.capture.context import WriteContext
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.refusals import SHOWING, conflicting, error
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_writes import PossibleWrite, read_again
from proxy.journal.records import VertexRemoval
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route
from proxy.routing.scope import captured_only


async def carry_out(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out the write. Raise UpstreamError."""
    context = parts.context
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


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out the write in a stream transaction, of which it is a part. Raise UpstreamError."""
    context, possible = parts.context, _possible(parts.context, operation)
    return await read_again(context, request, operation, route, buffer, possible, key_made=graph_plan.key_of)


def _possible(context: WriteContext, operation: Operation) -> list[PossibleWrite] | str:
    """Return what a write may touch, or why that is not known."""
    planned = graph_plan.plan(operation)
    if planned is None:
        return f"{operation.endpoint.name}: no collection"
    possible = []
    if captured_only(context.lease.snapshot, (planned.collection,)):
        possible.append(PossibleWrite(planned.collection, (planned.key,) if planned.key else ()))
    if planned.cascade:
        every = f"{operation.database}/*"
        possible.append(PossibleWrite(every, resync=VertexRemoval(planned.cascade, (every,))))
    return possible


KIND = WriteKind(carry_out, in_transaction)
