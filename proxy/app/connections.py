"""The pools of one proxy: to PostgreSQL, one for each part so that none waits for another, and to its upstreams."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import UpstreamUnavailable
from proxy.gateway.target_reads import QUEUE, statement_limit
from proxy.http import Upstream
from proxy.model.message import Request, Response
from proxy.stores.postgres import streams

_SERVICE_IDLE: Final = 2.0  # seconds
_SERVICE_CONNECTIONS: Final = 4096  # as many as clients may be connected: each event stream holds one
_QUEUE_OF_ALL: Final = 60.0  # seconds that a request waits for a connection if nothing else can answer it
_STATEMENT: Final = 30.0  # seconds after which PostgreSQL ends a statement of a comparison


@dataclass(frozen=True, slots=True)
class Pools:
    """Connections to PostgreSQL.

    lease: nothing that other parts wait for may delay a heartbeat. One connection is for heartbeats, one for
    notifications, one for automatic rollback; two may hang. reads: a read of a client waits for a connection as long as
    a read may take; neither comparisons nor open cursors take one from it.
    """

    shared: Database
    lease: Database
    mirror: Database
    reads: Database
    shadow: Database


async def open_pools(stack: contextlib.AsyncExitStack, settings: Settings) -> Pools:
    """Open the pools, which connect when they are used; the stack closes them."""

    async def opened(
        part: str, size: int, *, reset: bool = False, wait: float | None = None, limit: float | None = None
    ) -> Database:
        return await stack.enter_async_context(_opened(settings, part, size, reset=reset, wait=wait, limit=limit))

    return Pools(
        shared=await opened("proxy", 4, reset=True),
        lease=await opened("lease", 5),
        mirror=await opened("mirror", settings.apply_connections + 4),
        reads=await opened(
            "reads", settings.read_connections + streams.MOST, wait=QUEUE, limit=statement_limit(settings)
        ),
        shadow=await opened("shadow", max(8, settings.shadow_concurrency), limit=_STATEMENT),
    )


@dataclass(frozen=True, slots=True)
class CompletePools:
    """Connections to PostgreSQL of a proxy over PostgreSQL alone.

    store: of all requests. maintenance: for statements that take long.
    """

    shared: Database
    store: Database
    maintenance: Database


async def open_complete_pools(stack: contextlib.AsyncExitStack, settings: Settings) -> CompletePools:
    """Open the pools, which connect when they are used; the stack closes them."""
    size = settings.read_connections + settings.write_connections + streams.MOST
    return CompletePools(
        shared=await stack.enter_async_context(
            _opened(settings, "proxy", 4, reset=True, wait=None, limit=None),
        ),
        store=await stack.enter_async_context(
            _opened(settings, "store", size, reset=False, wait=_QUEUE_OF_ALL, limit=None),
        ),
        maintenance=await stack.enter_async_context(
            _opened(settings, "maintenance", 3, reset=True, wait=None, limit=None, timeout=None)
        ),
    )


@contextlib.asynccontextmanager
async def _opened(
    settings: Settings,
    part: str,
    size: int,
    *,
    reset: bool,
    wait: float | None,
    limit: float | None,
    timeout: float | None = 30.0,
) -> AsyncIterator[Database]:
    database = await Database.open(
        settings.postgresql_dsn,
        size=size,
        application=f"crossfade {part}",
        reset=reset,
        wait=wait,
        limit=limit,
        timeout=timeout,
    )
    try:
        yield database
    finally:
        await database.close()


def service_upstreams(stack: contextlib.AsyncExitStack, settings: Settings, *, spool: Path) -> dict[str, Upstream]:
    """Return the pools of all document services by prefix; the stack closes them."""
    pools = {}
    for prefix, url in settings.services.items():
        address = str(url.get_secret_value())
        # it gets its client's Host and chunked requests, which ArangoDB does not
        pools[prefix] = Upstream(
            address,
            connections=_SERVICE_CONNECTIONS,
            connect_timeout=settings.connect_timeout,
            request_timeout=math.inf,  # a service decides how long it takes: event streams and long polls have no end
            queue_timeout=settings.request_timeout,
            # shorter than servers keep an idle connection, so that few requests meet one that is just being closed
            idle_timeout=_SERVICE_IDLE,
            buffer_body=settings.max_buffered_body,
            preserve_host=True,
            chunked=True,
            duplex=True,
            spool=spool,
        )
        stack.push_async_callback(pools[prefix].close)
    return pools


class OriginUpstream(Upstream):
    """Connections to ArangoDB. over: every collection is complete; then none is opened, whoever asks."""

    def __init__(self, url: str, *, over: Callable[[], bool], **more: Any) -> None:
        super().__init__(url, **more)
        self._over = over

    def request(self, request: Request, *, idempotent: bool = False) -> Coroutine[Any, Any, Response]:
        """As of every upstream. Raise UpstreamUnavailable if ArangoDB is not to be asked any more."""
        if self._over():
            raise UpstreamUnavailable("every collection is complete: ArangoDB is not asked any more")
        return super().request(request, idempotent=idempotent)


def origin_upstream(
    settings: Settings, url: str, connections: int, *, spool: Path, over: Callable[[], bool]
) -> OriginUpstream:
    """Return a pool of connections to ArangoDB."""
    return OriginUpstream(
        url,
        over=over,
        connections=connections,
        connect_timeout=settings.connect_timeout,
        request_timeout=settings.request_timeout,
        queue_timeout=settings.request_timeout,
        buffer_body=settings.max_buffered_body,
        spool=spool,
    )
