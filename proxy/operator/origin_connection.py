"""A command's own connections to ArangoDB, closed at its end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from proxy.base.config import Settings
from proxy.http.upstream import Upstream
from proxy.stores.arango import ArangoStore

_CONNECTIONS: Final = 2


@contextlib.asynccontextmanager
async def origin_upstream(settings: Settings) -> AsyncIterator[Upstream]:
    """Yield connections with the time limits of the settings."""
    upstream = Upstream(
        settings.origin_url,
        connections=_CONNECTIONS,
        connect_timeout=settings.connect_timeout,
        request_timeout=settings.request_timeout,
    )
    try:
        yield upstream
    finally:
        await upstream.close()


@contextlib.asynccontextmanager
async def origin_store(settings: Settings) -> AsyncIterator[ArangoStore]:
    """Yield ArangoDB as a store, read with the proxy's account."""
    async with origin_upstream(settings) as upstream:
        yield ArangoStore(upstream, *settings.origin_account)
