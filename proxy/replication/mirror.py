"""The mirror as one object: what capture reports, what control asks, and the tasks that drain it.

    intend -> (origin) -> captured | close_intent | lost | reread | mark       never blocks (I2)
    queue -> apply -> PostgreSQL;  journal -> repair -> origin, PostgreSQL;  marks -> PostgreSQL

An intent is open from `intend` until PostgreSQL has what was written, nothing was, or it is given up (I3, I10): with a
mark or a dead letter, and the flips that it concerns taken back. `applied` returns which of the three it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final, Protocol

import structlog

from proxy.base import failpoints, metrics
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, UpstreamError
from proxy.base.supervise import supervise
from proxy.isolation import Lane
from proxy.journal.intent import Ending, Intent
from proxy.journal.journal import Journal
from proxy.journal.records import CollectionChange, DocumentWrite, Note, OpaqueWrite, Resync, VertexRemoval, Write
from proxy.model.clock import OriginClock
from proxy.model.operations import Change
from proxy.replication.applier import Applier, Queue, size_of
from proxy.replication.collection_resync import CollectionResync, OriginLister
from proxy.replication.dropped_collections import DroppedCollections
from proxy.replication.expiry_following import ExpiryFollower, IndexReader
from proxy.replication.failover_detector import FailoverDetector
from proxy.replication.intent_closer import NOT_JOURNALED, IntentCloser
from proxy.replication.journal_drainer import JournalDrainer
from proxy.replication.key_repair import DocumentReader, KeyRepairer
from proxy.replication.lost_requests import LostRequests
from proxy.replication.open_intents import OpenIntents
from proxy.replication.origin_time import OriginTime
from proxy.replication.recent_applies import RecentApplies, sampled
from proxy.replication.resync import Resyncer
from proxy.replication.revision_scan import OriginScanner
from proxy.replication.target_catch_up import TargetCatchUp
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import Purger
from proxy.replication.trace import known
from proxy.replication.transaction_applier import TransactionApplier
from proxy.replication.verification_marks import VerificationMarks
from proxy.replication.write_reports import WriteReporter

log = structlog.get_logger(__name__)

_TICK: Final = 0.1  # seconds between two checks for lost requests that are due, and of the gauges
_AT_ONCE: Final = 500  # documents of one write that are handed on between two turns of the event loop


class OriginReads(DocumentReader, OriginScanner, OriginLister, IndexReader, Protocol):
    """All that the mirror reads from ArangoDB."""


class Mirror:
    """Owns its tasks; `start` and `close` them.

    era: the newest that this instance knows of. running_intents: numbers of the intents of transactions that run.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        origin: OriginReads,
        instance: str,
        era: Callable[[], int],
        running_intents: Callable[[], Container[int]] = tuple,
    ) -> None:
        self._settings = settings
        self._era = era
        self._running_intents = running_intents
        self._journal = Journal(settings.state_dir / "journal", late=settings.lost_request_timeout)
        self._intents = OpenIntents(self._journal, refuse=settings.on_journal_error == "refuse")
        self._lost = LostRequests(settings.lost_request_timeout, _TICK)
        self._clock = OriginClock()
        self._recent = RecentApplies()
        self._queue = Queue(settings.queue_documents, settings.queue_bytes)
        self._target = TargetWriter(database, instance)
        self._marks = VerificationMarks(database, instance, self._intents.give_up)
        self.reports = WriteReporter(database, instance, self._intents.oldest_age)
        self._closer = closer = IntentCloser(self._intents, self._marks, self.reports, self._recent, self._resync)
        repairer = KeyRepairer(self._target, origin)
        self._expiry = ExpiryFollower(database, origin, repairer)
        self.catch_up = TargetCatchUp(self._target, repairer, self._marks)
        self._dropped = DroppedCollections()
        collections = CollectionResync(database, self._target, origin, repairer, self._dropped)
        self._resyncer = Resyncer(collections, self._dropped, self._marks, closer.repaired)
        self.transactions = TransactionApplier(self._target, closer.applied, closer.reread, self.reports.wrote)
        self._applier = Applier(
            self._queue,
            self._target,
            settings.batch,
            finished=closer.change_applied,
            refused=closer.reread,
            urgent=lambda: self._intents.index.has_waiters,
            recent=self._recent,
        )
        self._origin_time = OriginTime(origin, self._clock)
        drainer = JournalDrainer(
            self._journal,
            self._intents.spilled,
            self._target,
            repairer,
            origin,
            self._resyncer,
            self._dropped,
            self._marks,
            closed=closer.repaired,
            read_again=self.reports.reread,
        )
        self._works = [
            drainer.run,
            self._resyncer.run,
            self.transactions.run,
            self._marks.run,
            Purger(database, self._target, settings.tombstone_seconds).run,
            FailoverDetector(database, instance).run,
            *[self._applier.run] * settings.apply_connections,
            self._watch,
            self._intents.run_sync,
            self.catch_up.run,
            self._expiry.run,
            self._origin_time.run,
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self.recovered: frozenset[str] = frozenset()  # databases in which an earlier process left open intents

    # ---- life

    async def start(self) -> None:
        """Take the journal over, and begin to drain what an earlier process left.

        Raise JournalError if another process has the directory, or if it cannot be read or written.
        """
        recovery = await self._intents.start()
        self.recovered = frozenset(name.partition("/")[0] for name in recovery.collections)
        await self._origin_time.read_first()
        self._tasks = [
            asyncio.create_task(supervise(work, "mirror"), name=f"mirror {work.__qualname__}") for work in self._works
        ]

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Drain for at most that many seconds, stop, and leave the rest to the next process."""
        until = time.monotonic() + drain_seconds
        while self._tasks and self.backlog and time.monotonic() < until:
            self._applier.apply_now()
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        self._journal.close()

    def use_encoding_workers(self, lane: Lane) -> None:
        """Encode large documents for PostgreSQL in these workers from now on."""
        self._target.use_encoding_workers(lane)

    # ---- what capture reports

    def intend(
        self, collection: str, keys: tuple[str, ...] = (), *, revised: bool = False, trace: bytes | None = None
    ) -> Intent:
        """Record the intent of a write of documents, before it is forwarded. No keys: ArangoDB makes them.

        revised: whatever it writes has a new revision, so that a scan finds it if its keys never become known.
        trace: the request's `traceparent`. Raise ArangoError 503 if the journal cannot be written and
        `on_journal_error` is `refuse`; the write must then not be forwarded.
        """
        return self._intend(collection, DocumentWrite(keys, revised), trace)

    def intend_change(self, write: CollectionChange | VertexRemoval | OpaqueWrite) -> Intent:
        """Record the intent of a write of unknown extent in the collections that it names. Raise as `intend`.

        After a change or a removal `reread` compares them; after an opaque write `mark` marks them.
        """
        first, *others = write.collections
        collection = first.partition("/")[0] + "/*" if others else first
        intent = self._intend(collection, write, None)
        if not isinstance(write, OpaqueWrite):
            self._dropped.expect(write)
        return intent

    def _resync(self, note: Note) -> None:
        """Resync for an intent that the journal does not hold."""
        self._resyncer.add(note)

    def _intend(self, collection: str, write: Write, trace: bytes | None) -> Intent:
        since = self._clock.shown if type(write) is DocumentWrite else 0
        intent = self._intents.open(collection, write, stamp=self._era(), since=since, trace=sampled(trace))
        if intent.seq < 0:  # a crash would lose it: the collection needs a verification
            touched = (collection,) if isinstance(write, DocumentWrite) else write.collections
            self._marks.add(touched, NOT_JOURNALED)
        return intent

    def captured(self, intent: Intent, changes: Sequence[Change]) -> None:
        """Take the versions that were written, and nothing else; they go to PostgreSQL."""
        for _ in self._capturing(intent, changes):
            pass

    async def captured_in_turns(self, intent: Intent, changes: Sequence[Change]) -> None:
        """As `captured`, some documents at a time: between them the event loop has its turn (`_capturing`)."""
        for _ in self._capturing(intent, changes):
            await asyncio.sleep(0)

    def _capturing(self, intent: Intent, changes: Sequence[Change]) -> Iterator[None]:
        """Carry out `captured` in steps. Between two of them the intent is open, with all its keys.

        The order: the keys are recorded, everything is reported, and only then anything goes to PostgreSQL. So nothing
        of it can be closed before it is reported. If the queue is full, PostgreSQL refuses a part or the process is
        killed, the whole write is read again.
        """
        failpoints.reach("before-complete")
        if not changes:
            self.close_intent(intent)
            return
        self.learn(intent, [change.key for change in changes])
        parts = [changes[start : start + _AT_ONCE] for start in range(0, len(changes), _AT_ONCE)]
        size = 0
        for number, part in enumerate(parts):
            if number:
                yield
            self.reports.wrote(part)
            self._clock.observe_changes(part)
            size += size_of(part)
        intent.remaining = len(changes)
        fits = self._queue.fits(len(changes), size)  # else no part of it takes the room of others
        for number, part in enumerate(parts):
            if number:
                yield
            if intent.loose:  # PostgreSQL refused a part: the whole write is read again
                return
            if not fits or not self._queue.put(intent, part):
                self.reread(intent)
                return
            if self._queue.waiting >= self._settings.batch:
                self._applier.apply_now()

    def close_intent(self, intent: Intent) -> None:
        """Close an intent whose write did nothing, or nothing that no other intent covers."""
        if isinstance(intent.write, Resync):
            self._dropped.kept(intent.write)
        self._closer.close(intent, Ending.NOTHING)

    def lost(self, intent: Intent) -> None:
        """Note that the outcome is unknown: its keys are read again when the request can no longer run at ArangoDB."""
        if self._intents.forget(intent):
            self._lost.add(intent.seq, time.monotonic())

    def reread(self, intent: Intent) -> None:
        """Have the keys of an intent read again: its request has ended."""
        self._closer.reread(intent)

    def mark(self, intent: Intent) -> None:
        """Mark the collections of an opaque write that was carried out."""
        assert isinstance(intent.write, OpaqueWrite)
        if self._intents.forget(intent):
            self._marks.add(intent.write.collections, intent.write.reason, intent.seq, intent.collection)

    def learn(self, intent: Intent, keys: Sequence[str]) -> None:
        """Record keys that ArangoDB made, so that a crash from now on costs a re-read and no verification."""
        self._intents.learn(intent, keys)

    # ---- what others ask

    @property
    def backlog(self) -> int:
        """Open intents. At least 1 before the journal was read, which no one may take for an empty backlog."""
        return self._intents.number

    @property
    def queued(self) -> int:
        """Documents in memory."""
        return self._queue.count

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest open intent, but for those of transactions that run; a day if that is unknown."""
        return self._intents.lag(self._running_intents)

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The reasons for which the backlog does not drain, if PostgreSQL is the cause; no values of documents."""
        return self._applier.waits_for

    def is_open(self, intent: Intent) -> bool:
        """Return True if PostgreSQL may lack what this write did."""
        return self._intents.is_open(intent)

    def backlog_of(self, collection: str) -> int:
        """Return the number of open intents that may concern the collection."""
        return self._intents.index.open_of(collection)

    def trace(self, collection: str, key: str) -> dict[str, object]:
        """Return what this instance knows of one document, as JSON."""
        return known(
            collection,
            key,
            book=self._intents.index,
            queue=self._queue,
            journal=self._journal,
            orphans=self._intents.orphans.values(),
            recent=self._recent,
        )

    async def applied(self, intent: Intent) -> Ending:
        """Wait until this intent is closed, for ever if PostgreSQL stays away, and return how (I7).

        GIVEN_UP: PostgreSQL may lack it, and is not read.
        """
        if self.is_open(intent):
            self._applier.apply_now()
        return await self._intents.ended(intent)

    async def caught_up(self, collection: str, timeout: float) -> bool:
        """Wait until everything intended up to now for the collection is closed. Return False after `timeout`."""
        self._applier.apply_now()
        return await self._intents.caught_up(collection, timeout)

    async def agreed(self, collection: str, timeout: float) -> bool:
        """Wait until PostgreSQL has what was intended up to now, and lacks what ArangoDB has expired.

        Return False after `timeout`, or if one of them does not answer.
        """
        if not await self.caught_up(collection, timeout):
            return False
        try:
            await self._expiry.follow(collection)
        except (DatabaseError, UpstreamError, ArangoError):
            return False
        return True

    async def ensure_target_has(
        self, collection: str, changes: Sequence[Change], absent: Sequence[str] = (), *, stamp: int | None = None
    ) -> Ending:
        """Make PostgreSQL have at least these versions: see `TargetCatchUp.ensure`."""
        return await self.catch_up.ensure(collection, changes, absent, stamp)

    async def _watch(self) -> None:
        while True:
            for seq in self._lost.due(time.monotonic()):
                self._closer.spill(seq)
            self._intents.spilled.set()  # intents of an earlier process become due as well
            metrics.OPEN_INTENTS.set(self.backlog)
            metrics.QUEUE_DOCUMENTS.set(self.queued)
            metrics.LAG_SECONDS.set(self.lag_seconds)
            await asyncio.sleep(_TICK)
