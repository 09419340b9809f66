"""Reads the Evidence of a collection from PostgreSQL, for the gates to judge."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from proxy.config import Settings
from proxy.cutover.gates import (
    Evidence,
    GapFact,
    Gate,
    InstanceFact,
    Limits,
    MarkFact,
    RunFact,
    evaluate,
    missing_gates,
)
from proxy.cutover.stages import Stage, Standing
from proxy.database import Database, Row
from sql.loader import queries

_SQL = queries("cutover")


def limits_of(settings: Settings) -> Limits:
    """The gates' limits as the settings have them."""
    return Limits(comparisons=settings.gate_comparisons, lag_seconds=settings.gate_lag_seconds)


async def read(database: Database, collection: str) -> Evidence | None:
    """What the gates of `database/name` look at; None where the control plane does not know it."""
    row = await database.fetchrow(_SQL["evidence"].text, collection)
    if row is None:
        return None
    instances = await database.fetch(_SQL["instances"].text)
    return Evidence(
        collection=collection,
        standing=Standing(Stage(row["stage"]), row["weight"]),
        generation=row["generation"],
        instances=tuple(_instance(i) for i in instances if i["stopped_at"] is None),
        backfill=_run(row["backfill"]),
        verification=_run(row["verification"]),
        open_runs=tuple(orjson.loads(row["open_runs"])),
        mark=_mark(row["mark"]),
        last_joined=row["last_joined"],
        since=row["since"],
        compared=row["compared"],
        mismatched=row["mismatched"],
        unsettled=row["unsettled"],
        open_mismatches=row["open_mismatches"],
        dead_letters=row["dead_letters"],
        unsupported=tuple(orjson.loads(row["unsupported"])),
        gaps=tuple(_gap(gap) for gap in orjson.loads(row["gaps"])),
    )


async def gates(database: Database, collection: str, limits: Limits) -> tuple[Gate, ...]:
    """The gates of one collection, judged by what PostgreSQL has now."""
    evidence = await read(database, collection)
    return missing_gates(collection) if evidence is None else evaluate(evidence, limits)


def _instance(row: Row) -> InstanceFact:
    return InstanceFact(
        row["instance"],
        row["lease_left"],
        row["heartbeat_age"],
        row["generation"],
        row["diverged"],
        row["backlog"],
        row["lag_seconds"],
    )


def _run(text: str | None) -> RunFact | None:
    if text is None:
        return None
    value = orjson.loads(text)
    return RunFact(value["id"], _time(value["started_at"]), value["unverified_before"], value["result"])


def _mark(text: str | None) -> MarkFact | None:
    if text is None:
        return None
    value = orjson.loads(text)
    return MarkFact(value["id"], value["reason"], value["instance"])


def _gap(value: dict[str, Any]) -> GapFact:
    return GapFact(value["endpoint"], value["effect"], value["seen"], _time(value["last_seen"]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
