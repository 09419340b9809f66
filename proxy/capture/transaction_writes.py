"""Writes in a stream transaction whose answers show no versions: through graphs, simple ones, imports.

What they wrote is kept in the transaction's buffer (`capture.attempt`) and read again when it has ended; if it was
aborted, that finds nothing. A write that rolls a flip back outside of a transaction rolls it back at the commit in one.

ArangoDB carries out writes through graphs as a part of the transaction. Of imports and simple writes that is not known
here: they may be done immediately, whatever becomes of the transaction. So they are `apart`: read again both after
their answer and after the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.capture import opaque, outcomes
from proxy.capture.attempt import Attempt, Undo
from proxy.capture.context import WriteContext
from proxy.capture.transaction_plan import Buffer
from proxy.journal.records import Resync, VertexRemoval
from proxy.model.endpoint import InTransaction
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route

_WHY: Final = "a write in a transaction whose answer does not name its keys"


@dataclass(frozen=True, slots=True)
class PossibleWrite:
    """The possible writes to a collection: these keys; keys that are not known; with `resync`, anything."""

    collection: str
    keys: tuple[str, ...] = ()
    resync: Resync | None = None

    async def intend(self, attempt: Attempt) -> None:
        """Record the intents. Raise ArangoError if the write must not be sent."""
        if self.resync is not None:
            attempt.intend_change(self.resync)
        elif self.keys:
            await attempt.intend_keys(self.collection, self.keys)
        else:
            attempt.intend(self.collection, revised=True)


def no_collection(operation: Operation, route: Route) -> str:
    """Return the reason not to capture a write whose request does not name its collection; empty if it does."""
    return f"{operation.endpoint.name}: no collection" if route.collections[0].endswith("/*") else ""


async def read_again(
    context: WriteContext,
    request: Request,
    operation: Operation,
    route: Route,
    buffer: Buffer,
    possible: Sequence[PossibleWrite] | str,
    *,
    key_made: Callable[[bytes], str | None] | None = None,
) -> Response:
    """Carry out a write that may write what is possible, or an opaque one for the reason given. Raise UpstreamError.

    key_made: finds the key in the answer, if ArangoDB made one.
    """
    apart = operation.endpoint.in_transaction is not InTransaction.PART
    if isinstance(possible, str):
        return await opaque.forward(context, request, operation, route.with_reason(possible), buffer, apart=apart)
    unkeyed = [one.collection for one in possible if not one.keys and not isinstance(one.resync, VertexRemoval)]
    undo = Undo(unkeyed, _WHY)
    async with context.write(undo=undo, buffer=buffer, apart=apart, counted=False) as attempt:
        for one in possible:
            await one.intend(attempt)
        response, body = await attempt.forward(request)
        made = key_made(body) if key_made is not None else None
        keys = () if made is None else (made,)
        # the answer names the key that ArangoDB made: then every intent has its keys
        outcome = outcomes.without_versions(operation, response.status, body, keys)
        await attempt.conclude(outcome, keep_flips=made is not None)
        await attempt.applied()
    return response
