"""Create, truncate, drop and rename of collections, drop of a database (mirror-protocol, answer 6).

Never a lock on the client's path: the origin answers, the client has its answer, and the mirror then compares whole
collections (`mirror.sweep`). The intent is open until that is done, through a crash in the middle as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.mirror import faults
from proxy.mirror.intent import Intent
from proxy.operations import Operation
from proxy.routing import Route
from proxy.wire.message import Request, Response
from proxy.writing.kit import Kit, collect


async def change(kit: Kit, request: Request, operation: Operation, way: Route) -> Response:
    """Forwards the change; where the origin carried it out, the collections are swept."""
    kind = operation.endpoint.partition(".")[2]
    if kind != "create":
        await kit.given_way(request, operation.database, way.collections, operation.endpoint)
    return await swept(kit, request, way.collections, kind)


async def swept(
    kit: Kit, request: Request, collections: tuple[str, ...], kind: str, also: Sequence[Intent] = ()
) -> Response:
    """Forwards a request behind which these collections (perhaps none) are compared as a whole.

    also: intents of what it writes beside, to be read again.
    """
    intents = list(also)
    if collections:
        intents.append(kit.mirror.intend(collections[0], collections, sweep=kind))
    faults.reach("after-intend")
    response = await kit.forward(request, *intents)
    faults.reach("after-forward")
    for intent in intents:
        if response.status >= 500:
            kit.mirror.lost(intent)
        elif response.status >= 400:
            kit.mirror.settled_nothing(intent)
        else:
            kit.mirror.reread(intent)
    return Response(response.status, response.headers, await collect(response.body), response.reason)
