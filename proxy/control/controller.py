"""The operator's side: change stages, roll back, evict an instance from the registry.

A rollback is one transaction, needs no acknowledgement, and takes precedence over any change in progress. A change
forward is an epoch (mirror-protocol, "Flip", 1 to 6), and its gates are checked first if reads go to PostgreSQL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.control import gate_inputs
from proxy.control.epoch import POLL, EpochRun, EpochStep, Progress, ensure_in, ignore_progress
from proxy.control.gates.gate_types import Gate
from proxy.control.gates.gates import refusal
from proxy.control.preflight import InstanceAnswer, ask_instances
from proxy.control.rollback_budgets import RollbackBudget, arm, as_json
from proxy.control.transitions_plan import DesiredState, phases_of, plan, to_target
from proxy.model.stages import CollectionState, Phase, Stage, Transition
from proxy.state import audit, control_row, missing_writes
from proxy.state.control_row import By


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a change, with `dry_run` the expected one. gates: of each collection whose reads go to PostgreSQL.

    behind: instances that did not run at the new generation when the change returned; they are safe nevertheless.
    reached: with `dry_run`, what each instance reported of itself. seconds: the duration from the first step on.
    """

    transitions: tuple[Transition, ...]
    phases: tuple[Phase, ...]
    epoch: int
    generation: int
    dry_run: bool
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=dict)
    instances: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    reached: tuple[InstanceAnswer, ...] = ()
    seconds: float = 0.0

    @property
    def unready(self) -> tuple[InstanceAnswer, ...]:
        """The instances that would make a change fail that needs all of them."""
        return tuple(one for one in self.reached if one.trouble) if self.phases else ()


async def change(
    database: Database,
    targets: Sequence[DesiredState],
    *,
    settings: Settings,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
    force: bool = False,
    wait: bool = True,
    timeout: float = 30.0,
    progress: Progress = ignore_progress,
    budget: RollbackBudget | None = None,
) -> Changed:
    """Change the stages of the collections, all of them or none.

    wait: return only once every instance runs at the new generation (a few seconds at most). timeout: seconds for each
    phase. budget: of the automatic rollback to arm with the change for the flipped collections; without it, what is
    armed stays armed. force: pass the gates that do not keep I7; it needs a reason. dry_run: check the gates and ask
    every instance, and change nothing. Raise PreconditionFailed if the stages, a gate or another change in progress
    forbid it; TimedOut, with the names, if instances did not acknowledge; DatabaseError.
    """
    if force and not reason:
        raise PreconditionFailed("--force needs --reason: it is written into the audit")
    async with database.session() as session:
        collections, defaults = await control_row.collection_states(session)
        registered = [row for row in await session.fetch(sql.control.INSTANCES) if row.stopped_at is None]
        control = await session.fetchval(sql.control.CONTROL)
    transitions = plan(targets, collections, defaults)
    steps = phases_of(transitions)
    judged = await missing_writes.database_time(database) if to_target(transitions) and not dry_run else None
    gates = await gate_inputs.judge(
        database, settings, [transition.collection for transition in to_target(transitions)]
    )
    result = Changed(
        transitions,
        steps,
        control.epoch,
        control.generation,
        dry_run,
        gates,
        tuple(row.instance for row in registered),
    )
    if dry_run:
        return replace(result, reached=await ask_instances(registered, control.generation))
    began = time.monotonic()
    _refuse_gates(gates, force=force)
    if not transitions:
        await _ensure(database, targets, budget, control.epoch, actor=actor, reason=reason)
        return result
    run = EpochRun(
        database,
        targets=targets,
        transitions=transitions,
        settings=settings,
        actor=actor,
        reason=reason,
        timeout=timeout,
        progress=progress,
        budget=budget,
        judged=judged,
    )
    detail: dict[str, object] = {"gates": _gate_values(gates), "forced": force} if gates else {}
    if steps:
        epoch, generation = await run.run_phases(steps, detail)
    else:
        epoch, generation = await run.change_immediately()
    progress(EpochStep(Phase.IDLE))
    behind = await learned(database, generation, 3 * settings.lease + 1 if wait else 0.0)
    return replace(result, epoch=epoch, generation=generation, behind=behind, seconds=time.monotonic() - began)


