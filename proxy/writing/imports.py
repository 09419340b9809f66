"""`/_api/import`: forwarded and read again, or carried out as array writes (`mirror.imports` decides)."""

from __future__ import annotations

from proxy.mirror import faults, imports
from proxy.mirror.capture import Opaque, Plan
from proxy.mirror.capture import plan as plan_write
from proxy.operations import Operation, Outcome
from proxy.routing import Route
from proxy.wire.decode import decode
from proxy.wire.encode import encode
from proxy.wire.message import Request, Response
from proxy.writing import collections, documents, opaque, untold
from proxy.writing.kit import Kit, collect


async def capture(kit: Kit, request: Request, operation: Operation, way: Route) -> Response:
    """Carries out an import of one collection."""
    unread = Opaque("a body that could not be read in time", way.collections)
    planned = await kit.read(imports.plan, operation, size=len(operation.body), odd=unread)
    if isinstance(planned, Opaque):
        return await opaque.forward(kit, request, operation, way.because(f"import: {planned.reason}"))
    if isinstance(planned, imports.Whole):
        return await collections.swept(
            kit, request, operation, way.collections, "overwrite", reason="import with overwrite"
        )
    if isinstance(planned, imports.ByKeys):
        return await untold.by_keys(kit, request, operation, way.collections[0], planned.keys)
    if isinstance(planned, imports.ByRevisions):
        return await untold.by_revisions(kit, request, operation, way.collections[0], planned.keys)
    return await _by_arrays(kit, request, operation, way, planned)


async def _by_arrays(
    kit: Kit, request: Request, operation: Operation, way: Route, planned: imports.ByArrays
) -> Response:
    prefix = request.target.partition(b"/_api/import")[0]
    answers: list[bytes] = []
    for part in planned.bodies or (b"[]",):
        write = Request("POST", prefix + planned.target.encode(), _headers(request), part, peer=request.peer)
        known = await kit.read(plan_write, decode(write), size=len(part), odd=None)
        assert isinstance(known, Plan)  # what makes a write opaque was looked at before
        response = await documents.capture(kit, write, known, way)
        body = await collect(response.body)
        if response.status >= 400:
            return Response(response.status, response.headers, body, response.reason)
        answers.append(body)
        faults.reach("mid-import")
    return encode(Outcome(201, imports.summary(planned, answers)))


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
    """Those of the request but what speaks of its body."""
    own = (b"content-type", b"content-length", b"transfer-encoding", b"expect")
    kept = [pair for pair in request.headers if pair[0].lower() not in own]
    return [*kept, (b"content-type", b"application/json")]
