"""`/_api/import`: forwarded and read again, or carried out as array writes (`capture.import_plan` decides)."""

from __future__ import annotations

from proxy.base import failpoints
from proxy.capture import collections, import_plan, opaque, reread
from proxy.capture.answers import DocumentPlan, Opaque
from proxy.capture.answers import plan as plan_write
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.kinds import documents
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_writes import PossibleWrite, no_collection, read_again
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.routing.route import Route
from proxy.wire.decode import decode
from proxy.wire.encode import encode


async def carry_out(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out an import of one collection. Raise UpstreamError."""
    context = parts.context
    rehearsed = context.rehearser is not None and context.rehearser.wants(operation, route.collections[0])
    planned = await _planned(context, operation, route, rehearsed=rehearsed)
    if context.rehearser is not None and not isinstance(planned, import_plan.ByArrays):
        context.rehearser.skip(operation, route.collections[:1], "its answer shows no versions")
    if isinstance(planned, Opaque):
        return await opaque.forward(context, request, operation, route.with_reason(f"import: {planned.reason}"))
    if isinstance(planned, import_plan.FullResync):
        return await collections.compared(
            context, request, operation, route.collections, "overwrite", reason="import with overwrite"
        )
    if isinstance(planned, import_plan.ByKeys):
        return await reread.by_keys(context, request, operation, route.collections[0], planned.keys)
    if isinstance(planned, import_plan.ByRevisions):
        return await reread.by_revisions(context, request, operation, route.collections[0], planned.keys)
    return await _by_arrays(context, request, operation, route, planned)


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    """Carry out one whose headers name a transaction. Raise UpstreamError."""
    possible: list[PossibleWrite] | str = no_collection(operation, route)
    if not possible:
        possible = _possible(await _planned(parts.context, operation, route), route.collections[0])
    return await read_again(parts.context, request, operation, route, buffer, possible)


async def _planned(
    context: WriteContext, operation: Operation, route: Route, *, rehearsed: bool = False
) -> import_plan.ImportPlan | Opaque:
    unread = Opaque("a body that could not be read in time", route.collections)
    return await context.read(import_plan.plan, operation, rehearsed, size=len(operation.body), odd=unread)


def _possible(planned: import_plan.ImportPlan | Opaque, collection: str) -> list[PossibleWrite] | str:
    """Return what an import in a transaction may write, or why that is not known."""
    if isinstance(planned, Opaque):
        return f"import: {planned.reason}"
    if isinstance(planned, import_plan.FullResync):
        return [PossibleWrite(collection, resync=CollectionChange("overwrite", (collection,)))]
    # as array writes it would be a part of the transaction: what ArangoDB makes of it is not for the proxy to change
    return [PossibleWrite(collection, planned.keys if isinstance(planned, import_plan.ByKeys) else ())]


async def _by_arrays(
    context: WriteContext, request: Request, operation: Operation, route: Route, planned: import_plan.ByArrays
) -> Response:
    prefix = request.target.partition(b"/_api/import")[0]
    answers: list[bytes] = []
    for part in planned.bodies or (b"[]",):
        write = Request("POST", prefix + planned.target.encode(), _headers(request), part, peer=request.peer)
        part_of_it = decode(write)
        known = await context.read(plan_write, part_of_it, size=len(part), odd=None)
        assert isinstance(known, DocumentPlan)  # what would make it opaque was excluded by the plan of the import
        response = await documents.capture(context, write, part_of_it, known, route, operation)
        body = await collect(response.body)
        if response.status >= 400:
            return Response(response.status, response.headers, body, response.reason)
        answers.append(body)
        failpoints.reach("mid-import")
    return encode(Outcome(201, import_plan.summary(planned, answers)))


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
    """Return the headers of the request but those about its body."""
    own = (b"content-type", b"content-length", b"transfer-encoding", b"expect")
    kept = [pair for pair in request.headers if pair[0].lower() not in own]
    return [*kept, (b"content-type", b"application/json")]


KIND = WriteKind(carry_out, in_transaction)
