"""Complete: ArangoDB gets no more writes of promoted collections, and nothing is asked of it.

PostgreSQL takes no writes of them from the begin on, until the reverse mirror has carried all that ArangoDB lacks; one
transaction then ends the carrying. What is carried goes under the lease of the applier, and a row goes once ArangoDB
has confirmed it: an empty outbox means that no push of these collections is under way (promotion-protocol, "Demote" 2).
There is no way back but an archive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

import sql
from proxy.base.config import Settings
from proxy.base.database import Database, Session
from proxy.base.errors import PreconditionFailed
from proxy.control.controller import Changed, learned
from proxy.control.epoch import EpochRun, EpochStep, EpochWork, Progress, TimedOut, Waiting, ignore_progress
from proxy.control.preflight import ask_instances
from proxy.control.promotion import transitions
from proxy.control.promotion.promote import JudgeGates, RefuseGates
from proxy.model.stages import Phase
from proxy.state import control_row

AtRest = Callable[[], Awaitable[None]]
_FEW: Final = 500  # writes that ArangoDB lacks and that are carried while writes are held
_POLL: Final = 0.1  # seconds between two looks at what ArangoDB lacks, before writes are held
_HELD_POLL: Final = 0.005  # and while they are


async def _nothing() -> None:
    """Do nothing: nobody looks at both databases while they are equal."""


async def complete(
    database: Database,
    collections: Sequence[str],
    *,
    settings: Settings,
    judge: JudgeGates,
    refusal: RefuseGates,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
    wait: bool = True,
    timeout: float = 30.0,
    progress: Progress = ignore_progress,
    at_rest: AtRest = _nothing,
) -> Changed:
    """Let ArangoDB get no more writes of all of these collections (`database/name`), or of none.

    Collections that are complete already are left out. timeout: seconds for ArangoDB to get nearly all writes before
    they are held. at_rest: awaited while both databases have the same documents and nobody writes them; it must return
    soon. Raise PreconditionFailed if a stage, a gate or another change forbids it; TimedOut; DatabaseError: then
    nothing changed, unless it is DatabaseUnavailable (`crossfade status`).
    """
    async with database.session() as session:
        states, _ = await control_row.collection_states(session)
        registered = [row for row in await session.fetch(sql.control.INSTANCES) if row.stopped_at is None]
        control = await session.fetchval(sql.control.CONTROL)
    planned = transitions.completion(collections, states)
    names = [transition.collection for transition in planned]
    gates = await judge(names)
    result = Changed(
        planned,
        (Phase.DRAIN,) if planned else (),
        control.epoch,
        control.generation,
        dry_run,
        gates,
        tuple(row.instance for row in registered),
    )
    if dry_run:
        return replace(result, reached=await ask_instances(registered, control.generation))
    why = refusal(gates)
    if why:
        raise PreconditionFailed(why)
    if not planned:
        return result
    began = time.monotonic()
    await _until_nearly_carried(database, names, timeout, progress)

    async def confirm(session: Session) -> None:
        now, _ = await control_row.collection_states(session)
        if transitions.completion(names, now) != planned:
            raise PreconditionFailed(
                "the stages were changed by another command meanwhile: see `crossfade status`, try again"
            )

    async def held(still_ours: Callable[[], Awaitable[None]]) -> None:
        before = -1
        while lacking := await database.fetchval(sql.promotion.LACKING, names):
            if lacking != before:
                progress(_draining(lacking))
            before = lacking
            await still_ours()
            await asyncio.sleep(_HELD_POLL)
        progress(_draining(0))
        await at_rest()

    async def committing(_: Session) -> None:
        """Nothing: the stages and who gets the writes change together (`control_row.carry_out`)."""

    run = EpochRun(
        database,
        targets=(),
        transitions=planned,
        settings=settings,
        actor=actor,
        reason=reason,
        timeout=timeout,
        progress=progress,
        work=EpochWork("complete", confirm, held, committing, acknowledged=False, closes=True),
    )
    figures = {name: {gate.name: f"{gate.verdict}: {gate.figures}" for gate in found} for name, found in gates.items()}
    epoch, generation = await run.run_phases((Phase.DRAIN,), {"gates": figures})
    progress(EpochStep(Phase.IDLE))
    behind = await learned(database, generation, 3 * settings.lease + 1 if wait else 0.0)
    return replace(result, epoch=epoch, generation=generation, behind=behind, seconds=time.monotonic() - began)


async def _until_nearly_carried(database: Database, names: Sequence[str], timeout: float, progress: Progress) -> None:
    """Wait until little is left to be carried while writes are held. Raise TimedOut."""
    until = time.monotonic() + timeout
    while (lacking := await database.fetchval(sql.promotion.LACKING, list(names))) > _FEW:
        progress(_draining(lacking))
        if time.monotonic() > until:
            raise TimedOut(
                f"ArangoDB lacks {lacking:,} writes of these collections: nothing changed. See `crossfade status` for "
                "what the reverse mirror does, and try again with a larger --timeout"
            )
        await asyncio.sleep(_POLL)


def _draining(lacking: int) -> EpochStep:
    return EpochStep(Phase.DRAIN, (Waiting("ArangoDB", f"lacks {lacking:,} writes"),) if lacking else ())
