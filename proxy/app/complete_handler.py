"""The handler of a proxy that answers from PostgreSQL alone: ArangoDB's API by a store, paths of services by them.

All other paths are those of Foxx services to ArangoDB: the store refuses them by that name.
"""

from __future__ import annotations

import time

import structlog

from proxy.base import metrics
from proxy.devserver.serve import StoreHandler
from proxy.gateway.dispatcher import for_database
from proxy.gateway.operation_reader import OperationReader
from proxy.gateway.service_proxy import Services
from proxy.model.message import Request, Response
from proxy.stores.base import Store
from proxy.wire.decode import peek

log = structlog.get_logger(__name__)


class CompleteHandler:
    """A `Handler`. store: answers failures of PostgreSQL too. reader: reads the requests."""

    def __init__(self, store: Store, services: Services, reader: OperationReader) -> None:
        self._answer = StoreHandler(store, reader)
        self._services = services

    async def __call__(self, request: Request) -> Response:
        if not for_database(request.target) and self._services.upstream_of(request.target) is not None:
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
