"""One operation that writes -> the module that carries it out."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.capture import collections, documents, graphs, imports, opaque, simple_writes
from proxy.capture.aql import Modifications
from proxy.capture.async_jobs import Jobs
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.transaction_registry import TransactionRegistry
from proxy.capture.transactions import Transactions
from proxy.model.endpoint import Capture, Family, Verb
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Action, Route
from proxy.wire.decode import decode

Carry = Callable[[Request, Operation, Route], Awaitable[Response]]

# a kind of write -> what carries it out; queries and transactions, which keep state, are methods of WriteDispatcher
CAPTURES: Final[dict[Capture, Callable[[WriteContext, Request, Operation, Route], Awaitable[Response]]]] = {
    Capture.DOCUMENT: documents.write,
    Capture.COLLECTION: collections.change,
    Capture.GRAPH_DOCUMENT: graphs.capture,
    Capture.GRAPH_DEFINITION: graphs.define,
    Capture.IMPORT: imports.capture,
    Capture.KEYS_IN_BODY: simple_writes.by_keys,
    Capture.REVISIONS: simple_writes.by_revisions,
    Capture.RESYNC: simple_writes.by_resync,
}


class WriteDispatcher:
    """Every write that is captured or opaque. handle: carries out a plain request, whatever it does."""

    def __init__(
        self, context: WriteContext, handle: Callable[[Request], Awaitable[Response]], registry: TransactionRegistry
    ) -> None:
        self._context = context
        self._jobs = Jobs(context, handle)
        self._modifications = Modifications(context)
        self._transactions = Transactions(context, self._modifications, registry)
        self._captures: dict[Capture, Carry] = {
            **{capture: functools.partial(carry, context) for capture, carry in CAPTURES.items()},
            Capture.AQL: self._modifications.capture,
            Capture.TRANSACTION: self._transaction,
        }

    async def close(self) -> None:
        """End what is kept from request to request; the journal has what was open."""
        await self._jobs.close()
        self._modifications.cursors.close()
        await self._transactions.close()

    def uncaptured(self, operation: Operation, route: Route) -> None:
        """Note a write that is forwarded and not captured: when its transaction commits, it may be mirrored."""
        if "x-arango-trx-id" in operation.headers:
            self._transactions.uncaptured(operation, route)

    def wrote_in(self, operation: Operation) -> bool:
        """Return True if a request is in a stream transaction that is known to have written."""
        return "x-arango-trx-id" in operation.headers and self._transactions.wrote(operation)

    def owns(self, operation: Operation) -> bool:
        """Return True if a request continues something that was begun here, whatever its route says."""
        return self._modifications.cursors.owns(operation) or self._jobs.owns(operation)

    async def continue_request(self, request: Request, operation: Operation) -> Response:
        """Answer a request that `owns` claims."""
        if operation.endpoint.family is Family.JOB:
            return await self._jobs.answer(request, operation)
        return await self._modifications.cursors.continue_request(request, operation)

    async def carry_out(self, request: Request, operation: Operation, route: Route) -> Response:
        """Carry out a write. Raise UpstreamError, and ArangoError for what the proxy itself refuses."""
        if self._jobs.wanted(operation):
            return await self._jobs.accept(request, operation)
        if route.action is Action.OPAQUE:
            if "x-arango-trx-id" in operation.headers:
                return await self._transactions.write(request, operation, route)
            return await opaque.forward(self._context, request, operation, route)
        if not isinstance(request.body, bytes):
            request.body = await collect(request.body, self._context.settings.max_captured_body)
            operation = decode(request)
        capture = operation.endpoint.capture
        if capture is not Capture.TRANSACTION and "x-arango-trx-id" in operation.headers:
            return await self._transactions.write(request, operation, route)
        return await self._captures[capture](request, operation, route)

    async def _transaction(self, request: Request, operation: Operation, route: Route) -> Response:
        if operation.endpoint.verb is Verb.BEGIN:
            return await self._transactions.begin(request, operation)
        return await self._transactions.end(request, operation, route)
