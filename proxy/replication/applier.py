"""Applies captured changes to PostgreSQL: a bounded queue, and appliers that take batches from it.

A key is never in two batches concurrently, so that they do not wait for each other's rows. While PostgreSQL is away, a
batch goes back to the queue and is tried again, for ever. What does not fit in the queue is not lost: its intent stays
in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from proxy.base import failpoints, metrics, sqlstates
from proxy.base.backoff import Backoff
from proxy.base.errors import DatabaseError, error_label
from proxy.journal.intent import Intent
from proxy.model.operations import Change
from proxy.replication.recent_applies import Applied, RecentApplies
from proxy.replication.session_writer import ApplyResult
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion, newest

log = structlog.get_logger(__name__)

Entry = tuple[Change, Intent]
_OVERHEAD: Final = 400  # bytes of memory beside the document itself
_LINGER: Final = 0.01  # seconds that a small batch waits for further changes, if no request waits for it
_AT_ONCE: Final = 50  # writes that are finished between two turns of the event loop


class ChangeBatch(NamedTuple):
    """Changes of one collection. No other batch gets one of its keys until it is `done`."""

    collection: str
    entries: list[Entry]
    keys: set[str]


class Queue:
    """Changes in memory, by collection, with limits on documents and bytes."""

    def __init__(self, documents: int, size: int) -> None:
        self._documents = documents
        self._limit = size
        self._waiting: dict[str, deque[Entry]] = {}
        self._taken: dict[str, set[str]] = {}  # keys of the batches in progress
        self._held: set[str] = set()
        self.waiting = 0  # documents in no batch
        self.count = 0
        self.size = 0
        self.ready = asyncio.Event()

    def fits(self, documents: int, size: int) -> bool:
        """Return True if there is room. size: as of `size_of`."""
        return self.count + documents <= self._documents and self.size + size <= self._limit

    def put(self, intent: Intent, changes: Sequence[Change]) -> bool:
        """Take all changes. Return False, and take none, if they do not fit."""
        size = size_of(changes)
        if not self.fits(len(changes), size):
            return False
        for change in changes:
            waiting = self._waiting.get(change.collection)
            if waiting is None:
                waiting = self._waiting[change.collection] = deque()
            waiting.append((change, intent))
        self.waiting += len(changes)
        self.count += len(changes)
        self.size += size
        self.ready.set()
        return True

    def take(self, keys: int) -> ChangeBatch | None:
        """Return the next batch, of at most that many keys; None if all changes must wait for a batch in progress."""
        for collection, waiting in self._waiting.items():
            taken = self._taken.get(collection)
            if collection in self._held:
                continue
            if taken and (len(waiting) < keys or waiting[0][0].key in taken):
                continue  # a second batch beside the first only if there is enough for a full one
            entries: list[Entry] = []
            seen: set[str] = set()
            while waiting and (len(seen) < keys or waiting[0][0].key in seen) and len(entries) < 8 * keys:
                if taken and waiting[0][0].key in taken:
                    break
                entry = waiting.popleft()
                seen.add(entry[0].key)
                entries.append(entry)
            del self._waiting[collection]
            if waiting:
                self._waiting[collection] = waiting  # after the others
            self._taken.setdefault(collection, set()).update(seen)
            self.waiting -= len(entries)
            return ChangeBatch(collection, entries, seen)
        self.ready.clear()
        return None

    def of(self, collection: str) -> Sequence[Entry]:
        """Return what waits of a collection, without the batches in progress."""
        return tuple(self._waiting.get(collection, ()))

    def put_back(self, batch: ChangeBatch) -> None:
        """Put a batch that was not applied in front again. Its collection is held until the batch is `done`."""
        self._waiting.setdefault(batch.collection, deque()).extendleft(reversed(batch.entries))
        self.waiting += len(batch.entries)
        self._held.add(batch.collection)

    def applied(self, batch: ChangeBatch) -> None:
        """Release the memory of a batch."""
        self.count -= len(batch.entries)
        self.size -= size_of(change for change, _ in batch.entries)

    def done(self, batch: ChangeBatch) -> None:
        """Let other batches have its keys."""
        taken = self._taken[batch.collection]
        taken -= batch.keys
        if not taken:
            del self._taken[batch.collection]
        self._held.discard(batch.collection)
        if self._waiting:
            self.ready.set()


def size_of(changes: Iterable[Change]) -> int:
    """Return the bytes of memory that changes take."""
    return sum(_OVERHEAD + (0 if change.raw is None else len(change.raw)) for change in changes)


def explained(error: DatabaseError) -> str:
    """Return the name of the error and its meaning: PostgreSQL's own text may hold documents."""
    meaning = sqlstates.meaning(error.sqlstate)
    return f"{error_label(error)}: {meaning}" if meaning else error_label(error)


