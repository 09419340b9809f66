"""What was rehearsed, by shape of write, as PostgreSQL has it: for the command and for gates of promotion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

import sql
from proxy.base.database import Database


@dataclass(frozen=True, slots=True)
class WriteShape:
    """One shape of writes of one collection. no_verdict: chosen, or never rehearsed; reasons: how many of each."""

    collection: str
    shape: str
    text: str
    seen: int
    equal: int
    different: int
    no_verdict: int
    reasons: Mapping[str, int]
    first_seen: datetime
    last_seen: datetime

    @property
    def rehearsed(self) -> int:
        """Writes with a verdict."""
        return self.equal + self.different


@dataclass(frozen=True, slots=True)
class RehearsedShapes:
    """The shapes of writes of one collection. open_mismatches: kinds of differences, without ignored and repaired."""

    collection: str
    shapes: tuple[WriteShape, ...]
    open_mismatches: int

    @property
    def rehearsed(self) -> int:
        """Shapes of which at least one write was rehearsed."""
        return sum(shape.rehearsed > 0 for shape in self.shapes)

    @property
    def unrehearsed(self) -> tuple[WriteShape, ...]:
        """Shapes of which no write was rehearsed: the rules are not known to hold for them."""
        return tuple(shape for shape in self.shapes if not shape.rehearsed)

    @property
    def figure(self) -> str:
        """`write shapes rehearsed: 3 of 4, 0 different`."""
        return f"write shapes rehearsed: {self.rehearsed} of {len(self.shapes)}, {self.open_mismatches} different"


async def rehearsed_shapes(database: Database, collections: Sequence[str] | None = None) -> list[RehearsedShapes]:
    """Return what was rehearsed of each of the collections (`database/name`), in their order; None: of all that have
    shapes. Raise DatabaseError.
    """
    names = None if collections is None else list(collections)
    rows = await database.fetch(sql.rehearsal.SHAPES, names)
    open_ = {row.collection: row.kinds for row in await database.fetch(sql.rehearsal.OPEN_MISMATCHES, names)}
    found: dict[str, list[WriteShape]] = {name: [] for name in (names or ())}
    for row in rows:
        found.setdefault(row.collection, []).append(
            WriteShape(
                row.collection,
                row.shape,
                row.text,
                row.seen,
                row.equal,
                row.different,
                row.no_verdict,
                orjson.loads(row.reasons),
                row.first_seen,
                row.last_seen,
            )
        )
    return [RehearsedShapes(name, tuple(shapes), open_.get(name, 0)) for name, shapes in found.items()]
