"""Removes documents that TTL indexes have expired, in batches. All proxies do so, and share the work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.periodic import Periodic
from proxy.model import json_reader
from proxy.model.documents import escape_text

log = structlog.get_logger(__name__)

INTERVAL: Final = 30.0  # seconds, as in ArangoDB
_BATCH: Final = 1_000  # documents in one transaction


class Expiry:
    """Removes expired documents every `interval` seconds. now: seconds since the epoch."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time, interval: float = INTERVAL) -> None:
        self._database = database
        self._now = now
        self._task = Periodic(self.remove_expired, "ttl indexes", interval)

    def start(self) -> None:
        """Start the task."""
        self._task.start()

    async def close(self) -> None:
        """End the task."""
        await self._task.close()

    async def remove_expired(self) -> None:
        """Remove what has expired in every collection; one that fails keeps no other from it. Raise DatabaseError."""
        for row in await self._database.fetch(sql.complete.TTL_INDEXES):
            index = json_reader.load(row.definition.encode())
            path = [escape_text(name) for name in index["fields"][0].split(".")]
            before = self._now() - float(index["expireAfter"])
            try:
                removed = await self._remove(row.collection, path, before)
            except DatabaseError as error:
                log.warning("expired_documents_stay", collection=row.collection, error=error_label(error))
                continue
            if removed:
                log.info("expired_documents_removed", collection=row.collection, documents=removed)

    async def _remove(self, collection: str, path: list[str], before: float) -> int:
        total = 0
        while True:
            async with self._database.transaction() as session:
                await session.fetchval(sql.complete.LOCK_WAIT, "1s")
                removed = await session.fetchval(sql.complete.REMOVE_EXPIRED, collection, path, before, _BATCH)
            total += removed
            if removed < _BATCH:
                return total
