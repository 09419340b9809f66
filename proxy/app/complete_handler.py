"""The handler of a proxy that answers from PostgreSQL alone: ArangoDB's API by a store, other paths by services."""

from __future__ import annotations

import time

import structlog

from proxy.base import metrics
from proxy.base.errors import ArangoError, CommitOutcomeUnknown, DatabaseBusy, DatabaseError, error_label
from proxy.devserver.serve import StoreHandler
from proxy.gateway.dispatcher import for_database
from proxy.gateway.service_proxy import Services
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.stores.base import Store
from proxy.wire.decode import peek
from proxy.wire.encode import error_outcome

log = structlog.get_logger(__name__)


class CompleteHandler:
    """A `Handler`. limit: bytes of a request's body, decoded."""

    def __init__(self, store: Store, services: Services, *, limit: int) -> None:
        self._answer = StoreHandler(_Available(store), limit=limit)
        self._services = services

    async def __call__(self, request: Request) -> Response:
        if not for_database(request.target):
            return await self._services.handle(request)
        request.tunnel = None  # ArangoDB's upgrades are other protocols
        started = time.perf_counter()
        response = await self._answer(request)
        endpoint = peek(request.method, request.target).name
        if response.status == 501:
            metrics.UNSUPPORTED.labels(endpoint).inc()
        metrics.TRAFFIC.observe(endpoint, response.status, "target", time.perf_counter() - started)
        if (request.header(b"x-crossfade-explain") or b"0") != b"0":
            response.headers = [*response.headers, (b"X-Crossfade-Served-By", b"postgresql")]
        return response


class _Available:
    """A store whose failures of PostgreSQL are answers: 503 in ArangoDB's shape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        return self._store.name

    async def execute(self, operation: Operation) -> Outcome:
        try:
            return await self._store.execute(operation)
        except DatabaseError as error:
            log.warning("postgresql_failed", error=error_label(error), endpoint=operation.endpoint.name)
            return error_outcome(ArangoError(503, _message(error), status=503))


def _message(error: DatabaseError) -> str:
    """Return what a client learns of a failure of PostgreSQL: nothing of the server itself."""
    if isinstance(error, CommitOutcomeUnknown):
        return "PostgreSQL does not answer: the write may have happened"
    if isinstance(error, DatabaseBusy):
        return "service unavailable: PostgreSQL is overloaded"
    return "PostgreSQL does not answer"
