"""Writes after which whole collections are compared: create, truncate, drop, rename (mirror-protocol, answer 6).

Never a lock on the client's path: the origin answers, and the mirror then compares whole collections
(`replication.resync`). The intent is open until that is done, through a crash in the middle as well. If the answer says
that the change was carried out, or does not say that it was refused, flips of these collections are rolled back before
the client has it: see `WriteContext.roll_back`.
"""

from __future__ import annotations

from proxy.capture import outcomes
from proxy.capture.attempt import Undo
from proxy.capture.context import WriteContext
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation


async def compared(
    context: WriteContext,
    request: Request,
    operation: Operation,
    collections: tuple[str, ...],
    kind: str,
    *,
    beside: tuple[str, tuple[str, ...]] | None = None,
    reason: str = "",
) -> Response:
    """Forward a request after which these collections (perhaps none) are compared as a whole. Raise UpstreamError.

    beside: (collection, keys) of documents that it writes beside, to be read again; no keys: whatever has a new
    revision. reason: why flips are rolled back, if it is not the endpoint's name.
    """
    undo = Undo(() if kind == "create" else collections, reason or operation.endpoint.name)
    async with context.write(undo=undo, counted=False) as attempt:
        documents = [attempt.intend(*beside, revised=not beside[1])] if beside is not None else []
        if collections:
            attempt.intend_change(CollectionChange(kind, collections))
        response, body = await attempt.forward(request)
        await attempt.conclude(outcomes.without_versions(operation, response.status, body))
    await context.applied(documents)
    return response
