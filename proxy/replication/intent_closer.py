"""Closes intents as the parts of the mirror finish with them, or leaves them to the journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from proxy.journal.intent import Ending, Intent
from proxy.journal.records import DocumentWrite, Note, Resync
from proxy.replication.open_intents import OpenIntents
from proxy.replication.recent_applies import KEPT, Applied, RecentApplies
from proxy.replication.verification_marks import VerificationMarks
from proxy.replication.write_reports import WriteReporter

NOT_JOURNALED: Final = "the journal could not be written"


class IntentCloser:
    """Whatever is closed was reported to PostgreSQL before (`write_reports`).

    resync(note): carry out a resync that the journal does not hold.
    """

    def __init__(
        self,
        intents: OpenIntents,
        marks: VerificationMarks,
        reports: WriteReporter,
        recent: RecentApplies,
        resync: Callable[[Note], None],
    ) -> None:
        self._intents = intents
        self._marks = marks
        self._reports = reports
        self._recent = recent
        self._resync = resync

    def close(self, intent: Intent, how: Ending) -> None:
        """Close an intent that is held. An orphan ends with its mark, since a crash would have lost it until then."""
        if intent.loose:
            return
        if intent.seq < 0:
            self._intents.forget(intent)
            self._mark(intent)
            return
        self._intents.close(intent, how)

    def change_applied(self, intent: Intent) -> None:
        """Note that one change of an intent is in PostgreSQL, or a dead letter. The last one closes the intent."""
        intent.remaining -= 1
        if intent.remaining <= 0:
            self.close(intent, Ending.GIVEN_UP if intent.refused else Ending.APPLIED)

    def applied(self, intent: Intent) -> None:
        """Close an intent whose changes PostgreSQL took in one transaction with others."""
        self.close(intent, Ending.APPLIED)

    def reread(self, intent: Intent) -> None:
        """Leave an intent to the journal: its request has ended, and its keys must be read again."""
        if self._intents.forget(intent):
            self.spill(intent.seq)

    def spill(self, seq: int) -> None:
        """Let a forgotten intent be repaired from the journal.

        An orphan has its collection marked. Its resync is carried out from memory: a verification cannot do that, since
        it refuses a collection that ArangoDB does not have any more.
        """
        if seq >= 0:
            self._intents.spill(seq)
            return
        orphan = self._intents.orphans[seq]
        self._mark(orphan)
        if isinstance(orphan.write, Resync):
            self._resync(Note(seq, orphan.taken, orphan.stamp, orphan.collection, orphan.write, orphan.up))

    def _mark(self, orphan: Intent) -> None:
        self._marks.add((orphan.collection,), NOT_JOURNALED, orphan.seq, orphan.collection)

    def repaired(self, note: Note, how: Ending) -> None:
        """Close an intent of the journal: all that it wrote was read again."""
        now = time.time()
        self._reports.repaired(note)
        for key in note.write.keys[-KEPT:] if isinstance(note.write, DocumentWrite) else ():
            self._recent.add(
                Applied(
                    note.collection, key, 0, removed=False, taken=note.time, applied=now, how="read again", trace=""
                )
            )
        self._intents.end(note.seq, note.collection, (), how)
