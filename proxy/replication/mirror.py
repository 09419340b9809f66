"""The mirror as one thing: what the dispatcher tells, what the control plane asks, and the tasks that drain it.

    intend -> (origin) -> captured | close_intent | lost | mark                never blocks (I2)
    queue -> apply -> PostgreSQL;  journal -> repair -> origin, PostgreSQL;  marks -> PostgreSQL

An intent is open from `intend` until PostgreSQL has what was written, nothing was, or it is given up (I3, I10): said as
a mark or a dead letter, with the flips that it concerns taken back. `applied` tells which of the three it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Final, Protocol
from weakref import WeakValueDictionary

import structlog

from proxy.base import failpoints, metrics
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, JournalError, UpstreamError, error_label
from proxy.base.supervise import supervise
from proxy.isolation import Lane
from proxy.journal.intent import Intent, Settled
from proxy.journal.intent_index import IntentIndex
from proxy.journal.journal import Journal
from proxy.journal.records import CollectionChange, DocumentWrite, Note, OpaqueWrite, Resync, VertexRemoval, Write
from proxy.model.clock import OriginClock, age, uptime
from proxy.model.operations import Change
from proxy.model.parsed_answer import ParsedAnswer
from proxy.replication.applier import Applier, Queue, size_of
from proxy.replication.failover_detector import FailoverDetector
from proxy.replication.journal_drainer import JournalDrainer
from proxy.replication.key_repair import CannotRead, DocumentReader, KeyRepairer
from proxy.replication.recent_applies import KEPT, Applied, RecentApplies, sampled
from proxy.replication.resync import OriginLister, Resyncer
from proxy.replication.revision_scan import OriginScanner
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import Purger
from proxy.replication.trace import known
from proxy.replication.transaction_applier import TransactionApplier
from proxy.replication.verification_marks import VerificationMarks
from proxy.replication.versions import Version, is_superseded
from proxy.replication.write_reports import WriteReporter, oldest_open

log = structlog.get_logger(__name__)

_TICK: Final = 0.1  # seconds between looks at what is due, and of the gauges
_SYNC: Final = 60.0  # seconds between sync points of the journal
_TIME: Final = 10.0  # seconds between looks at the origin's clock; the first is waited for, so long
_FIRST_TIME: Final = 1.0
_LETTERS: Final = 15.0  # seconds between looks at dead letters
_LETTERS_AGAIN: Final = 60.0  # seconds after which one is tried again, and so many at a time
_LETTERS_AT_ONCE: Final = 100
_UNKNOWN: Final = 86_400.0  # seconds
_AT_ONCE: Final = 500  # documents of one write that are handed on between two turns of the event loop
_NOT_JOURNALED: Final = "the journal could not be written"


class Origin(DocumentReader, OriginScanner, OriginLister, Protocol):
    """All that the mirror reads from ArangoDB."""


class Mirror:
    """Owns its tasks; `start` and `close` them. `era`: the newest that this instance knows of."""

    def __init__(
        self, settings: Settings, database: Database, origin: Origin, instance: str, era: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._era = era
        self._journal = Journal(settings.state_dir / "journal", late=settings.lost_request_timeout)
        self._book = IntentIndex()
        self._clock = OriginClock()
        self._origin = origin
        self._recent = RecentApplies()
        self._queue = Queue(settings.queue_documents, settings.queue_bytes)
        self._target = TargetWriter(database, instance)
        self._marks = VerificationMarks(database, instance, self._posted)
        self.told = WriteReporter(
            database, instance, lambda: oldest_open(self._journal, self._orphans, started=self._started)
        )
        self._repairer = KeyRepairer(self._target, origin)
        self._sweeper = Resyncer(database, self._target, origin, self._repairer, self._marks, self._repaired)
        self._drainer = JournalDrainer(
            self._journal,
            self._target,
            self._repairer,
            origin,
            self._sweeper,
            self._marks,
            closed=self._repaired,
            read_again=self.told.looked,
        )
        self.together = TransactionApplier(self._target, self._applied, self.reread, self.told.wrote)
        self._timeline = FailoverDetector(database, instance)
        self._purger = Purger(database, self._target, settings.tombstone_seconds)
        self._applier = Applier(
            self._queue,
            self._target,
            settings.batch,
            finished=self._finished,
            refused=self.reread,
            urgent=lambda: self._book.hurried,
            recent=self._recent,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._lost: deque[tuple[float, array[int]]] = deque()  # (monotonic time when due, intents)
        self._orphans: dict[int, Intent] = {}  # open, and not in the journal
        self.unended: Callable[[], Container[int]] = tuple  # numbers of intents of transactions that run
        self._loose: WeakValueDictionary[int, Intent] = WeakValueDictionary()  # those that somebody still looks at
        self._orphan, self._failing, self._started = 0, False, False
        self.recovered: frozenset[str] = frozenset()  # databases in which an earlier process left open intents

    # ---- life

    async def start(self) -> None:
        """Takes the journal, and begins to drain what an earlier process left.

        Raises JournalError where another process has the directory, or where it cannot be read or written.
        """
        recovery = await asyncio.to_thread(self._journal.open)  # a large backlog takes seconds, and heartbeats go on
        self._book.recovered(recovery.collections)
        self.recovered = frozenset(name.partition("/")[0] for name in recovery.collections)
        self._started = True
        if recovery.open:
            log.info("open intents of an earlier process are repaired", number=recovery.open)
        for reason in recovery.damaged:
            log.error("every database becomes unverified", reason=reason)
        if recovery.machine_stopped:
            log.warning("the machine stopped: collections written since the last sync point become unverified")
        if recovery.unjournaled:
            log.error("an earlier process ended while it could not write its journal: every database is unverified")
        parts = (self._drainer, self._sweeper, self.together, self._marks, self._purger, self._timeline)
        works = [part.run for part in parts]
        works += [self._applier.run] * self._settings.apply_connections
        works += [self._watch, self._sync, self._letters, self._ask_time]
        with contextlib.suppress(TimeoutError):  # what is taken before the origin has shown a time is searched in all
            async with asyncio.timeout(_FIRST_TIME):
                await self._asked_time()
        self._tasks = [
            asyncio.create_task(supervise(work, "mirror"), name=f"mirror {work.__qualname__}") for work in works
        ]

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Drains for at most so long, stops, and leaves the rest to the next process."""
        until = time.monotonic() + drain_seconds
        while self._tasks and self.backlog and time.monotonic() < until:
            self._applier.hurry()
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        self._journal.close()

    def encode_by(self, lane: Lane) -> None:
        """Large documents are encoded for PostgreSQL in these workers from now on."""
        self._target.encode_by(lane)

    # ---- what the dispatcher tells

    def intend(
        self, collection: str, keys: tuple[str, ...] = (), *, revised: bool = False, trace: bytes | None = None
    ) -> Intent:
        """Record the intent of a write of documents, before it is forwarded. No keys: ArangoDB makes them.

        revised: whatever it writes has a new revision, so that a scan finds it should its keys never become known.
        trace: the request's `traceparent`. Raises ArangoError 503 if the journal cannot be written and
        `on_journal_error` is `refuse`; the write must then not be forwarded.
        """
        return self._intend(collection, DocumentWrite(keys, revised), trace)

    def intend_change(self, write: CollectionChange | VertexRemoval | OpaqueWrite) -> Intent:
        """Record the intent of a write of unknown extent in the collections that it names. Raises as `intend`.

        After a change or a removal `reread` compares them; after an opaque write `mark` marks them.
        """
        first, *others = write.collections
        collection = first.partition("/")[0] + "/*" if others else first
        if not isinstance(write, OpaqueWrite):
            self._sweeper.expect(write)
        return self._intend(collection, write, None)

    def _intend(self, collection: str, write: Write, trace: bytes | None) -> Intent:
        stamp, now, up = self._era(), time.time(), uptime()
        since = self._clock.shown if type(write) is DocumentWrite else 0
        try:
            seq = self._journal.intend(collection, write, stamp, now=now, up=up, since=since)
        except JournalError as error:
            refuse = self._settings.on_journal_error == "refuse"
            if not self._failing:
                log.error("writes are refused" if refuse else "writes are forwarded without a note", error=str(error))
            self._failing = True
            if refuse:
                raise ArangoError(
                    503, "the proxy's journal cannot be written: writes are refused", status=503
                ) from error
            self._orphan -= 1
            seq = self._orphan
        else:
            self._failing = False
        intent = Intent(seq, collection, write, stamp, now, sampled(trace), up)
        if seq < 0:  # a kill would lose it: the collection cannot be trusted from now on
            self._journal.unjournaled.set(True)
            self._orphans[seq] = intent
            if isinstance(write, Resync):  # there will be no resync: that the collection is missing would say nothing
                self._sweeper.kept(write)
            touched = (collection,) if isinstance(write, DocumentWrite) else write.collections
            self._marks.add(touched, _NOT_JOURNALED)
        self._book.begin(collection, intent.keys)
        return intent

    def answered(self, intent: Intent, captured: ParsedAnswer) -> None:
        """The origin answered a captured write: whatever `settle` made of it."""
        if captured.late:
            self.lost(intent)
        elif captured.complete:
            self.captured(intent, captured.changes)
        else:
            self.learn(intent, captured.written_keys)
            self.reread(intent)

    async def answered_gently(self, intent: Intent, captured: ParsedAnswer) -> None:
        """The same; of many documents some at a time, between which the event loop has its turn (`_capturing`)."""
        if captured.late or not captured.complete or len(captured.changes) <= _AT_ONCE:
            self.answered(intent, captured)
            return
        for _ in self._capturing(intent, captured.changes):
            await asyncio.sleep(0)

    def captured(self, intent: Intent, changes: Sequence[Change]) -> None:
        """These versions were written, and nothing else; they go to PostgreSQL."""
        for _ in self._capturing(intent, changes):
            pass

    def _capturing(self, intent: Intent, changes: Sequence[Change]) -> Iterator[None]:
        """`captured` in steps. Whatever happens between two of them finds the intent open, with all its keys.

        In this order: the keys are known, everything is told, and only then does anything go to PostgreSQL. So nothing
        of it can be settled before it is told, and an intent that ends here for want of room, of PostgreSQL's or by a
        kill is read again whole.
        """
        failpoints.reach("before-settle")
        if not changes:
            self.close_intent(intent)
            return
        self.learn(intent, [change.key for change in changes])
        parts = [changes[start : start + _AT_ONCE] for start in range(0, len(changes), _AT_ONCE)]
        size = 0
        for number, part in enumerate(parts):
            if number:
                yield
            self.told.wrote(part)
            self._clock.wrote(part)
            size += size_of(part)
        intent.remaining = len(changes)
        fits = self._queue.fits(len(changes), size)  # else no part of it takes the room of others
        for number, part in enumerate(parts):
            if number:
                yield
            if intent.loose:  # PostgreSQL refused a part: all of it is read again
                return
            if not fits or not self._queue.put(intent, part):
                self.reread(intent)
                return
            if self._queue.waiting >= self._settings.batch:
                self._applier.hurry()

    def close_intent(self, intent: Intent) -> None:
        """The origin wrote nothing, or nothing that no other intent covers."""
        if intent.seq >= 0 and isinstance(intent.write, Resync):
            self._sweeper.kept(intent.write)
        self._done(intent, Settled.NOTHING)

    def lost(self, intent: Intent) -> None:
        """Nobody knows the outcome: read again when the request can no longer run at the origin."""
        if self._loosen(intent):
            due = time.monotonic() + self._settings.lost_request_timeout
            if not self._lost or self._lost[-1][0] < due - _TICK:
                self._lost.append((due + _TICK, array("q")))
            self._lost[-1][1].append(intent.seq)

    def reread(self, intent: Intent) -> None:
        """The request has ended, and its keys must be read again."""
        if self._loosen(intent):
            self._spill(intent.seq)

    def mark(self, intent: Intent) -> None:
        """An opaque write was carried out: its collections need a verification."""
        assert isinstance(intent.write, OpaqueWrite)
        if self._loosen(intent):
            self._marks.add(intent.write.collections, intent.write.reason, intent.seq, intent.collection)

    # ---- what others ask

    @property
    def backlog(self) -> int:
        """Open intents. Never 0 before the journal was read: nobody may take that for an empty backlog."""
        return self._journal.open_intents + len(self._orphans) if self._started else 1

    def is_open(self, intent: Intent) -> bool:
        """Whether PostgreSQL may lack what this write did."""
        return intent.seq in self._orphans or (intent.seq >= 0 and self._journal.is_open(intent.seq))

    def backlog_of(self, collection: str) -> int:
        """Open intents that may concern the collection."""
        return self._book.open_of(collection)

    @property
    def queued(self) -> int:
        """Documents in memory."""
        return self._queue.count

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest open intent; a day where the journal does not tell it: that is no time to catch up in.

        What a transaction that runs wrote is not behind: nobody sees it before its commit, and its client decides when.
        """
        try:
            oldest = self._journal.oldest(self.unended())
        except JournalError:
            return _UNKNOWN
        if self._orphans:
            first = next(iter(self._orphans.values()))
            return max(age(first.taken, first.up), 0.0 if oldest is None else age(oldest.time, oldest.up))
        return 0.0 if oldest is None else age(oldest.time, oldest.up)

    def pending(self, collection: str, keys: Iterable[str]) -> bool:
        """Whether an open write may concern one of these keys; in doubt, yes."""
        return self._book.pending(collection, keys)

    def trace(self, collection: str, key: str) -> dict[str, object]:
        """What this instance knows of one document, as JSON."""
        return known(
            collection,
            key,
            book=self._book,
            queue=self._queue,
            journal=self._journal,
            orphans=self._orphans.values(),
            recent=self._recent,
        )

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Why the backlog does not drain, as far as PostgreSQL is the cause; no values of documents."""
        return self._applier.waits_for

    def stats(self) -> dict[str, object]:
        """For `/status`."""
        return {
            "backlog": self.backlog,
            "queued": self.queued,
            "queued_bytes": self._queue.size,
            "lag_seconds": round(self.lag_seconds, 3),
            "marks": self._marks.waiting,
            "journaled": not self._failing,
            "target": self._applier.reachable,
        }

    async def applied(self, intent: Intent) -> Settled:
        """Until this intent is settled, and how (I7): GIVEN_UP says that PostgreSQL may lack it, and is not read.

        As long as PostgreSQL is away, for ever.
        """
        if self.is_open(intent):
            self._applier.hurry()
            return await self._book.settled(intent.seq)
        return intent.settled or Settled.APPLIED

    async def caught_up(self, collection: str, timeout: float) -> bool:
        """Whether, within so many seconds, everything intended up to now for the collection is settled."""
        self._applier.hurry()
        try:
            async with asyncio.timeout(timeout):
                await self._book.caught_up(collection, self._journal.next_seq, self._orphan)
        except TimeoutError:
            return False
        return True

    async def bring_up(
        self, collection: str, changes: Sequence[Change], absent: Sequence[str] = (), *, stamp: int | None = None
    ) -> Settled:
        """The target has at least these versions, and what the origin has of `absent` (mirror-protocol, "Flip", 2).

        GIVEN_UP where it cannot have them: that is said, and flips of the collection are taken back, when it returns.

        stamp: the era known before the origin was asked; without it what is missing is read again. Raises
        DatabaseError, UpstreamError, and ArangoError where the origin refuses the proxy's own account.
        """
        left, dead = set(absent), False
        if changes:
            stored = await self._target.revisions(collection, [change.key for change in changes])
            rows = [Version(change.key, change.rev, change.raw, stamp or 0) for change in changes]
            rows = [row for row in rows if not is_superseded(row, stored.get(row.key))]
            if rows and stamp is not None:
                written = await self._target.write(collection, rows)
                left, dead = left | written.reread, bool(written.dead)
            else:
                left |= {row.key for row in rows}
        try:
            while left:
                repaired = await self._repairer.until_done(collection, sorted(left))
                left, dead = set(repaired.left), dead or bool(repaired.dead)
        except CannotRead as error:
            await self._marks.say((collection,), f"the origin could not be read: {error}")
            return Settled.GIVEN_UP
        return Settled.GIVEN_UP if dead else Settled.APPLIED

    # ---- settling

    def learn(self, intent: Intent, keys: Sequence[str]) -> None:
        """Keys that ArangoDB made are noted, so that a kill from now on costs a re-read and no verification."""
        if not isinstance(intent.write, DocumentWrite) or intent.keys or not keys or intent.loose:
            return
        intent.write = write = DocumentWrite(tuple(dict.fromkeys(keys)))
        if intent.seq >= 0:
            with contextlib.suppress(JournalError):  # then it stays one without keys: unverified after a kill
                self._journal.amend(intent.seq, intent.collection, write, intent.stamp, now=intent.taken, up=intent.up)
        self._book.named(intent.collection, intent.keys)

    def _finished(self, intent: Intent) -> None:
        intent.remaining -= 1
        if intent.remaining <= 0:
            self._done(intent, Settled.GIVEN_UP if intent.refused else Settled.APPLIED)

    def _applied(self, intent: Intent) -> None:
        """PostgreSQL has all of it, in one transaction with others."""
        self._done(intent, Settled.APPLIED)

    def _done(self, intent: Intent, how: Settled) -> None:
        """Memory saw to it. What the journal does not have ends with its mark: a kill would have lost it until then."""
        if intent.loose:
            return
        if intent.seq < 0:
            self._loosen(intent)
            self._spill(intent.seq)
            return
        intent.loose, intent.settled = True, how
        self._end(intent.seq, intent.collection, intent.keys, how)

    def _loosen(self, intent: Intent) -> bool:
        """Memory forgets the intent; false where it did already."""
        if intent.loose:
            return False
        intent.loose = True
        self._loose[intent.seq] = intent
        self._book.loosen(intent.collection, intent.keys)
        return True

    def _spill(self, seq: int) -> None:
        if seq >= 0:
            self._journal.spill(seq)
            self._drainer.wake()
        else:  # there is nothing to read its keys from
            collection = self._orphans[seq].collection
            self._marks.add((collection,), _NOT_JOURNALED, seq, collection)

    def _repaired(self, note: Note, how: Settled) -> None:
        now = time.time()
        self.told.repaired(note)
        for key in note.write.keys[-KEPT:] if isinstance(note.write, DocumentWrite) else ():
            self._recent.add(Applied(note.collection, key, 0, False, note.time, now, "read again", ""))
        self._end(note.seq, note.collection, (), how)

    def _posted(self, seq: int, collection: str) -> None:
        self._end(seq, collection, (), Settled.GIVEN_UP)

    def _end(self, seq: int, collection: str, keys: Sequence[str], how: Settled) -> None:
        if self._journal.complete(seq) if seq >= 0 else self._orphans.pop(seq, None) is not None:
            watched = self._loose.pop(seq, None)
            if watched is not None:
                watched.settled = how
            self._book.end(seq, collection, keys, how)
            if seq < 0 and not self._orphans:
                self._journal.unjournaled.set(False)

    # ---- from time to time

    async def _watch(self) -> None:
        while True:
            now = time.monotonic()
            while self._lost and self._lost[0][0] <= now:
                for seq in self._lost.popleft()[1]:
                    self._spill(seq)
            self._drainer.wake()  # intents of an earlier process become due as well
            metrics.OPEN_INTENTS.set(self.backlog)
            metrics.QUEUE_DOCUMENTS.set(self.queued)
            metrics.LAG_SECONDS.set(self.lag_seconds)
            await asyncio.sleep(_TICK)

    async def _ask_time(self) -> None:
        while True:
            await asyncio.sleep(_TIME if self._clock.shown else _TICK)
            await self._asked_time()

    async def _asked_time(self) -> None:
        with contextlib.suppress(UpstreamError, ArangoError, ValueError):
            self._clock.said(await self._origin.time_now("_system"))

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(_SYNC)
            try:
                await asyncio.to_thread(self._journal.begin_sync())
                self._journal.end_sync()
            except (JournalError, OSError) as error:
                self._journal.end_sync(done=False)
                log.warning("the journal could not be synced", error=str(error))

    async def _letters(self) -> None:
        while True:
            with contextlib.suppress(DatabaseError):
                await self._target.dead_letters.revive()
                await self.retry_letters(_LETTERS_AGAIN)
            await asyncio.sleep(_LETTERS)

    async def retry_letters(self, seconds: float) -> None:
        """Dead letters that nobody has tried for so long are read again and written, as far as PostgreSQL takes them.

        So they heal by themselves once the index, the trigger or the type is mended; a new write, a repair and a
        verification take them back too (a verification: those of documents that either side has). Raises DatabaseError.
        """
        for collection, keys in (await self._target.dead_letters.due(seconds, _LETTERS_AT_ONCE)).items():
            try:
                await self._repairer.until_done(collection, keys)
            except (UpstreamError, ArangoError, CannotRead) as error:
                log.debug("dead letters wait", collection=collection, error=error_label(error))
