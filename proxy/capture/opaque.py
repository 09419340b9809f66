"""Writes that are not captured: forwarded as they are, what they may touch becomes unverified (I10).

Everything is decided behind ArangoDB's answer (`capture.refusals`). What was carried out, or may have been, marks the
collections that it may touch, and where one of them is flipped the answer is held until that flip is taken back:
PostgreSQL is read by nobody any more once the client hears that its write is done (I7). Until then the write runs, and
reads beside it may show either value. An answer that is lost takes flips back as well, before the client hears of it.
What was refused changes nothing; where its answer shows the state of a document of a flipped collection, PostgreSQL has
that state first, as behind every such answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

from proxy.base.errors import UpstreamUnavailable
from proxy.capture.answers import body_keys
from proxy.capture.context import WriteContext
from proxy.capture.refusals import NEVER_RAN, error, script_in_parts, wrote_nothing
from proxy.capture.transaction_plan import Buffer
from proxy.journal.records import OpaqueWrite
from proxy.model.endpoint import Effect
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.replication.coverage_gaps import Uncovered
from proxy.routing.route import Route

__all__ = ["NEVER_RAN", "forward"]

_SHOWN = frozenset({1200, 1202, 1210})  # errors that tell of a document that is there, or is not
_CONFLICTING = re.compile(r"conflicting key: (\S+)$")


async def forward(
    kit: WriteContext,
    request: Request,
    operation: Operation,
    way: Route,
    buffer: Buffer | None = None,
    *,
    apart: bool = False,
) -> Response:
    """Forwards, and marks `way.collections` once the origin has carried it out. Raises UpstreamError.

    buffer: of the transaction that it runs in, whose commit brings the marks about. apart: whether the origin runs it
    inside of that transaction is not known here; so it is marked at once as well.
    """
    reason = way.gap or operation.endpoint.name
    intent = kit.mirror.intend_change(OpaqueWrite(reason, way.collections))
    undoes = (way.collections, reason) if buffer is None or apart else ((), "")
    began = time.monotonic()
    try:
        response = await kit.forward(_readable(request), intent, whole=False, undoes=undoes)
    except UpstreamUnavailable:
        raise
    except BaseException:  # it may have run
        if buffer is not None:
            _with_commit(kit, way, buffer, reason)
        raise
    body = await _read(kit, response) if operation.effect is Effect.QUERY or response.status >= 400 else response.body
    parts = script_in_parts(operation, response.status, body, time.monotonic() - began)
    if not parts and wrote_nothing(operation, response.status, body):
        kit.mirror.close_intent(intent)
        if response.status < 400:  # a query that nobody here understands, and that wrote nothing: a read
            kit.gap(operation, Uncovered.READ, reason)
        else:
            await _shown(kit, operation, response, way)
        return response
    kit.gap(operation, Uncovered.WRITE, reason)
    if buffer is not None:
        open_still = _with_commit(kit, way, buffer, reason)
        if open_still and not apart:
            kit.mirror.close_intent(intent)  # the buffer has one of its own, open until the end
            return response
    try:
        await kit.roll_back(way.collections, reason)
    finally:
        kit.mirror.mark(intent)
    return response


def _with_commit(kit: WriteContext, way: Route, buffer: Buffer, reason: str) -> bool:
    """Whether the transaction has not ended yet: its commit marks, and takes flips back."""
    if buffer.ended:
        return False
    buffer.keep([kit.mirror.intend_change(OpaqueWrite(reason, way.collections))])
    buffer.undo(way.collections, reason)
    return True


async def _shown(kit: WriteContext, operation: Operation, response: Response, way: Route) -> None:
    """The state that a refusal shows is in PostgreSQL before the client sees it (mirror-protocol, "Flip", 2)."""
    collection = way.collections[0]
    if operation.effect is not Effect.WRITE or collection.endswith("/*") or not kit.flipped(collection):
        return
    number, message = error(response.body)
    if number not in _SHOWN and (number or response.status not in (404, 409, 412)):
        return
    named = _CONFLICTING.search(message)
    keys = {key for key in (operation.key, named and named[1]) if key}
    await kit.ensure_replica_has(collection, (), sorted(keys or body_keys(operation)))


def _readable(request: Request) -> Request:
    """The request without Accept-Encoding: what ArangoDB answers must be read."""
    headers = [pair for pair in request.headers if pair[0].lower() != b"accept-encoding"]
    return Request(request.method, request.target, headers, request.body, request.version, request.peer)


async def _read(kit: WriteContext, response: Response) -> object:
    """The body as bytes, up to the bound of what is looked into; what is longer stays a stream."""
    stream = response.body
    if isinstance(stream, bytes):
        return stream
    pieces: list[bytes] = []
    size = 0
    async for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size > kit.settings.max_captured_body:
            response.body = _again(pieces, stream)
            return None
    response.body = b"".join(pieces)
    return response.body


async def _again(pieces: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while pieces:
        yield pieces.pop(0)
    async for piece in rest:
        yield piece
