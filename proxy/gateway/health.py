"""Health check: both databases answer this instance now, within a time limit."""

from __future__ import annotations

import asyncio
from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, UpstreamError
from proxy.model.message import Request
from proxy.stores.arango import Requester

_TIMEOUT: Final = 1.5  # seconds


async def probe(database: Database, origin: Requester | None) -> dict[str, str]:
    """Return for `postgresql` and `arangodb` why it does not answer; empty if it does. origin: None: nobody asks it."""
    target, source = await asyncio.gather(target_failure(database), _origin(origin))
    return {"postgresql": target, "arangodb": source}


async def target_failure(database: Database) -> str:
    """Return why PostgreSQL does not answer; empty if it does."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await database.fetchval(sql.server.ALIVE)
    except (DatabaseError, TimeoutError) as error:
        return str(error) or f"no answer within {_TIMEOUT:g} s"
    return ""


async def _origin(origin: Requester | None) -> str:
    if origin is None:
        return ""
    try:
        async with asyncio.timeout(_TIMEOUT):
            response = await origin.request(Request("GET", b"/_api/version"), idempotent=True)
            if not isinstance(response.body, bytes):
                async for _ in response.body:
                    pass
    except (UpstreamError, TimeoutError) as error:
        return str(error) or f"no answer within {_TIMEOUT:g} s"
    # it may refuse a request without credentials, and then it answers
    return f"it answers with status {response.status}" if response.status >= 500 else ""
