"""`/_api/import`: forwarded and read again, or carried out as array writes (`capture.import_plan` decides)."""

from __future__ import annotations

from proxy.base import failpoints
from proxy.capture import collections, documents, import_plan, opaque, reread
from proxy.capture.answers import DocumentPlan, Opaque
from proxy.capture.answers import plan as plan_write
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.routing.route import Route
from proxy.wire.decode import decode
from proxy.wire.encode import encode


async def capture(context: WriteContext, request: Request, operation: Operation, route: Route) -> Response:
    """Carry out an import of one collection. Raise UpstreamError."""
    unread = Opaque("a body that could not be read in time", route.collections)
    planned = await context.read(import_plan.plan, operation, size=len(operation.body), odd=unread)
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


async def _by_arrays(
    context: WriteContext, request: Request, _operation: Operation, route: Route, planned: import_plan.ByArrays
) -> Response:
    prefix = request.target.partition(b"/_api/import")[0]
    answers: list[bytes] = []
    for part in planned.bodies or (b"[]",):
        write = Request("POST", prefix + planned.target.encode(), _headers(request), part, peer=request.peer)
        known = await context.read(plan_write, decode(write), size=len(part), odd=None)
        assert isinstance(known, DocumentPlan)  # what would make it opaque was excluded by the plan of the import
        response = await documents.capture(context, write, known, route)
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
