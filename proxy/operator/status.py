"""Everything that `crossfade status` shows, read in a few statements into one value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

import sql
from proxy.base.database import Database
from proxy.control.gates.rules.verified import differences
from proxy.model.stages import CollectionState, Phase, Stage, Transition, Writer
from proxy.operator import out_of_band
from proxy.operator.out_of_band import OutOfBandCount
from proxy.state.codec import decode_transitions
from proxy.state.control_row import stages_of, states_of


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The newest backfill or verification. differences: of a finished verification."""

    id: int
    state: str
    finished_at: datetime | None
    documents: int | None = None
    differences: int | None = None


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """One collection; counts of comparisons are since the last repair or change of stage.

    unverified: marks, and silent instances; unverified_reason: of the newest mark. writer: who takes its writes;
    lacking: writes that PostgreSQL took and that ArangoDB does not have yet.
    """

    collection: str
    state: CollectionState
    stage_since: datetime
    compared: int
    mismatched: int
    undecided: int
    open_mismatches: int
    dead_letters: int
    unverified: int
    backfill: RunStatus | None
    verification: RunStatus | None
    unverified_reason: str | None = None
    writer: Writer = Writer.ORIGIN
    lacking: int = 0

    @property
    def mismatch_rate(self) -> float | None:
        """Confirmed mismatches / comparisons; None without a comparison."""
        return self.mismatched / self.compared if self.compared else None


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """An open epoch."""

    epoch: int
    phase: Phase
    actor: str
    reason: str | None
    open_seconds: float
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """The control plane at one moment."""

    generation: int
    epoch: int
    open_epoch: OpenEpoch | None
    defaults: dict[str, Stage]
    collections: tuple[CollectionStatus, ...]
    instances: tuple[sql.control.InstanceRow, ...]
    gaps: tuple[sql.control.UncoveredRow, ...]
    out_of_band_writes: tuple[OutOfBandCount, ...] = ()


async def read(database: Database) -> ControlStatus:
    """Return the whole status. Raise DatabaseError."""
    async with database.session() as session, session.transaction(isolation="repeatable_read", readonly=True):
        control = await session.fetchval(sql.control.CONTROL)
        defaults = await session.fetch(sql.control.DEFAULTS)
        collections = await session.fetch(sql.control.STATUS)
        gaps = await session.fetch(sql.control.UNCOVERED)
        instances = await session.fetch(sql.control.INSTANCES)
        out_of_band_writes = await out_of_band.counts(session)
    return ControlStatus(
        control.generation,
        control.epoch,
        _open(control),
        stages_of(defaults),
        tuple(_collection(row) for row in collections),
        tuple(instances),
        tuple(gaps),
        out_of_band_writes,
    )


async def instances(database: Database) -> list[sql.control.InstanceRow]:
    """Return registered instances, then those that stopped within a day."""
    return await database.fetch(sql.control.INSTANCES)


async def collection_states(database: Database) -> dict[str, CollectionState]:
    """Return the state of every registered collection."""
    return states_of(await database.fetch(sql.control.COLLECTION_STAGES))


async def present(database: Database) -> dict[str, CollectionState]:
    """Return the states without the collections that the origin no longer has."""
    return states_of(await database.fetch(sql.control.PRESENT))


async def defaults(database: Database) -> dict[str, Stage]:
    """Return the stage that new collections begin with, by database; `*`: of every other."""
    return stages_of(await database.fetch(sql.control.DEFAULTS))


async def open_epoch(database: Database) -> OpenEpoch | None:
    """Return the open epoch, if there is one."""
    return _open(await database.fetchval(sql.control.CONTROL))


def _open(row: sql.control.ControlRow) -> OpenEpoch | None:
    if row.moves is None or row.actor is None or row.open_seconds is None:  # all of them, or none
        return None
    return OpenEpoch(
        row.epoch,
        Phase(row.phase),
        row.actor,
        row.reason,
        row.open_seconds,
        decode_transitions(orjson.loads(row.moves)),
    )


def _collection(row: sql.control.StatusRow) -> CollectionStatus:
    backfill = verification = None
    if row.backfill is not None and row.backfill_state is not None:
        backfill = RunStatus(row.backfill, row.backfill_state, row.backfill_at, row.backfill_documents)
    if row.verify is not None and row.verify_state is not None and row.verify_result is not None:
        result = orjson.loads(row.verify_result)
        verification = RunStatus(row.verify, row.verify_state, row.verify_at, differences=differences(result))
    return CollectionStatus(
        row.collection,
        CollectionState(Stage(row.stage), row.weight),
        row.stage_since,
        row.compared,
        row.mismatched,
        row.undecided,
        row.open_mismatches,
        row.dead_letters,
        row.unverified,
        backfill,
        verification,
        row.unverified_reason,
        Writer(row.writer),
        row.lacking,
    )
