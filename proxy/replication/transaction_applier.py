"""Applies committed stream transactions: each is one transaction in PostgreSQL as well.

They are applied in the order of their commits, one at a time; while PostgreSQL is away, the next one is tried again,
for ever. What does not fit in memory is read again, key by key. So is a transaction with a document that PostgreSQL
refuses (`bisection`), which is the only one that becomes a dead letter then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from proxy.base import failpoints
from proxy.base.backoff import Backoff
from proxy.base.errors import DatabaseError, StatementError, error_label
from proxy.base.sqlstates import is_a_conflict
from proxy.journal.intent import Intent
from proxy.model.operations import Change
from proxy.replication.bisection import ENOUGH
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion, newest

log = structlog.get_logger(__name__)

_LIMIT: Final = 32 << 20  # bytes of documents that wait


class TransactionApplier:
    """Owns the transactions that wait.

    applied(intent): PostgreSQL has all of it. reread(intent): its keys must be read again. report(changes): called with
    what was written, before any intent of it is closed.
    """

    def __init__(
        self,
        target: TargetWriter,
        applied: Callable[[Intent], None],
        reread: Callable[[Intent], None],
        report: Callable[[Sequence[Change]], None],
        limit: int = _LIMIT,
    ) -> None:
        self._target = target
        self._report = report
        self._applied = applied
        self._reread = reread
        self._limit = limit
        self._size = 0
        self._waiting: deque[tuple[Sequence[Change], Sequence[Intent]]] = deque()
        self._something = asyncio.Event()

    def add(self, changes: Sequence[Change], intents: Sequence[Intent]) -> None:
        """Take all that one transaction wrote, and the intents of its writes, which have no other changes."""
        self._report(changes)
        size = _size(changes)
        if self._size + size > self._limit:
            for intent in intents:
                self._reread(intent)
            return
        self._size += size
        self._waiting.append((changes, intents))
        self._something.set()

    async def run(self) -> None:
        """Apply until cancelled."""
        backoff, refusals = Backoff(), 0
        while True:
            while self._waiting:
                changes, intents = self._waiting[0]
                failpoints.reach("before-transaction")
                try:
                    refused = await self._apply(changes, intents)
                except DatabaseError as error:
                    refusals += error.of_statement
                    passes = not isinstance(error, StatementError) or is_a_conflict(error.sqlstate)
                    if passes and refusals < ENOUGH:
                        log.debug("transaction_waits", error=error_label(error))
                        await backoff.wait()
                        continue
                    log.info("transaction_split", error=error.sqlstate)
                    refused = list(intents)
                backoff.reset()
                refusals = 0
                failpoints.reach("after-apply")
                self._waiting.popleft()
                self._size -= _size(changes)
                for intent in intents:
                    (self._reread if intent in refused else self._applied)(intent)
            self._something.clear()
            await self._something.wait()

    async def _apply(self, changes: Sequence[Change], intents: Sequence[Intent]) -> list[Intent]:
        """Apply one transaction. Return the intents with keys that the stamp floor or a newer era refused."""
        stamp = min(intent.stamp for intent in intents)
        groups: dict[str, list[StampedVersion]] = {}
        for change in changes:
            groups.setdefault(change.collection, []).append(StampedVersion(change.key, change.rev, change.raw, stamp))
        refused = await self._target.write_together({name: newest(rows) for name, rows in groups.items()})
        return [intent for intent in intents if any((intent.collection, key) in refused for key in intent.keys)]


def _size(changes: Sequence[Change]) -> int:
    return sum(400 + len(change.raw or b"") for change in changes)
