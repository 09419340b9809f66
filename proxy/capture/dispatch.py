"""One operation that writes -> the way that carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from proxy.capture import collections, documents, graphs, imports, opaque, reread, simple_api
from proxy.capture.answers import Opaque, plan
from proxy.capture.aql import Modifications
from proxy.capture.async_jobs import Jobs
from proxy.capture.context import WriteContext, collect
from proxy.capture.transaction_registry import TransactionRegistry
from proxy.capture.transactions import Transactions
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.routes import COLLECTIONS, TRANSACTIONS, Action, Route
from proxy.wire.decode import decode


class WriteDispatcher:
    """Every write that is captured or opaque. `handle`: carries out a plain request, whatever it does."""

    def __init__(
        self, kit: WriteContext, handle: Callable[[Request], Awaitable[Response]], registry: TransactionRegistry
    ) -> None:
        self._kit = kit
        self._jobs = Jobs(kit, handle)
        self._modifications = Modifications(kit)
        self._transactions = Transactions(kit, self._modifications, registry)

    async def close(self) -> None:
        """Ends what is kept from request to request; the journal knows what was open."""
        await self._jobs.close()
        self._modifications.cursors.close()
        await self._transactions.close()

    def uncaptured(self, operation: Operation, way: Route) -> None:
        """A write is forwarded that nobody captures: what its transaction commits later may be mirrored by then."""
        if "x-arango-trx-id" in operation.headers:
            self._transactions.uncaptured(operation, way)

    def wrote_in(self, operation: Operation) -> bool:
        """Whether a request is in a stream transaction that is known to have written."""
        return "x-arango-trx-id" in operation.headers and self._transactions.wrote(operation)

    def owns(self, operation: Operation) -> bool:
        """Whether a request goes on with something that was begun here, whatever its route says."""
        return self._modifications.cursors.owns(operation) or self._jobs.owns(operation)

    async def go_on(self, request: Request, operation: Operation) -> Response:
        """The client's answer to a request that `owns` claims."""
        if operation.endpoint == "job":
            return await self._jobs.answer(request, operation)
        return await self._modifications.cursors.go_on(request, operation)

    async def carry_out(self, request: Request, operation: Operation, way: Route) -> Response:
        """The client's answer. Raises UpstreamError, and ArangoError for what the proxy itself refuses."""
        if self._jobs.wanted(operation):
            return await self._jobs.accept(request, operation)
        if way.action is Action.OPAQUE:
            if "x-arango-trx-id" in operation.headers:
                return await self._transactions.write(request, operation, way)
            return await opaque.forward(self._kit, request, operation, way)
        if not isinstance(request.body, bytes):
            request.body = await collect(request.body, self._kit.settings.capture_body)
            operation = decode(request)
        if operation.endpoint == "transaction.begin":
            return await self._transactions.begin(request, operation)
        if operation.endpoint in TRANSACTIONS:
            return await self._transactions.end(request, operation, way)
        if "x-arango-trx-id" in operation.headers:
            return await self._transactions.write(request, operation, way)
        if operation.endpoint in COLLECTIONS:
            return await collections.change(self._kit, request, operation, way)
        if operation.endpoint == "cursor.create":
            return await self._modifications.capture(request, operation, way)
        if operation.endpoint.startswith("gharial."):
            return await graphs.capture(self._kit, request, operation, way)
        if operation.endpoint.startswith("simple."):
            return await self._simple(request, operation, way)
        if operation.endpoint == "import":
            return await imports.capture(self._kit, request, operation, way)
        unread = Opaque("a body that could not be read in time", way.collections)
        # one document is passed over faster than it is sent to a worker
        size = len(operation.body) if operation.key is None and operation.body[:1] != b"{" else 0
        planned = await self._kit.read(plan, operation, size=size, odd=unread)
        if isinstance(planned, Opaque):
            return await opaque.forward(self._kit, request, operation, way)
        return await documents.capture(self._kit, request, planned, way)

    async def _simple(self, request: Request, operation: Operation, way: Route) -> Response:
        """By keys or by example."""
        kit, collection = self._kit, way.collections[0]
        if collection.endswith("/*"):
            return await opaque.forward(kit, request, operation, way.because(operation.endpoint))
        if operation.endpoint in simple_api.REVISED:
            return await reread.by_revisions(kit, request, operation, collection)
        if operation.endpoint == simple_api.REMOVED:
            return await collections.swept(kit, request, operation, way.collections, "removal by example")
        keys = await kit.read(simple_api.keys_of, operation.body, size=len(operation.body), odd=None)
        if keys is None:
            return await opaque.forward(kit, request, operation, way.because(operation.endpoint))
        return await reread.by_keys(kit, request, operation, collection, keys)
