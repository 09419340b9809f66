"""Writes whose answers do not say what they wrote: forwarded as they are, and what they wrote is read again.

If the request names the keys, by those; else by the revisions of the collection that are not older than the request
(`replication.revision_scan`), which finds all but removals. A search may find too much to be read again, and then marks
instead: no answer about a flipped collection can wait for it, so a request that was carried out rolls the flip back
(I7). An error that does not exclude a part that was committed is searched for as well; if nothing is found, nothing
changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.capture.attempt import Attempt, Undo
from proxy.capture.context import WriteContext
from proxy.capture.outcomes import NOTHING_WRITTEN, READ_AGAIN, UNKNOWN, WriteOutcome
from proxy.capture.refusals import conflicting, wrote_nothing
from proxy.model.message import Request, Response
from proxy.model.operations import Operation

_SHOWS: Final = frozenset({409, 412})  # a refusal that shows documents that are there: those are read again
_WHY: Final = "a write whose answer does not name its keys"


async def by_keys(
    context: WriteContext, request: Request, operation: Operation, collection: str, keys: tuple[str, ...]
) -> Response:
    """Forward a request that writes only documents with these keys. Raise UpstreamError."""
    async with context.write() as attempt:
        await attempt.intend_keys(collection, keys)
        return await _carried_out(attempt, request, operation)


async def by_revisions(
    context: WriteContext, request: Request, operation: Operation, collection: str, keys: Sequence[str] = ()
) -> Response:
    """Forward a request that removes nothing. keys: those that it names, if any. Raise UpstreamError."""
    async with context.write(undo=Undo((collection,), _WHY)) as attempt:
        attempt.intend(collection, revised=True)
        response = await _carried_out(attempt, request, operation)
    shown = (*keys, *conflicting(response.body)) if response.status in _SHOWS else ()
    if shown and context.flipped(collection):
        await context.ensure_replica_has(collection, (), shown)
    return response


async def _carried_out(attempt: Attempt, request: Request, operation: Operation) -> Response:
    response, body = await attempt.forward(request)
    outcome = _outcome(operation, response.status, body)
    await attempt.conclude(outcome, keep_flips=400 <= response.status < 500)
    if response.status < 400:
        await attempt.applied()
    else:  # of a query that failed: nearly always there is nothing to find
        await attempt.applied_soon(_WHY)
    return response


def _outcome(operation: Operation, status: int, body: bytes) -> WriteOutcome:
    if wrote_nothing(operation, status, body) and status not in _SHOWS:
        return NOTHING_WRITTEN
    return UNKNOWN if status >= 500 else READ_AGAIN
