"""One operation that writes -> the kind that carries it out: the module of `capture.kinds` that its row names."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from proxy.base.module_discovery import import_modules
from proxy.capture import kinds, opaque
from proxy.capture.aql import Modifications
from proxy.capture.async_jobs import Jobs
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_registry import TransactionRegistry
from proxy.capture.transactions import Transactions
from proxy.model.endpoint import Endpoint, Family, InTransaction
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.rehearsal.rehearser import Rehearser
from proxy.routing.route import Action, Route
from proxy.wire.decode import decode
from proxy.wire.endpoints import ROWS


def check_rows(found: Mapping[str, WriteKind], endpoints: Iterable[Endpoint]) -> None:
    """Raise ValueError for an endpoint whose kind of write has no module, or does not do what the row states."""
    for endpoint in endpoints:
        if not endpoint.capture:
            continue
        kind = found.get(endpoint.capture)
        if kind is None:
            raise ValueError(
                f"endpoint {endpoint.name}: no module of proxy.capture.kinds is called {endpoint.capture!r}; "
                f"there are {', '.join(found)}"
            )
        if endpoint.in_transaction is not InTransaction.NO and kind.in_transaction is None:
            raise ValueError(f"endpoint {endpoint.name}: {endpoint.capture} has no in_transaction, and its row has one")


def _discover() -> dict[str, WriteKind]:
    """Return the `KIND` of each module of `kinds`, by the module's name."""
    found = {module.__name__.rpartition(".")[2]: module.KIND for module in import_modules(kinds.__name__)}
    check_rows(found, (row.endpoint for row in ROWS))
    return found


KINDS: Final[Mapping[str, WriteKind]] = _discover()


_REHEARSED: Final = frozenset({"documents", "imports", "queries"})  # kinds that choose writes themselves
_NO_DOCUMENTS: Final = frozenset({"collection_changes", "graph_definitions", "transactions"})


class WriteDispatcher:
    """Every write that is captured or opaque. handle: carries out a plain request, whatever it does."""

    def __init__(
        self, context: WriteContext, handle: Callable[[Request], Awaitable[Response]], registry: TransactionRegistry
    ) -> None:
        self._context = context
        self._jobs = Jobs(context, handle)
        self._modifications = Modifications(context)
        self._transactions = Transactions(context, registry)
        self._parts = WriteParts(context, self._modifications, self._transactions)

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
        if self._context.rehearser is not None:
            self._note_unrehearsed(self._context.rehearser, operation, route)
        if route.action is Action.OPAQUE:
            if "x-arango-trx-id" in operation.headers:
                return await self._transactions.write(request, operation, route, self._opaque)
            return await opaque.forward(self._context, request, operation, route)
        if not isinstance(request.body, bytes):
            request.body = await collect(request.body, self._context.settings.max_captured_body)
            operation = decode(request)
        kind = KINDS[operation.endpoint.capture]
        if "x-arango-trx-id" in operation.headers and kind.in_transaction is not None:
            carry_out = functools.partial(kind.in_transaction, self._parts)
            return await self._transactions.write(request, operation, route, carry_out)
        return await kind.carry_out(self._parts, request, operation, route)

    @staticmethod
    def _note_unrehearsed(rehearser: Rehearser, operation: Operation, route: Route) -> None:
        """Count a write that is never rehearsed: its shape is known to be without a verdict."""
        kind = operation.endpoint.capture
        if route.action is Action.OPAQUE:
            rehearser.skip(operation, route.collections, "not captured")
        elif kind not in _NO_DOCUMENTS and "x-arango-trx-id" in operation.headers:
            rehearser.skip(operation, route.collections, "in a stream transaction")
        elif kind not in _NO_DOCUMENTS and kind not in _REHEARSED:
            rehearser.skip(operation, route.collections, "not rehearsed yet")

    async def _opaque(self, request: Request, operation: Operation, route: Route, buffer: Buffer) -> Response:
        """Carry out a write in a transaction that is not captured."""
        apart = operation.endpoint.in_transaction is not InTransaction.PART
        return await opaque.forward(self._context, request, operation, route, buffer, apart=apart)
