"""One change of stages, carried out immediately or as an epoch that is driven through its phases.

Correctness rests on the compare-and-set of the control row, whose generation each step names; the advisory lock only
distinguishes an epoch that a controller drives from one whose controller is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import orjson

import sql
from proxy.base import failpoints
from proxy.base.config import Settings
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError, DatabaseUnavailable, PreconditionFailed
from proxy.control.rollback_budgets import RollbackBudget, arm, as_json
from proxy.control.transitions_plan import DesiredState, plan, to_target
from proxy.model.stages import Phase, Stage, Transition
from proxy.state import control_row, missing_writes

Result = TypeVar("Result")
POLL: Final = 0.03  # seconds between checks of the instances
_HELD_POLL: Final = 0.01  # and while requests are held
_PERSISTENCE: Final = 10.0  # seconds to keep asking about, or closing, an epoch that an outage of PostgreSQL left open
# queries wait for flip_hold_timeout at most, and the epoch is decided before the first of them gives up
_HELD_SHARE: Final = 0.8
_LOCK_TIMEOUT: Final = "55P03"
# milliseconds that one attempt waits for the writes that have tested who takes them, with the control row locked
_LOCK_WAIT: Final = 200


class TimedOut(PreconditionFailed):
    """Instances did not acknowledge in time; the epoch was aborted, and nothing changed."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instance that an epoch waits for, and why."""

    instance: str
    why: str


@dataclass(frozen=True, slots=True)
class EpochStep:
    """Progress of a change. phase: the current one, `settled` once committed; waiting: instances that it waits for."""

    phase: Phase
    waiting: tuple[Waiting, ...] = ()


Progress = Callable[[EpochStep], None]


def ignore_progress(_: EpochStep) -> None:
    """Ignore progress, for callers that do not show it."""


@dataclass(frozen=True, slots=True)
class EpochWork:
    """What a change does beside its phases, if it is one of who takes the writes; action: its name in the audit.

    confirm: in the transaction of the begin, with the control row locked: raise PreconditionFailed if what was decided
    does not hold any more. held: after the last phase, before the commit. committing: in the transaction of the commit,
    before the stages. acknowledged: every instance acknowledges the phases. closes: writes that PostgreSQL decides are
    told to pause before the begin, which waits for those under way.
    """

    action: str
    confirm: Callable[[Session], Awaitable[None]]
    held: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    committing: Callable[[Session], Awaitable[None]]
    acknowledged: bool = True
    closes: bool = False


