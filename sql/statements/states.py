"""Statements of queries/states.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Statement


class CollectionRow(NamedTuple):
    collection: str
    stage: str
    weight: int
    unverified: int
    dead: int
    mismatches: int
    out_of_band: int
    armed: bool
    watchable: bool | None
    behind: float | None


class InstanceCountRow(NamedTuple):
    state: str
    number: int


class RollbackCountRow(NamedTuple):
    by: str
    number: int


class AutomaticRollbackRow(NamedTuple):
    id: int
    at: datetime
    actor: str
    reason: str | None
    by: str
    collections: list[str]


COLLECTIONS = Statement("states", "collections", CollectionRow)
INSTANCES = Statement("states", "instances", InstanceCountRow)
ROLLBACKS = Statement("states", "rollbacks", RollbackCountRow)
AUTOMATIC_ROLLBACKS = Statement("states", "automatic_rollbacks", AutomaticRollbackRow)
