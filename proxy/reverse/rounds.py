"""One round of an applier: read rows, push, confirm; and what is tried if ArangoDB refuses documents.

A unique index of ArangoDB may refuse a batch that PostgreSQL's allows, because documents exchange values, or because a
value is still another document's whose row is not in the batch. So the batch is pushed again with removals before the
writes; then with more rows, and with the present states of the documents that hold the values. What is refused all the
same, and with every row, is noted, and other rows pass it.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from proxy.base import failpoints, metrics
from proxy.base.log_throttle import LogThrottle
from proxy.reverse.announcements import Announcements
from proxy.reverse.batch import Batch, database_of
from proxy.reverse.carried_changes import ChangeCarrier, ChangeEnd
from proxy.reverse.origin import FENCE, ElementError, OriginRequests
from proxy.reverse.outbox import Outbox
from proxy.reverse.push import FenceTest, PushEnd, PushOutcome, push
from sql.statements.outbox import ChangeRow, RefusedRow

log = structlog.get_logger(__name__)

MOST_ROWS: Final = 2_000
MOST_BYTES: Final = 4 << 20
_LATE: Final = "a change of a collection that may still run in ArangoDB"
_MOST_GROWN: Final = 16  # times the usual limits of a batch
_GROWN: Final = 64  # attempts with a batch that grows, each of which learns of another document at least
_HOLDER: Final = re.compile(r"conflicting key: (.+)\Z", re.DOTALL)


class RoundResult(enum.Enum):
    """What a round achieved."""

    IDLE = "idle"  # there are no rows
    PUSHED = "pushed"  # and there may be more
    CAUGHT_UP = "caught up"  # all rows that there were
    WAITS = "waits"  # for a lock, or for an announced change
    LEASE_LOST = "lease lost"


@dataclass(slots=True)
class Limits:
    """How large a batch may be: smaller after a request that ArangoDB refused as a whole."""

    rows: int = MOST_ROWS

    def shrink(self, size: int) -> None:
        self.rows = max(1, min(self.rows, size) // 2)

    def recover(self) -> None:
        self.rows = min(MOST_ROWS, self.rows * 2)


class Rounds:
    """The rounds of an applier under one token.

    newer: a newer token that ArangoDB has. renewed: when the lease was, by the monotonic clock. waits_for: what the
    last round waited for, for people.
    """

    def __init__(self, outbox: Outbox, origin: OriginRequests, announcements: Announcements, token: int) -> None:
        self._outbox = outbox
        self._origin = origin
        self._token = token
        self._fence = FenceTest(outbox.part, token, self._opened, announcements.may_pass)
        self._changes = ChangeCarrier(outbox, origin, announcements, self._fence)
        self._limits = Limits()
        self._throttle = LogThrottle()
        self.newer = 0
        self.renewed = time.monotonic()
        self.waits_for = ""

    async def carry(self) -> RoundResult:
        """Carry the next change of a collection, else the oldest rows.

        Raise DatabaseError, UpstreamError, ArangoError.
        """
        self.waits_for = ""
        batch = await self._outbox.read(self._limits.rows, MOST_BYTES, {})
        if batch is None:
            return RoundResult.IDLE
        if isinstance(batch, ChangeRow):
            return await self._change(batch)
        outcome = await self._pushed(batch, removes_first=False)
        if outcome.end is PushEnd.UNIQUE:
            batch, outcome = await self._exchanged(batch)
        return await self._ended(batch, outcome)

    async def _pushed(self, batch: Batch, *, removes_first: bool) -> PushOutcome:
        if not batch.versions:
            return PushOutcome(PushEnd.PUSHED)  # of collections that PostgreSQL no longer has
        began = time.perf_counter()
        outcome = await push(self._origin, self._fence, batch, removes_first=removes_first)
        metrics.REVERSE_PUSHES.labels(outcome.end.value).inc()
        metrics.REVERSE_PUSH_DURATION.observe(time.perf_counter() - began)
        return outcome

    async def _opened(self, transaction: str) -> bool:
        kept = await self._outbox.renew(self._token, transaction)
        self.renewed = time.monotonic()
        return kept

    async def _change(self, change: ChangeRow) -> RoundResult:
        """Carry a change of a whole collection."""
        end = await self._changes.carry(change)
        outcome = self._changes.outcome
        if end is ChangeEnd.CARRIED:
            return RoundResult.PUSHED
        if end is ChangeEnd.LEASE_LOST:
            self.newer = outcome.fence.token
            return RoundResult.LEASE_LOST
        if outcome.end is PushEnd.MISSING:
            return await self._without_fence(change, outcome)
        self.waits_for = self._changes.reason or outcome.reason or _LATE
        return RoundResult.WAITS

    async def _without_fence(self, change: ChangeRow, outcome: PushOutcome) -> RoundResult:
        """Create the collection of the fence document, which an announcement needs."""
        database = database_of(change.collection)
        if await self._origin.exists(database, FENCE):
            self.waits_for = outcome.reason
            return RoundResult.WAITS
        await self._origin.create_fence(database)
        return RoundResult.PUSHED

    async def _exchanged(self, batch: Batch) -> tuple[Batch, PushOutcome]:
        """Push a batch whose unique values ArangoDB refuses; return the last one that was tried."""
        outcome = await self._pushed(batch, removes_first=True)
        most, most_bytes = self._limits.rows, MOST_BYTES
        along: dict[str, list[str]] = {}
        for _ in range(_GROWN):
            if outcome.end is not PushEnd.UNIQUE:
                break
            holders = _holders(batch, outcome)
            if not holders and batch.whole:
                break
            for collection, keys in holders.items():
                along.setdefault(collection, []).extend(keys)
            most, most_bytes = min(most * 2, _MOST_GROWN * MOST_ROWS), min(most_bytes * 2, _MOST_GROWN * MOST_BYTES)
            grown = await self._outbox.read(most, most_bytes, along)
            if not isinstance(grown, Batch):
                break  # a change of a collection has come, which documents wait for
            batch = grown
            outcome = await self._pushed(batch, removes_first=True)
        return batch, outcome

    async def _ended(self, batch: Batch, outcome: PushOutcome) -> RoundResult:
        """Do what the end of a push demands."""
        match outcome.end:
            case PushEnd.PUSHED:
                self._limits.recover()
                kept = await self._outbox.confirm(self._token, batch.ids)
                failpoints.reach("push-confirmed")
                if kept:
                    metrics.REVERSE_DOCUMENTS.inc(batch.size)
                if not kept:
                    return RoundResult.LEASE_LOST
                return RoundResult.CAUGHT_UP if batch.whole else RoundResult.PUSHED
            case PushEnd.LEASE_LOST:
                self.newer = outcome.fence.token
                return RoundResult.LEASE_LOST
            case PushEnd.BUSY | PushEnd.ANNOUNCED:
                self.waits_for = outcome.reason or _LATE
                return RoundResult.WAITS
            case PushEnd.UNIQUE | PushEnd.REFUSED:
                return await self._refused(
                    [
                        RefusedRow(f"{batch.database}/{name}", error.key, f"{error.number}: {error.message}")
                        for name, error in outcome.errors
                    ]
                )
            case PushEnd.BODY:
                if batch.size > 1:
                    self._limits.shrink(batch.size)
                    return RoundResult.PUSHED
                return await self._refused(
                    [
                        RefusedRow(f"{batch.database}/{name}", version.key, outcome.reason)
                        for name, versions in batch.versions.items()
                        for version in versions
                    ]
                )
            case PushEnd.MISSING:
                return await self._missing(batch, outcome)

    async def _missing(self, batch: Batch, outcome: PushOutcome) -> RoundResult:
        """Create the collection of the fence document; note every other collection that ArangoDB does not have."""
        missing = [name for name in batch.versions if not await self._origin.exists(batch.database, name)]
        if missing:
            return await self._refused([RefusedRow(f"{batch.database}/{name}", "", outcome.reason) for name in missing])
        if not await self._origin.exists(batch.database, FENCE):
            await self._origin.create_fence(batch.database)
        return RoundResult.PUSHED

    async def _refused(self, rows: Sequence[RefusedRow]) -> RoundResult:
        if not await self._outbox.refuse(self._token, rows):
            return RoundResult.LEASE_LOST
        for row in rows:
            number = row.reason.partition(":")[0]  # the message may have a key
            if self._throttle.should_log(f"{row.collection} {number}"):
                log.warning("reverse_refused", collection=row.collection, number=number, documents=len(rows))
        return RoundResult.PUSHED


def _holders(batch: Batch, outcome: PushOutcome) -> dict[str, list[str]]:
    """Return the documents outside of the batch that have the refused values, by `database/name`."""
    found: dict[str, list[str]] = {}
    for name, error in outcome.errors:
        key = _holder(error)
        if key is not None and not batch.has(name, key):
            keys = found.setdefault(f"{batch.database}/{name}", [])
            if key not in keys:
                keys.append(key)
    return found


def _holder(error: ElementError) -> str | None:
    match = _HOLDER.search(error.message)
    return None if match is None else match[1]
