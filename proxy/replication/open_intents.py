"""Open intents of this process: in the journal, or in memory alone if the journal could not be written.

An intent is open from before its write is forwarded until it is closed, in one of the ways of `journal.intent.Ending`.
While its answer is worked on in memory it is *held*; `forget` leaves it to the journal alone, from which it is repaired
(`journal_drainer`). An *orphan* is an intent that the journal could not take: it has a negative number, and ends with
a mark of its collection, since a crash would lose it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Container, Sequence
from typing import Final
from weakref import WeakValueDictionary

import structlog

from proxy.base.errors import ArangoError, JournalError
from proxy.journal.intent import Ending, Intent
from proxy.journal.intent_index import IntentIndex
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite, Write
from proxy.journal.recovery import Recovery
from proxy.model.clock import age, uptime

log = structlog.get_logger(__name__)

_SYNC: Final = 60.0  # seconds between sync points of the journal
_UNKNOWN: Final = 86_400.0  # seconds


class OpenIntents:
    """The journal, and an index of it in memory.

    refuse: refuse writes while the journal cannot be written, instead of forwarding them without a record.
    """

    def __init__(self, journal: Journal, *, refuse: bool) -> None:
        self._journal = journal
        self._refuse = refuse
        self.index = IntentIndex()
        self.orphans: dict[int, Intent] = {}
        self.spilled = asyncio.Event()  # set when an intent is left to the journal, or becomes due there
        self._watched: WeakValueDictionary[int, Intent] = WeakValueDictionary()  # forgotten, and still referred to
        self._last_orphan, self._failing, self._started = 0, False, False

    async def start(self) -> Recovery:
        """Take the journal over from an earlier process. Raise JournalError."""
        recovery = await asyncio.to_thread(self._journal.open)  # a large backlog takes seconds, and heartbeats go on
        self.index.recovered(recovery.collections)
        self._started = True
        if recovery.open:
            log.info("open_intents_recovered", number=recovery.open)
        for reason in recovery.damaged:
            log.error("databases_unverified", reason=reason)
        if recovery.machine_stopped:
            log.warning("unsynced_writes_unverified")
        if recovery.unjournaled:
            log.error("unjournaled_writes_unverified")
        return recovery

    # ---- the life of an intent

    def open(self, collection: str, write: Write, *, stamp: int, since: int, trace: str) -> Intent:
        """Record an intent. Raise ArangoError 503 if the journal cannot be written and writes are refused then."""
        now, up = time.time(), uptime()
        try:
            seq = self._journal.intend(collection, write, stamp, now=now, up=up, since=since)
        except JournalError as error:
            if not self._failing:
                log.error(
                    "journal_full_writes_refused" if self._refuse else "journal_full_writes_forwarded", error=str(error)
                )
            self._failing = True
            if self._refuse:
                raise ArangoError(
                    503, "the proxy's journal cannot be written: writes are refused", status=503
                ) from error
            self._last_orphan -= 1
            seq = self._last_orphan
        else:
            self._failing = False
        intent = Intent(seq, collection, write, stamp, now, trace, up)
        if seq < 0:
            self._journal.unjournaled.set(on=True)
            self.orphans[seq] = intent
        self.index.begin(collection, intent.keys)
        return intent

    def learn(self, intent: Intent, keys: Sequence[str]) -> None:
        """Record keys that ArangoDB made, so that a crash from now on costs a re-read and no verification."""
        if intent.keys or not keys or intent.loose or not isinstance(intent.write, DocumentWrite):
            return
        write = DocumentWrite(tuple(dict.fromkeys(keys)))
        intent.name(write)
        if intent.seq >= 0:
            # on an error it stays one without keys, which costs a verification after a crash
            with contextlib.suppress(JournalError):
                self._journal.amend(intent.seq, intent.collection, write, intent.stamp, now=intent.taken, up=intent.up)
        self.index.add_keys(intent.collection, intent.keys)

    def forget(self, intent: Intent) -> bool:
        """Leave the intent to the journal. Return False if that was done before."""
        if intent.loose:
            return False
        intent.loose = True
        self._watched[intent.seq] = intent
        self.index.release_keys(intent.collection, intent.keys)
        return True

    def spill(self, seq: int) -> None:
        """Let a forgotten intent be repaired from the journal."""
        self._journal.spill(seq)
        self.spilled.set()

    def close(self, intent: Intent, how: Ending) -> None:
        """Close an intent that is held, in the journal."""
        intent.loose, intent.ending = True, how
        self.end(intent.seq, intent.collection, intent.keys, how)

    def end(self, seq: int, collection: str, keys: Sequence[str], how: Ending) -> None:
        """Close an intent by its number. keys: those that it is held under; none if it was forgotten."""
        if self._journal.complete(seq) if seq >= 0 else self.orphans.pop(seq, None) is not None:
            watched = self._watched.pop(seq, None)
            if watched is not None:
                watched.ending = how
            self.index.end(seq, collection, keys, how)
            if seq < 0 and not self.orphans:
                self._journal.unjournaled.set(on=False)

    def give_up(self, seq: int, collection: str) -> None:
        """Close a forgotten intent whose collection is marked."""
        self.end(seq, collection, (), Ending.GIVEN_UP)

    # ---- questions

    @property
    def number(self) -> int:
        """Open intents. At least 1 before the journal was read, which no one may take for an empty backlog."""
        return self._journal.open_intents + len(self.orphans) if self._started else 1

    @property
    def journaled(self) -> bool:
        """True if the journal took the last intent."""
        return not self._failing

    def is_open(self, intent: Intent) -> bool:
        """Return True if PostgreSQL may lack what this write did."""
        return intent.seq in self.orphans or (intent.seq >= 0 and self._journal.is_open(intent.seq))

    def oldest_age(self) -> float:
        """Return seconds since the oldest open intent, 0 if none is open. Raise JournalError if that is unknown."""
        if not self._started:
            raise JournalError("the journal was not read yet")
        ages = [age(intent.taken, intent.up) for intent in self.orphans.values()]
        oldest = self._journal.oldest()
        if oldest is not None:
            ages.append(age(oldest.time, oldest.up))
        return max(1e-6, *ages) if ages else 0.0

    def lag(self, without: Callable[[], Container[int]]) -> float:
        """Return seconds since the oldest open intent; a day if that is unknown, which is no time to catch up in.

        without: intents of transactions that run. What they wrote is not late: no one sees it before the commit, and
        the client decides when that is.
        """
        try:
            oldest = self._journal.oldest(without())
        except JournalError:
            return _UNKNOWN
        if self.orphans:
            first = next(iter(self.orphans.values()))
            return max(age(first.taken, first.up), 0.0 if oldest is None else age(oldest.time, oldest.up))
        return 0.0 if oldest is None else age(oldest.time, oldest.up)

    # ---- waiting

    async def ended(self, intent: Intent) -> Ending:
        """Wait until this intent is closed, for ever if PostgreSQL stays away, and return how (I7)."""
        if self.is_open(intent):
            return await self.index.ended(intent.seq)
        return intent.ending or Ending.APPLIED

    async def caught_up(self, collection: str, timeout: float) -> bool:
        """Wait until everything intended up to now for the collection is closed. Return False after `timeout`."""
        try:
            async with asyncio.timeout(timeout):
                await self.index.caught_up(collection, self._journal.next_seq, self._last_orphan)
        except TimeoutError:
            return False
        return True

    async def run_sync(self) -> None:
        """Make a sync point of the journal from time to time, until cancelled."""
        while True:
            await asyncio.sleep(_SYNC)
            try:
                await asyncio.to_thread(self._journal.begin_sync())
                self._journal.end_sync()
            except (JournalError, OSError) as error:
                self._journal.end_sync(done=False)
                log.warning("journal_sync_failed", error=str(error))
