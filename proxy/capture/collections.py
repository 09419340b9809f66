"""Create, truncate, drop and rename of collections, drop of a database (mirror-protocol, answer 6).

Never a lock on the client's path: the origin answers, and the mirror then compares whole collections
(`replication.resync`).
The intent is open until that is done, through a crash in the middle as well. Flips of these collections are taken back
behind an answer that says that it was carried out, or does not say that it was refused, and before the client has it:
see `kit.taken_back`.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.base import failpoints
from proxy.capture.context import WriteContext
from proxy.capture.refusals import wrote_nothing
from proxy.journal.intent import Intent
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def change(kit: WriteContext, request: Request, operation: Operation, way: Route) -> Response:
    """Forwards the change; where the origin carried it out, the collections are swept."""
    return await swept(kit, request, operation, way.collections, operation.endpoint.verb.value)


async def swept(
    kit: WriteContext,
    request: Request,
    operation: Operation,
    collections: tuple[str, ...],
    kind: str,
    also: Sequence[Intent] = (),
    reason: str = "",
) -> Response:
    """Forwards a request behind which these collections (perhaps none) are compared as a whole.

    also: intents of what it writes beside, to be read again. reason: why flips are taken back; the endpoint's name.
    """
    intents = list(also)
    if collections:
        intents.append(kit.mirror.intend_change(CollectionChange(kind, collections)))
    failpoints.reach("after-intend")
    undoes = (() if kind == "create" else collections, reason or operation.endpoint.name)
    response = await kit.forward(request, *intents, undoes=undoes)
    failpoints.reach("after-forward")
    nothing = wrote_nothing(operation, response.status, response.body)
    try:
        if not nothing:
            await kit.roll_back(*undoes)
    finally:
        for intent in intents:
            if nothing:
                kit.mirror.close_intent(intent)
            elif response.status >= 500:
                kit.mirror.lost(intent)
            else:
                kit.mirror.reread(intent)
    return response
