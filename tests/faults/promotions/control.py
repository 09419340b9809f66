"""Which states of the control plane are legal: who takes the writes follows from stage and epoch, at every moment.

One statement reads the state, so that it is one of PostgreSQL's snapshots. Pure, but for `read`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import asyncpg

_STATE: Final = """
SELECT c.stage, c.weight, f.writer, f.in_arangodb, k.phase, k.closing, k.generation,
    (SELECT e.moves::text FROM _crossfade.epoch e WHERE e.epoch = k.epoch AND e.outcome = 'open') AS moves,
    (SELECT count(*) FROM _crossfade.outbox o WHERE o.collection = c.collection) AS outbox,
    (SELECT count(*) FROM _crossfade.origin_right r WHERE r.collection = c.collection) AS noted_rights
FROM _crossfade.collection c JOIN _crossfade.stamp_floor f USING (collection), _crossfade.control k
WHERE c.collection = $1
"""


@dataclass(frozen=True, slots=True)
class ControlState:
    """One collection's state. moves_to: the stage to which the open epoch brings it; empty: to none.

    outbox: rows; noted_rights: of ArangoDB's users, noted when they were taken.
    """

    stage: str
    weight: int
    writer: str
    in_arangodb: bool
    phase: str
    closing: bool
    generation: int
    moves_to: str
    outbox: int
    noted_rights: int

    def __str__(self) -> str:
        epoch = f"{self.phase} of an epoch to {self.moves_to}" if self.moves_to else self.phase
        return (
            f"stage {self.stage}, writer {self.writer}, {epoch}, closing {self.closing}, {self.outbox} rows in the "
            f"outbox, {self.noted_rights} rights noted, generation {self.generation}"
        )


def illegal(state: ControlState) -> list[str]:
    """Return why the state must not occur, at whatever moment."""
    found = []
    expected = "target" if state.stage == "promoted" else "origin"
    if state.stage == "promoted" and state.moves_to == "flipped":
        expected = "none"
    if state.writer != expected:
        found.append(f"the writer is not {expected}")
    if state.stage not in ("shadow", "flipped", "promoted"):  # proxies that lose their leases roll a flip back
        found.append("neither promoted nor flipped nor rolled back")
    if state.stage == "flipped" and state.outbox:
        found.append("ArangoDB takes the writes and lacks some of PostgreSQL's")
    if (state.phase == "settled") != (not state.moves_to):
        found.append("phase and epoch do not agree")
    if state.stage == "promoted" and not state.in_arangodb:
        found.append("ArangoDB is said not to have the collection")
    return [f"{why}: {state}" for why in found]


def unsettled(state: ControlState, levels: dict[str, str]) -> list[str]:
    """Return what is not at rest although nothing is under way. levels: of ArangoDB's users on the collection."""
    found = illegal(state)
    if state.phase != "settled":
        found.append(f"an epoch is open: {state}")
    if state.closing:
        found.append(f"writes pause, and no epoch is open: {state}")
    if state.outbox:
        found.append(f"the outbox is not empty: {state}")
    expected = "ro" if state.stage == "promoted" else "rw"
    found += [f"ArangoDB's user {user} has {level}, {state}" for user, level in levels.items() if level != expected]
    if bool(state.noted_rights) != (state.stage == "promoted" and bool(levels)):
        found.append(f"the rights to be given back do not follow the stage: {state}")
    return found


async def read(connection: asyncpg.Connection[asyncpg.Record], collection: str) -> ControlState:
    """Read the state of a collection (`database/name`)."""
    row = await connection.fetchrow(_STATE, collection)
    assert row is not None, collection
    moves = {move["collection"]: move for move in json.loads(row["moves"] or "[]")}
    fields = {name: value for name, value in row.items() if name != "moves"}
    moved = moves.get(collection)
    return ControlState(**fields, moves_to=str(moved["after"]["stage"]) if moved else "")
