"""The statements of one instance: register, heartbeat, deregister. `lease` decides what follows from them.

An instance has one row, and one process may write it: the incarnation names that process. A copied state directory (a
clone of a machine, a snapshot of a volume) has the same instance name, so a new process takes the row only if the other
one is known to be gone: it deregistered, its lease has run out, or the new one runs at the same *place* (the same
directory of the same boot of the same machine, whose journal lock it holds). A clone of a running process has the same
incarnation too; but each heartbeat has its own number, and PostgreSQL accepts none twice.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

import sql
from proxy import __version__
from proxy.base.database import Database
from proxy.control.instance.local_state import HeartbeatCount
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage
from proxy.state import control_row, missing_writes
from proxy.state.codec import decode_transitions

NONE: Final = HeartbeatCount(0, rebooted=False)
OLDER: Final = "a state directory is an older copy: what was noted since it was made is missing"


@dataclass(frozen=True, slots=True)
class Joined:
    """The result of a registration. registered: False if another living process has this id (host, pid).

    diverged: as the row of the last process had it. fresh: this instance was not registered before. beats: the greatest
    number of a heartbeat that PostgreSQL has. older: the directory is an older copy, and everything was marked.
    """

    registered: bool
    diverged: bool
    host: str | None
    pid: int | None
    fresh: bool = True
    beats: int = 0
    older: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The values that a heartbeat writes. until: absolute end of the lease in PostgreSQL's time; None extends nothing.

    number: unique among heartbeats of this instance. synced: number of the last one that is on this machine's disk.
    """

    generation: int
    acknowledged: int
    diverged: bool
    backlog: int
    lag_seconds: float
    until: datetime | None
    number: int = 1
    synced: int = 0


@dataclass(frozen=True, slots=True)
class RegistryView:
    """The rows that a heartbeat read, in one statement's snapshot.

    registered: False once evicted. everyone: no other instance is diverged or has let its lease run out.
    snapshot: None if the generation is the one that was known. absent: see `Snapshot`. paused: a demotion that is about
    to begin lets writes pause.
    """

    registered: bool
    now: datetime
    era: int
    everyone: bool
    snapshot: Snapshot | None
    absent: frozenset[str] = frozenset()
    paused: bool = False


class InstanceRegistry:
    """The row of one instance. Statements of an earlier process match nothing, since its incarnation differs."""

    def __init__(
        self,
        database: Database,
        instance: str,
        *,
        lease: float,
        host: str | None,
        admin_url: str | None,
        place: str = "",
    ) -> None:
        self._database = database
        self._instance = instance
        self._incarnation = os.urandom(8).hex()
        self._lease = lease
        self._host = host or socket.gethostname()
        self._admin_url = admin_url
        self._place = f"{self._host} {place}"

    async def register(self, count: HeartbeatCount = NONE, *, again: bool = False) -> Joined:
        """Register. count: heartbeats in the state directory. again: this process was registered and is not any more.

        In that case another process took the row, and it is not taken back while a lease is held. An older copy of a
        directory is recognised in the transaction that registers it: every database becomes unverified.
        """
        if again:
            self._incarnation = os.urandom(8).hex()
        async with self._database.transaction() as session:
            await control_row.lock(session)  # before any row, in the order in which marks are written
            row = await session.fetchval(
                sql.control.REGISTER,
                self._instance,
                self._incarnation,
                self._host,
                os.getpid(),
                __version__,
                self._admin_url,
                "" if again else self._place,
            )
            known = row.synced if count.rebooted else row.beats
            older = bool(row.registered and not row.fresh and count.sent < known)
            if older:
                await missing_writes.mark_in(session, [missing_writes.EVERYTHING], [OLDER], self._instance)
        return Joined(
            row.registered,
            row.diverged,
            row.host,
            row.pid,
            row.fresh,
            row.beats,
            older,
        )

    async def beat(self, beat: Heartbeat, known: int) -> RegistryView:
        """Send a heartbeat. known: the generation whose collections the caller has."""
        row = await self._database.fetchval(
            sql.control.BEAT,
            self._instance,
            self._incarnation,
            beat.generation,
            beat.acknowledged,
            beat.diverged,
            beat.backlog,
            beat.lag_seconds,
            beat.until,
            self._lease,
            known,
            beat.number,
            beat.synced,
        )
        return RegistryView(
            row.registered,
            row.now,
            row.era,
            row.everyone,
            _snapshot(row),
            frozenset(row.absent),
            row.paused,
        )

    async def deregister(self) -> bool:
        return await self._database.fetchrow(sql.control.DEREGISTER, self._instance, self._incarnation) is not None


def _snapshot(row: sql.control.BeatRow) -> Snapshot | None:
    if row.collections is None or row.defaults is None:  # the caller has those of this generation
        return None
    transitions = decode_transitions(orjson.loads(row.moves)) if row.moves else ()
    return Snapshot(
        generation=row.generation,
        epoch=row.epoch,
        phase=Phase(row.phase),
        collections={
            name: CollectionState(Stage(stage), weight)
            for name, (stage, weight) in orjson.loads(row.collections).items()
        },
        defaults={name: Stage(stage) for name, stage in orjson.loads(row.defaults).items()},
        transitions={transition.collection: transition for transition in transitions},
        absent=frozenset(row.absent),
    )