class Applier:
    """Runs batches.

    finished(intent): one change of it is in PostgreSQL, or a dead letter (`intent.refused`). refused(intent): read its
    keys again. urgent: returns True if a request waits, so that a small batch must not wait for further changes.
    """

    def __init__(
        self,
        queue: Queue,
        target: TargetWriter,
        batch: int,
        *,
        finished: Callable[[Intent], None],
        refused: Callable[[Intent], None],
        urgent: Callable[[], bool],
        recent: RecentApplies,
    ) -> None:
        self._queue = queue
        self._recent = recent
        self._target = target
        self._batch = batch
        self._finished = finished
        self._refused = refused
        self._urgent = urgent
        self._apply_now = asyncio.Event()
        self._troubles: dict[str, str] = {}  # collection -> why its last batch was not applied

    @property
    def reachable(self) -> bool:
        """True if PostgreSQL took the last batch of every collection."""
        return not self._troubles

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Why batches wait, each reason once; no values of documents."""
        return tuple(dict.fromkeys(self._troubles.values()))

    def apply_now(self) -> None:
        """Run the next batch now: a request waits, or the batch is full."""
        self._apply_now.set()

    async def run(self) -> None:
        """Run one applier until cancelled."""
        backoff = Backoff()
        while True:
            await self._queue.ready.wait()
            if self._queue.waiting < self._batch and not self._urgent():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER):
                        await self._apply_now.wait()
            self._apply_now.clear()
            taken = self._queue.take(self._batch)
            if taken is None:
                continue
            await self._apply(taken, backoff)

    async def _apply(self, batch: ChangeBatch, backoff: Backoff) -> None:
        rows = newest(
            StampedVersion(change.key, change.rev, change.raw, intent.stamp) for change, intent in batch.entries
        )
        began = time.perf_counter()
        try:
            written = await self._target.write(batch.collection, rows)
        except DatabaseError as error:
            self._queue.put_back(batch)
            name, why = batch.collection, explained(error)
            if why not in self._troubles.values():
                log.warning("apply_failed", error=why, collection=name)
            self._troubles[name] = why
            await backoff.wait()
            self._queue.done(batch)
            return
        except BaseException:
            self._queue.put_back(batch)
            self._queue.done(batch)
            raise
        failpoints.reach("after-apply")
        metrics.BATCH_DURATION.observe(time.perf_counter() - began)
        if self._troubles.pop(batch.collection, None) is not None and self.reachable:
            log.info("apply_recovered")
        backoff.reset()
        self._queue.applied(batch)
        try:
            await self._settle(batch, written)
        finally:
            self._queue.done(batch)

    async def _settle(self, batch: ChangeBatch, written: ApplyResult) -> None:
        """Finish the intents of a batch. If this is cancelled midway, the rest stays open and is read again."""
        now = time.time()
        for number, (change, intent) in enumerate(batch.entries, 1):
            if change.key in written.reread:
                self._refused(intent)
            elif change.key in written.dead:
                intent.refused = True
                self._finished(intent)
            else:
                key, rev, removed = change.key, change.rev, change.raw is None
                self._recent.add(
                    Applied(batch.collection, key, rev, removed, intent.taken, now, "captured", intent.trace)
                )
                self._finished(intent)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