async def rollback(
    database: Database,
    collections: Sequence[str],
    *,
    actor: str,
    reason: str | None = None,
    by: By = By.OPERATOR,
) -> int | None:
    """Roll flipped collections back to `shadow` immediately, without gates and acknowledgements.

    An open epoch is aborted. Return the new generation, or None if nothing was flipped.
    """
    async with database.transaction() as session:
        control = await control_row.lock(session)
        state, _ = await control_row.collection_states(session)
        transitions = tuple(
            Transition(name, state[name], CollectionState(Stage.SHADOW))
            for name in dict.fromkeys(collections)
            if name in state and state[name].stage is Stage.FLIPPED
        )
        if not transitions and not control.open:
            return None
        _, generation = await control_row.immediate(
            session, control, transitions, actor=actor, action="rollback", reason=reason, by=by
        )
        return generation


async def evict(
    database: Database, instance: str, *, confirmed_stopped: bool, actor: str, reason: str | None = None
) -> tuple[str, ...]:
    """Remove an instance from the registry: the operator asserts that its process is dead.

    What it forwarded and did not apply is lost with its journal: the collections that it served are marked unverified
    (and returned), flipped ones are rolled back, an open epoch is aborted. Raise PreconditionFailed if it is not known,
    still lives, or the assertion is missing.
    """
    if not confirmed_stopped:
        raise PreconditionFailed(
            f"evicting {instance} asserts that its process is dead and stays so: stop it, then pass --confirmed-stopped"
        )
    async with database.transaction() as session:
        control = await control_row.lock(session)
        row = await session.fetchrow(sql.control.INSTANCE_LOCK, instance)
        if row is None or row.stopped_at is not None:
            raise PreconditionFailed(f"no instance {instance} is registered: see `crossfade instances`")
        if row.alive:
            raise PreconditionFailed(
                f"instance {instance} lives (process {row.pid} on {row.host}, heartbeat "
                f"{row.heartbeat_age:.1f} s ago): stop it first"
            )
        await session.execute(sql.control.EVICT, instance)
        marked = await session.fetch(sql.control.MARK_SERVED, instance, f"instance {instance} was evicted")
        served = tuple(sorted(marked))
        states, _ = await control_row.collection_states(session)
        transitions = tuple(
            Transition(name, state, CollectionState(Stage.SHADOW))
            for name, state in states.items()
            if state.stage is Stage.FLIPPED
        )
        await control_row.immediate(
            session,
            control,
            transitions,
            actor=actor,
            action="evict",
            reason=reason,
            by=By.OPERATOR,
            detail={"instance": instance, "unverified": list(served)},
        )
        return served


def _refuse_gates(gates: Mapping[str, tuple[Gate, ...]], *, force: bool) -> None:
    why = refusal(gates, force=force)
    if why:
        raise PreconditionFailed(why)


def _gate_values(gates: Mapping[str, tuple[Gate, ...]]) -> dict[str, dict[str, str]]:
    return {
        collection: {gate.name: f"{gate.verdict}: {gate.figures}" for gate in found}
        for collection, found in gates.items()
    }


async def _ensure(
    database: Database,
    targets: Sequence[DesiredState],
    budget: RollbackBudget | None,
    epoch: int,
    *,
    actor: str,
    reason: str | None,
) -> None:
    """Without a change of stages: create missing tables, and arm automatic rollback if asked for."""
    async with database.transaction() as session:
        await control_row.lock(session)
        await ensure_in(session, targets)
        flipped = [target.collection for target in targets if target.stage is Stage.FLIPPED]
        if budget is not None and flipped:
            await arm(session, flipped, epoch, budget, actor=actor)
            await audit.record(
                session,
                actor=actor,
                action="auto-rollback",
                reason=reason,
                detail={"collections": flipped, "auto_rollback": as_json(budget)},
            )


async def learned(database: Database, generation: int, seconds: float) -> tuple[str, ...]:
    """Wait until every instance runs at a generation, or for so many seconds; return those that do not."""
    limit = time.monotonic() + seconds
    while True:
        behind = tuple(await database.fetch(sql.control.BEHIND, generation))
        if not behind or time.monotonic() >= limit:
            return behind
        await asyncio.sleep(POLL)
