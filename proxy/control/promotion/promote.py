"""Promote: PostgreSQL takes the writes of flipped collections (promotion-protocol, "Promote").

Every proxy holds their writes, and acknowledges once none of its own is under way. Then ArangoDB's users lose the right
to write them, ArangoDB is asked for a revision, and one transaction lets PostgreSQL take the writes with revisions
above it. Held writes are carried out by PostgreSQL then, or by ArangoDB if the epoch was aborted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sql
from proxy.base import failpoints
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, DatabaseError, PreconditionFailed, UpstreamError
from proxy.control.controller import Changed, learned
from proxy.control.epoch import EpochRun, EpochStep, EpochWork, Progress, ignore_progress
from proxy.control.gates.gate_types import Gate
from proxy.control.preflight import ask_instances
from proxy.control.promotion import transitions
from proxy.control.promotion.handing import CollectionHandover
from proxy.control.promotion.revision_floor import newest_revision
from proxy.control.promotion.rights import OriginRights
from proxy.control.promotion.rights_plan import OriginRight
from proxy.model.stages import Phase, Transition
from proxy.state import control_row, missing_writes

Gates = Mapping[str, tuple[Gate, ...]]
JudgeGates = Callable[[Sequence[str]], Awaitable[Gates]]
HandOver = Callable[[Sequence[str]], CollectionHandover]  # of those that are not promoted yet
RefuseGates = Callable[[Gates], str]  # why gates forbid the change; empty if they do not


async def promote(
    database: Database,
    collections: Sequence[str],
    *,
    settings: Settings,
    origin: OriginClient,
    handover: HandOver,
    judge: JudgeGates,
    refusal: RefuseGates,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
    wait: bool = True,
    timeout: float = 30.0,
    progress: Progress = ignore_progress,
) -> Changed:
    """Let PostgreSQL take the writes of all of these collections (`database/name`), or of none.

    Collections that are promoted already are left out. dry_run: judge the gates, ask every proxy, change nothing. wait:
    return once every proxy runs at the new generation. timeout: seconds for acknowledgements, within the time that
    writes may be held. Raise PreconditionFailed if a stage, a gate or another change forbids it; TimedOut if proxies
    did not acknowledge; DatabaseError, UpstreamError, ArangoError. Whatever is raised, nothing changed, unless it is
    DatabaseUnavailable: then PostgreSQL may have committed (`crossfade status`).
    """
    judged = await missing_writes.database_time(database) if not dry_run else None
    async with database.session() as session:
        states, _ = await control_row.collection_states(session)
        registered = [row for row in await session.fetch(sql.control.INSTANCES) if row.stopped_at is None]
        control = await session.fetchval(sql.control.CONTROL)
    planned = transitions.promotion(collections, states)
    names = [transition.collection for transition in planned]
    gates = await judge(names)
    result = Changed(
        planned,
        (Phase.HOLD,) if planned else (),
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
    rights = OriginRights(database, origin, settings.origin_user, late=settings.lost_request_timeout)
    work = _Promotion(planned, origin, handover(names), rights, judged)
    await work.prepare(database)
    run = EpochRun(
        database,
        targets=(),
        transitions=planned,
        settings=settings,
        actor=actor,
        reason=reason,
        timeout=timeout,
        progress=progress,
        work=EpochWork("promote", work.confirm, work.held, work.committing),
    )
    try:
        epoch, generation = await run.run_phases(result.phases, work.detail(gates))
    except BaseException:
        # if it fails here, the proxies do so: rights follow the row
        with contextlib.suppress(DatabaseError, UpstreamError, ArangoError):
            await asyncio.shield(rights.give_back())
        raise
    failpoints.reach("writer-committed")
    progress(EpochStep(Phase.IDLE))
    behind = await learned(database, generation, 3 * settings.lease + 1 if wait else 0.0)
    return replace(result, epoch=epoch, generation=generation, behind=behind, seconds=time.monotonic() - began)


class _Promotion:
    """The steps beside the phases of the epoch."""

    def __init__(
        self,
        planned: tuple[Transition, ...],
        origin: OriginClient,
        handover: CollectionHandover,
        rights: OriginRights,
        judged: datetime | None,
    ) -> None:
        self._planned = planned
        self._names = [transition.collection for transition in planned]
        self._origin = origin
        self._handover = handover
        self._rights = rights
        self._judged = judged
        self._writers: tuple[OriginRight, ...] = ()
        self._floor = 0

    def detail(self, gates: Gates) -> dict[str, object]:
        """Return what the audit has of it."""
        figures = {
            collection: {gate.name: f"{gate.verdict}: {gate.figures}" for gate in found}
            for collection, found in gates.items()
        }
        return {"gates": figures, "rights_taken": len(self._writers)}

    async def prepare(self, database: Database) -> None:
        """Do what takes long, while writes go on. Raise PreconditionFailed if something must end first."""
        runs = await database.fetch(sql.promotion.OPEN_RUNS, self._names)
        if runs:
            what = ", ".join(f"{row.kind} {row.id} of {row.collection}" for row in runs)
            raise PreconditionFailed(
                f"{what} is not finished: wait for it, or run `crossfade {runs[0].kind} {runs[0].collection}`"
            )
        self._writers = await self._rights.writers(self._names)
        await self._rights.require_answered(self._names)
        await self._handover.prepare()
        await newest_revision(self._origin)  # the first time, it makes the collection

    async def confirm(self, session: Session) -> None:
        now, _ = await control_row.collection_states(session)
        if transitions.promotion(self._names, now) != self._planned:
            raise PreconditionFailed(
                "the stages were changed by another command meanwhile: see `crossfade status`, try again"
            )
        if not [row for row in await session.fetch(sql.control.INSTANCES) if row.stopped_at is None]:
            raise PreconditionFailed("no instance is registered: a promotion needs a proxy")
        if self._judged is not None:
            recorded = await missing_writes.recorded_since(session, self._names, self._judged)
            if recorded:
                raise PreconditionFailed(f"{recorded}: nothing changed, see `crossfade gates`")

    async def held(self, still_ours: Callable[[], Awaitable[None]]) -> None:
        """Every proxy has acknowledged: nothing of theirs is under way."""
        failpoints.reach("hold-acknowledged")
        await self._rights.take(self._writers)
        failpoints.reach("rights-taken")
        await still_ours()
        self._floor = await newest_revision(self._origin)
        failpoints.reach("floor-known")
        await self._handover.compare()

    async def committing(self, session: Session) -> None:
        await self._handover.take(session, self._floor)
        await session.execute(sql.promotion.END_RUNS, self._names)
