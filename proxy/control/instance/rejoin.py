"""The steps of an instance before it may hold a lease again: drain its backlog, roll flips back.

**Rejoin.** The model (`rejoin_aborts`) lets every instance whose lease ran out roll the flip back when it comes back.
Its counterexamples need an instance that answered from ArangoDB *alone* meanwhile: others then continue with a
PostgreSQL that lacks what its clients have seen, for example another instance's write that is not applied yet. An
instance whose every answer was backed by both databases is no different from a slow one: PostgreSQL has all that its
clients saw, so it just renews its lease. It must drain and roll back first if
  - it answered alone (recorded by the file `alone`, so that a crash does not lose it),
  - it was diverged, now or in the row of its last process,
  - its state directory is an older copy: PostgreSQL may lack what it had forwarded,
  - it had been evicted: others continued without it,
  - it started without PostgreSQL and without remembered stages.

**A restart with open intents** (a kill) must drain first, but need not roll back: all that the last process
acknowledged while flipped is in both databases, and whatever it had forwarded without an answer is in its journal. No
instance reads from PostgreSQL while this one has no lease. It takes none before each of these intents was read again,
once its request can no longer run in ArangoDB (`lost_request_timeout`), and PostgreSQL has what ArangoDB has. What
cannot be read again ends in a mark or a dead letter, which ends the flip (`state.missing_writes`); so does what the
journal does not know: a record that could not be written (`unjournaled_marker`), a file that is missing or damaged, a
machine that stopped. While it drains, its own answers wait for both databases as before, so it does not answer alone.
Meanwhile ArangoDB answers queries on every instance, as at a weight below 100: only reads of documents are monotonic
(mirror-protocol, "Limits"). After an outage in which an instance answered alone it rolls back: its clients may have
seen another instance's write, which is in no journal of its own.

**A start without PostgreSQL and without remembered stages** (a new disk, or a clean stop before): answers come from
ArangoDB, which has every write, and every write is captured and journaled as at stage `mirror`. The instance counts as
having answered alone: when PostgreSQL is back it registers (from that moment the fence keeps every other instance off
PostgreSQL), drains, and rolls back whatever is flipped. Until then others cannot know of it: if PostgreSQL is
unreachable from this instance only, they may serve reads that lack its writes; only `start_without_postgresql = refuse`
excludes that.
"""

from __future__ import annotations

from typing import Final

import structlog

from proxy.base.database import Database
from proxy.control.instance.ack_conditions import AckConditions
from proxy.control.instance.deadline import Deadline
from proxy.control.instance.local_state import StateFiles
from proxy.model.stages import Snapshot, Stage
from proxy.state import control_row

log = structlog.get_logger(__name__)

_REASON: Final = "it came back: it had answered from ArangoDB alone, was diverged, evicted or without a memory"


class Rejoin:
    """The state that a lease depends on after trouble, and the steps that end it."""

    def __init__(
        self, database: Database, instance: str, conditions: AckConditions, files: StateFiles, *, timeout: float
    ) -> None:
        """timeout: seconds that a rollback may take."""
        self._database = database
        self._instance = instance
        self._conditions = conditions
        self._files = files
        self._timeout = timeout
        self._noted = False  # the file `alone` exists
        self._origin_only = False
        self.unsafe = False  # this instance must drain and roll back before it holds a lease again
        self.draining = False  # an earlier process left open intents: no lease before these are complete
        self.bounded = Deadline()

    @property
    def diverged(self) -> bool:
        """True if PostgreSQL lacks what this instance acknowledged, or if an operator forbade to read it."""
        return self._origin_only or self.unsafe

    def start(self) -> None:
        """Read what the last process left."""
        self._noted = self._files.alone
        self.unsafe = self._noted
        self.draining = not self._conditions.journal_clean()

    def check_files(self) -> None:
        """Look for the operator's file `origin-only`."""
        self._origin_only = self._files.origin_only
        self.unsafe = self.unsafe or self._origin_only

    def record_origin_only_ack(self) -> bool:
        """Note that an answer leaves without PostgreSQL; return False if that was noted before."""
        if self._noted:
            return False
        self._noted = self.unsafe = True
        self._files.record_origin_only_ack()
        return True

    async def done(self, snapshot: Snapshot) -> bool:
        """Take the next step; return True if the instance may hold a lease. Raise DatabaseError."""
        if self.unsafe and not await self._rolled_back(snapshot):
            return False
        if self.draining:
            flipped = _flipped(snapshot)
            if flipped and self._conditions.backlog(flipped) > 0:
                return False
            self.draining = False
            log.info("lease_allowed")
        return True

    async def _rolled_back(self, snapshot: Snapshot) -> bool:
        """Return True once nothing is flipped: the instance drains, then rolls back, then renews its lease."""
        if self._origin_only:
            return False
        flipped = _flipped(snapshot)
        if flipped:
            if self._conditions.backlog(flipped) == 0:
                await self.bounded(self._roll_back(snapshot.generation), self._timeout)
            return False
        # no await from here to the next heartbeat: no answer can leave without PostgreSQL in between
        self.unsafe = self._noted = False
        self._files.clear_alone()
        return True

    async def _roll_back(self, generation: int) -> None:
        async with self._database.transaction() as session:
            await control_row.roll_back_all(
                session, actor=f"instance {self._instance}", reason=_REASON, expected=generation
            )


def _flipped(snapshot: Snapshot) -> frozenset[str]:
    """Return the collections of which PostgreSQL serves what ArangoDB takes, or will when the open epoch commits.

    Promoted ones are not rolled back: PostgreSQL has every write of theirs, and ArangoDB may lack some. A demotion goes
    on, since it waits for no instance; afterwards an instance that must roll back finds them flipped.
    """
    states = snapshot.collections.items()
    transitions = snapshot.transitions.values()
    return frozenset(name for name, state in states if state.stage is Stage.FLIPPED) | frozenset(
        transition.collection
        for transition in transitions
        if transition.after.stage.at_least(Stage.FLIPPED) and not transition.withholds
    )
