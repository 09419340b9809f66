"""Writes whose answers do not tell what they wrote: forwarded as they are, and what they wrote is read again.

Where the request names the keys, by those; else by the revisions of the collection that are not older than the request
(`replication.revision_scan`), which finds all but removals. A search may find too much to be read again, and then
marks instead: no
answer about a flipped collection can wait for it, so behind what was carried out the flip is taken back (I7). An error
that does not exclude a part that was committed is searched for as well; nothing found, nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.base import failpoints
from proxy.capture.context import WriteContext
from proxy.capture.refusals import wrote_nothing
from proxy.journal.intent import Intent
from proxy.model.message import Request, Response
from proxy.model.operations import Operation

_SHOWS = frozenset({409, 412})  # a refusal that tells of documents that are there: those are read again
_UNTOLD = "a write that does not tell its keys"


async def by_keys(
    kit: WriteContext, request: Request, operation: Operation, collection: str, keys: tuple[str, ...]
) -> Response:
    """Forwards a request that writes no documents but those of these keys. Raises UpstreamError."""
    return await _again(kit, request, operation, collection, await kit.intend_keys(collection, keys), ())


async def by_revisions(
    kit: WriteContext, request: Request, operation: Operation, collection: str, keys: Sequence[str] = ()
) -> Response:
    """Forwards a request that removes nothing. keys: those that it names, if any. Raises UpstreamError."""
    intents = [kit.mirror.intend(collection, revised=True)]
    response = await _again(kit, request, operation, collection, intents, (collection,))
    if keys and response.status in _SHOWS and kit.flipped(collection):
        await kit.ensure_replica_has(collection, (), keys)
    return response


async def _again(
    kit: WriteContext,
    request: Request,
    operation: Operation,
    collection: str,
    intents: Sequence[Intent],
    undoes: Sequence[str],
) -> Response:
    mirror, flight = kit.mirror, kit.flight
    failpoints.reach("after-intend")
    with flight.during(
        flight.captured, (collection,), kit.lease.generation, lambda: not any(map(mirror.is_open, intents))
    ):
        response = await kit.forward(request, *intents, undoes=(undoes, _UNTOLD))
        failpoints.reach("after-forward")
        nothing = wrote_nothing(operation, response.status, response.body) and response.status not in _SHOWS
        try:
            if response.status < 400 or (response.status >= 500 and not nothing):
                await kit.roll_back(undoes, _UNTOLD)
        finally:
            for intent in intents:
                if nothing:
                    mirror.close_intent(intent)
                elif response.status >= 500:
                    mirror.lost(intent)
                else:
                    mirror.reread(intent)
        if response.status < 400:
            await kit.applied(intents)
        else:  # of a query that failed: nearly always there is nothing to find
            await kit.applied_soon(intents, _UNTOLD)
    return response
