"""Writes whose answers do not tell what they wrote: forwarded as they are, and what they wrote is read again.

Where the request names the keys, by those; else by the revisions of the collection that are not older than the request
(`mirror.scan`), which finds all but removals. A search may find too much to be read again, and then marks instead: no
answer about a flipped collection can wait for it, so the flip is taken back first (I7).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from proxy.mirror import faults
from proxy.mirror.intent import Intent
from proxy.wire.message import Request, Response
from proxy.writing.kit import Kit, collect

REFUSED = frozenset({401, 403, 404, 405})  # nothing was written


async def by_keys(kit: Kit, request: Request, collection: str, keys: tuple[str, ...]) -> Response:
    """Forwards a request that writes no documents but those of these keys. Raises UpstreamError."""
    return await _again(kit, request, collection, kit.intend_keys(collection, keys), REFUSED)


async def by_revisions(kit: Kit, request: Request, collection: str, refused: Collection[int] = REFUSED) -> Response:
    """Forwards a request that removes nothing. refused: statuses that say that nothing was written.

    Raises UpstreamError.
    """
    await kit.given_way(request, collection.partition("/")[0], (collection,), "a write that does not tell its keys")
    return await _again(kit, request, collection, [kit.mirror.intend(collection, (), revised=True)], refused)


async def _again(
    kit: Kit, request: Request, collection: str, intents: Sequence[Intent], refused: Collection[int]
) -> Response:
    mirror, flight = kit.mirror, kit.flight
    faults.reach("after-intend")
    with flight.during(
        flight.captured, (collection,), kit.lease.generation, lambda: not any(map(mirror.is_open, intents))
    ):
        response = await kit.forward(request, *intents)
        faults.reach("after-forward")
        body = await collect(response.body)
        for intent in intents:
            if response.status >= 500:
                mirror.lost(intent)
            elif response.status in refused:
                mirror.settled_nothing(intent)
            else:
                mirror.reread(intent)
        await kit.applied(intents)
    return Response(response.status, response.headers, body, response.reason)
