"""The instance's statements: it joins, beats, looks, leaves. What to do with it decides `lease`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from proxy import __version__
from proxy.cutover.codec import decode_moves
from proxy.cutover.stages import Phase, Snapshot, Stage, Standing
from proxy.database import Database
from sql.loader import queries

_SQL = queries("cutover")


@dataclass(frozen=True, slots=True)
class Joined:
    """What registering found. registered: False where another host's living process has this id (host, pid).

    diverged: the row of the last life said so. now: PostgreSQL's clock.
    """

    registered: bool
    diverged: bool
    host: str | None
    pid: int | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat writes. until: absolute end of the lease in PostgreSQL's time; None extends nothing."""

    generation: int
    acknowledged: int
    diverged: bool
    backlog: int
    lag_seconds: float
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Look:
    """What a heartbeat saw, in one statement's snapshot.

    registered: False once evicted. everyone: no other instance is diverged or has let its lease run out.
    snapshot: None where the generation is the one that was known.
    """

    registered: bool
    now: datetime
    era: int
    generation: int
    everyone: bool
    snapshot: Snapshot | None


class Registry:
    """One instance's row. incarnation: of this process; a statement of an earlier one matches nothing any more."""

    def __init__(
        self, database: Database, instance: str, *, lease: float, host: str | None, admin_url: str | None
    ) -> None:
        self._database = database
        self._instance = instance
        self._incarnation = os.urandom(8).hex()
        self._lease = lease
        self._host = host or socket.gethostname()
        self._admin_url = admin_url

    async def register(self) -> Joined:
        row = await self._database.fetchrow(
            _SQL["register"].text,
            self._instance,
            self._incarnation,
            self._host,
            os.getpid(),
            __version__,
            self._admin_url,
        )
        assert row is not None
        return Joined(row["registered"], row["diverged"], row["host"], row["pid"], row["now"])

    async def beat(self, beat: Beat, known: int) -> Look:
        """known: the generation whose collections the caller has."""
        row = await self._database.fetchrow(
            _SQL["beat"].text,
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
        )
        assert row is not None
        return Look(
            row["registered"],
            row["now"],
            row["era"],
            row["generation"],
            row["everyone"],
            _snapshot(row) if row["collections"] is not None else None,
        )

    async def deregister(self) -> bool:
        return await self._database.fetchval(_SQL["deregister"].text, self._instance, self._incarnation) is not None


def _snapshot(row: Any) -> Snapshot:
    moves = decode_moves(orjson.loads(row["moves"])) if row["moves"] else ()
    return Snapshot(
        generation=row["generation"],
        epoch=row["epoch"],
        phase=Phase(row["phase"]),
        collections={
            name: Standing(Stage(stage), weight) for name, (stage, weight) in orjson.loads(row["collections"]).items()
        },
        defaults={name: Stage(stage) for name, stage in orjson.loads(row["defaults"]).items()},
        moves={move.collection: move for move in moves},
    )