@dataclass(slots=True)
class EpochRun:
    """One change in progress."""

    database: Database
    targets: Sequence[DesiredState]
    transitions: tuple[Transition, ...]
    settings: Settings
    actor: str
    reason: str | None
    timeout: float
    progress: Progress
    budget: RollbackBudget | None = None  # automatic rollback of the collections that are flipped afterwards
    judged: datetime | None = None  # PostgreSQL's clock before the gates were checked, if there were any
    work: EpochWork | None = None
    generation: int = 0  # of the last step: the next one compares it

    @property
    def _waited_too_long(self) -> str:
        return "queries have waited too long" if self.work is None else "writes have waited too long"

    async def change_immediately(self) -> tuple[int, int]:
        """Change in one compare-and-set, if what the decision rests on still holds."""
        async with self.database.transaction() as session:
            control = await control_row.lock(session)
            await self._confirm(session)
            await ensure_in(session, self.targets)
            back = any(transition.before.stage.at_least(Stage.FLIPPED) for transition in self.transitions)
            epoch, generation = await control_row.immediate(
                session,
                control,
                self.transitions,
                actor=self.actor,
                action="rollback" if back else "change",
                reason=self.reason,
                by=control_row.By.OPERATOR,
                detail={"auto_rollback": as_json(self.budget)} if self.budget is not None else None,
            )
            await self._arm(session, epoch)
            return epoch, generation

    async def run_phases(self, steps: tuple[Phase, ...], detail: Mapping[str, object]) -> tuple[int, int]:
        """Begin, collect the acknowledgements of each phase, commit. Abort the epoch if anything fails."""
        async with self.database.session() as driver:
            if not await driver.fetchval(sql.server.TRY_LOCK, control_row.DRIVER):
                raise PreconditionFailed(await _under_way(self.database))
            try:
                epoch = await self._begun(steps[0])
                try:
                    failpoints.reach("epoch-begun")
                    await self._walk(steps)
                    return epoch, await self._committed(epoch, detail)
                except BaseException as error:
                    await self._abort(error)
                    raise
            finally:
                with contextlib.suppress(DatabaseError):
                    await driver.execute(sql.server.UNLOCK, control_row.DRIVER)

    async def _begun(self, first: Phase) -> int:
        """Begin. If writes under way are waited for in vain, try again for a while."""
        if self.work is None or not self.work.closes:
            return await self._begin(first)
        limit = time.monotonic() + self.timeout
        try:
            while True:
                await self.database.execute(sql.promotion.PAUSE_WRITES)
                failpoints.reach("writes-paused")
                try:
                    return await self._begin(first)
                except DatabaseUnavailable as error:
                    if error.sqlstate != _LOCK_TIMEOUT or time.monotonic() > limit:
                        raise
        except BaseException:
            # if it stays, the instances end it once they see that no controller drives anything
            with contextlib.suppress(DatabaseError):
                await asyncio.shield(self._persistently(lambda: self.database.execute(sql.promotion.END_PAUSE)))
            raise

    async def _begin(self, first: Phase) -> int:
        async with self.database.transaction() as session:
            control = await control_row.lock(session)
            if control.open:  # no controller drives it, or it would hold the lock
                await control_row.give_up(
                    session, control.generation, actor=self.actor, reason="its controller went away"
                )
                control = await control_row.lock(session)
            if self.work is not None:
                await self.work.confirm(session)
            else:
                await self._confirm(session)
                await ensure_in(session, self.targets)
            if self.work is not None and self.work.closes:
                await session.fetchval(sql.complete.LOCK_WAIT, f"{_LOCK_WAIT}ms")
            epoch, self.generation = await control_row.begin(
                session, control, self.transitions, first, actor=self.actor, reason=self.reason
            )
            return epoch

    async def _walk(self, steps: tuple[Phase, ...]) -> None:
        held_until = None
        for position, phase in enumerate(steps):
            limit = time.monotonic() + self.timeout
            if phase is not Phase.BEGIN:
                held_until = held_until or time.monotonic() + _HELD_SHARE * self.settings.flip_hold_timeout
                limit = min(limit, held_until)
            if self.work is None or self.work.acknowledged:
                await self._acknowledged(phase, limit)
            if position + 1 < len(steps):
                await self._advance(steps[position + 1])
        if self.work is not None:
            await self._held(self.work, held_until or limit)

    async def _held(self, work: EpochWork, until: float) -> None:
        """Do what must be done while writes are held. Raise TimedOut if it takes too long."""
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await work.held(self._still_ours)
        except TimeoutError as error:
            raise TimedOut(f"{self._waited_too_long}: the epoch was aborted, nothing changed; try again") from error

    async def _acknowledged(self, phase: Phase, limit: float) -> None:
        """Wait until every registered instance acknowledged this generation. Raise TimedOut with their names."""
        while True:
            waiting = tuple(
                Waiting(row.instance, _why(row, self.generation))
                for row in await self.database.fetch(sql.control.WAITING_FOR, self.generation)
            )
            self.progress(EpochStep(phase, waiting))
            if not waiting:
                return
            await self._still_ours()
            if time.monotonic() > limit:
                named = "; ".join(f"{one.instance} {one.why}" for one in waiting)
                raise TimedOut(
                    f"phase {phase} was not acknowledged in time: {named}. The epoch was aborted, nothing changed. "
                    "Start a silent instance again, or evict it (`crossfade instances`)"
                )
            await asyncio.sleep(POLL if phase is Phase.BEGIN else _HELD_POLL)

    async def _still_ours(self) -> None:
        row = await self.database.fetchval(sql.control.CONTROL)
        if row.generation != self.generation:
            raise PreconditionFailed("the epoch was aborted by another command: see `crossfade audit`; nothing changed")

    async def _advance(self, phase: Phase) -> None:
        async with self.database.transaction() as session:
            control = await self._lock(session)
            self.generation = await control_row.advance(session, control, control.epoch, phase)

    async def _committed(self, epoch: int, detail: Mapping[str, object]) -> int:
        """Commit; if the answer is lost, ask PostgreSQL for the outcome.

        Raise what the commit raised if it did not happen, or if its outcome cannot be found. It is tried again if it
        waited in vain for statements that have tested who takes the writes; it fails once they are held too long.
        """
        while True:
            try:
                return await self._commit(detail)
            except DatabaseError as error:
                row = await self._persistently(self._outcome(epoch))
                if row is None or (row.outcome != "committed" and error.sqlstate != _LOCK_TIMEOUT):
                    raise
                if row.outcome == "committed":
                    return row.generation

    def _outcome(self, epoch: int) -> Callable[[], Awaitable[sql.control.EpochOutcomeRow]]:
        return lambda: self.database.fetchval(sql.control.EPOCH_OUTCOME, epoch)

    async def _persistently(self, ask: Callable[[], Awaitable[Result]]) -> Result | None:
        """Return the answer through an outage of some seconds; None if PostgreSQL stays away."""
        limit = time.monotonic() + _PERSISTENCE
        while True:
            try:
                return await ask()
            except DatabaseUnavailable:
                if time.monotonic() > limit:
                    return None
                await asyncio.sleep(POLL)

    async def _commit(self, detail: Mapping[str, object]) -> int:
        async with self.database.transaction() as session:
            control = await self._lock(session)
            if await session.fetchval(sql.control.HELD_TOO_LONG, _HELD_SHARE * self.settings.flip_hold_timeout):
                raise TimedOut(f"{self._waited_too_long}: the epoch was aborted, nothing changed; try again")
            if self.work is not None:
                await session.fetchval(sql.complete.LOCK_WAIT, f"{_LOCK_WAIT}ms")
                await self.work.committing(session)
            if self.budget is not None:
                detail = {**detail, "auto_rollback": as_json(self.budget)}
            generation = await control_row.commit(
                session,
                control,
                actor=self.actor,
                reason=self.reason,
                detail=detail,
                action="change" if self.work is None else self.work.action,
            )
            if self.work is not None:
                failpoints.reach("writer-changed")
            await self._arm(session, control.epoch)
            return generation

    async def _arm(self, session: Session, epoch: int) -> None:
        """Arm automatic rollback in the transaction after which reads may go to PostgreSQL."""
        flipped = [target.collection for target in self.targets if target.stage is Stage.FLIPPED]
        if self.budget is not None and flipped:
            await arm(session, flipped, epoch, self.budget, actor=self.actor)

    async def _lock(self, session: Session) -> control_row.Control:
        """Lock the control row; it must be at our generation, and acknowledged by every instance."""
        control = await control_row.lock(session)
        if control.generation != self.generation:
            raise PreconditionFailed("the epoch was aborted by another command: see `crossfade audit`; nothing changed")
        if self.work is not None and not self.work.acknowledged:
            return control
        late = await session.fetch(sql.control.WAITING_FOR, self.generation)
        if late:
            names = "; ".join(f"{row.instance} {_why(row, self.generation)}" for row in late)
            raise PreconditionFailed(
                f"an instance stopped acknowledging in the last moment: {names}. The epoch was aborted, try again"
            )
        return control

    async def _confirm(self, session: Session) -> None:
        """Require that the stages are those that the transitions start from: another change may have come between."""
        collections, defaults = await control_row.collection_states(session)
        if plan(self.targets, collections, defaults) != self.transitions:
            raise PreconditionFailed(
                "the stages were changed by another command meanwhile: see `crossfade status`, try again"
            )
        if to_target(self.transitions) and not [
            row for row in await session.fetch(sql.control.INSTANCES) if row.stopped_at is None
        ]:
            raise PreconditionFailed("no instance is registered: a flip needs a proxy")
        if self.judged is not None:
            recorded = await missing_writes.recorded_since(
                session, [transition.collection for transition in to_target(self.transitions)], self.judged
            )
            if recorded:
                raise PreconditionFailed(f"{recorded}: nothing changed, see `crossfade gates`")

    async def _abort(self, error: BaseException) -> None:
        """Close the epoch; if this fails, a later change or an instance finds it without a controller and closes it."""
        interrupted = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
        why = "its command was interrupted" if interrupted else str(error) or type(error).__name__

        async def close() -> bool:
            async with self.database.transaction() as session:
                return await control_row.give_up(session, self.generation, actor=self.actor, reason=why[:500])

        # if it stays open, the instances close it once they see that no controller drives it
        with contextlib.suppress(DatabaseError):
            await asyncio.shield(self._persistently(close))


