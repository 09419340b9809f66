"""Marks of collections that need a verification, on their way to PostgreSQL (I10).

A mark is written after ArangoDB's answer to the write that causes it, so that a verification that began before does not
cover it. The intents that cause marks stay open in the journal until the marks are in PostgreSQL, and every flip that
they concern has ended with them (`state.missing_writes`): an intent that ends in a mark is given up, and no client
reads less than its own writes.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable

import structlog

from proxy.base import failpoints, metrics
from proxy.base.backoff import Backoff
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.sql_values import storable
from proxy.state import missing_writes

log = structlog.get_logger(__name__)


class VerificationMarks:
    """Equal marks are one until they are posted: memory holds distinct (collection, reason), and 16 bytes an intent.

    posted(seq, owner): called once the marks of an intent are in PostgreSQL.
    """

    def __init__(self, database: Database, instance: str, posted: Callable[[int, str], None]) -> None:
        self._database = database
        self._instance = instance
        self._posted = posted
        self._waiting: dict[tuple[str, str], None] = {}
        self._seqs = array("q")
        self._owners: list[str] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._something = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, collections: Iterable[str], reason: str, seq: int | None = None, owner: str = "") -> None:
        """Mark collections as soon as PostgreSQL can be reached.

        seq, owner: the intent that causes it, its collection.
        """
        for collection in collections:
            self._waiting[storable(collection), storable(reason)] = None
        if seq is not None:
            self._seqs.append(seq)
            self._owners.append(owner)
        self._something.set()

    async def add_and_wait(self, collections: Iterable[str], reason: str) -> None:
        """Mark collections, and return once PostgreSQL has the marks and the flips that they concern have ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.add(collections, reason)
        await waiter

    async def post(self) -> None:
        """Write the marks that wait. Raise DatabaseError, and then keep them."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        seqs, self._seqs = self._seqs, array("q")
        owners, self._owners = self._owners, []
        waiters, self._waiters = self._waiters, []
        failpoints.reach("before-mark")
        try:
            marked = await missing_writes.mark(
                self._database,
                [collection for collection, _ in waiting],
                [reason for _, reason in waiting],
                self._instance,
            )
        except BaseException:
            self._waiting |= waiting
            self._seqs.extend(seqs)
            self._owners.extend(owners)
            self._waiters.extend(waiters)
            raise
        for collection in marked:
            metrics.UNVERIFIED.labels(collection).inc()
            log.info("collection_unverified", collection=collection)
        for seq, owner in zip(seqs, owners, strict=True):
            self._posted(seq, owner)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def run(self) -> None:
        """Post until cancelled."""
        backoff = Backoff()
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                await self.post()
                backoff.reset()
            except DatabaseError as error:
                log.debug("marks_wait", error=error_label(error))
                await backoff.wait()
            if self._waiting:
                self._something.set()
