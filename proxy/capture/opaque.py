"""Writes that are not captured: forwarded as they are; what they may touch gets a mark for a verification (I10).

Everything is decided after ArangoDB's answer (`capture.refusals`). A write that was carried out, or may have been,
marks the collections that it may touch, and if one of them is flipped the answer is held until that flip is rolled
back: no instance reads PostgreSQL any more once the client hears that its write is done (I7). Until then the write
runs, and reads beside it may show either value. A lost answer rolls flips back as well, before the client hears of it.
A refusal changes nothing; if its answer shows the state of a document of a flipped collection, PostgreSQL has that
state first, as before every such answer.
"""

from __future__ import annotations

import time

from proxy.capture.answers import body_keys
from proxy.capture.attempt import Undo
from proxy.capture.bodies import collect_up_to, readable
from proxy.capture.context import WriteContext
from proxy.capture.outcomes import NOTHING_WRITTEN, UNCAPTURED
from proxy.capture.refusals import SHOWING, conflicting, error, script_in_parts, wrote_nothing
from proxy.capture.transaction_plan import Buffer
from proxy.journal.records import OpaqueWrite
from proxy.model.endpoint import Effect
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.replication.coverage_gaps import Uncovered
from proxy.routing.route import Route


async def forward(
    context: WriteContext,
    request: Request,
    operation: Operation,
    route: Route,
    buffer: Buffer | None = None,
    *,
    apart: bool = False,
) -> Response:
    """Forward, and mark `route.collections` once the origin has carried it out. Raise UpstreamError.

    buffer, apart: of the transaction that it runs in, see `capture.attempt`: its commit brings the marks about, and if
    the origin may run it outside of the transaction they are made at its answer as well.
    """
    reason = route.gap or operation.endpoint.name
    undo = Undo(route.collections, reason)
    began = time.monotonic()
    async with context.write(undo=undo, buffer=buffer, apart=apart, counted=False) as attempt:
        attempt.intend_change(OpaqueWrite(reason, route.collections))
        response = await attempt.forward_streamed(readable(request))
        body: object = response.body
        if operation.effect is Effect.QUERY or response.status >= 400:
            body = await collect_up_to(response, context.settings.max_captured_body)
        parts = script_in_parts(operation, response.status, body, time.monotonic() - began)
        nothing = not parts and wrote_nothing(operation, response.status, body)
        await attempt.conclude(NOTHING_WRITTEN if nothing else UNCAPTURED)
    if not nothing:
        context.gap(operation, Uncovered.WRITE, reason)
    elif response.status < 400:  # a query that is not understood here, and that wrote nothing: a read
        context.gap(operation, Uncovered.READ, reason)
    else:
        await _shown(context, operation, response, route)
    return response


async def _shown(context: WriteContext, operation: Operation, response: Response, route: Route) -> None:
    """Bring the state that a refusal shows to PostgreSQL before the client sees it (mirror-protocol, "Flip", 2)."""
    collection = route.collections[0]
    if operation.effect is not Effect.WRITE or collection.endswith("/*") or not context.flipped(collection):
        return
    number = error(response.body)[0]
    if number not in SHOWING and (number or response.status not in (404, 409, 412)):
        return
    keys = {key for key in (operation.key, *conflicting(response.body)) if key}
    await context.ensure_replica_has(collection, (), sorted(keys or body_keys(operation)))