def _why(row: sql.control.WaitingInstanceRow, generation: int) -> str:
    if row.diverged:
        return "is diverged"
    if row.lease_left <= 0 and row.heartbeat_age < 1 and row.backlog:
        return f"drains the journal of its last process (backlog {row.backlog})"
    if row.lease_left <= 0:
        return f"is silent for {row.heartbeat_age:.1f} s (process {row.pid} on {row.host})"
    if row.generation != generation:
        return f"still runs at generation {row.generation}"
    return f"has not met the phase's conditions (backlog {row.backlog})"


async def ensure_in(session: Session, targets: Sequence[DesiredState]) -> None:
    """Create the tables of collections that are to be mirrored; defaults and the stage `off` need none."""
    for target in targets:
        if target.is_default or target.stage is Stage.OFF:
            continue
        name, _, rest = target.collection.partition("/")
        await session.execute(sql.collections.ENSURE, name, rest, target.edge)
        await session.execute(sql.control.PRESENT_AGAIN, target.collection)


async def _under_way(database: Database) -> str:
    row = await database.fetchval(sql.control.CONTROL)
    if row.moves is None:
        return "another change is under way: try again in a moment"
    names = ", ".join(transition["collection"] for transition in orjson.loads(row.moves))
    return (
        f"epoch {row.epoch} of {row.actor} is under way (phase {row.phase}, for {row.open_seconds:.0f} s, "
        f"{names}): wait for it, or `crossfade rollback` those collections, which aborts it"
    )
