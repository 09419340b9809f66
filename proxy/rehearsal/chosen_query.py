"""A query that writes, chosen for a rehearsal: what it wrote is collected while its answer is read. Never blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.model.operations import Operation
from proxy.rehearsal.verdicts import NoVerdict
from proxy.routing.query_shapes import Shape

NOT_REWRITTEN: Final = "a query whose writes are not shown"
REFUSED: Final = "a query that was refused"
LARGE: Final = "large"
_MOST: Final = 500  # documents that a query writes
_MOST_BYTES: Final = 1 << 20


class WrittenByQuery(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A document that a query wrote: before and after, as text; `null` if there is none."""

    key: str | None
    old: msgspec.Raw
    new: msgspec.Raw


_WRITTEN: Final = msgspec.json.Decoder(WrittenByQuery)


@dataclass(frozen=True, slots=True)
class ObservedQuery:
    """A query that ArangoDB has carried out. rows: what it wrote, as the answer shows it. floor, moment: as there."""

    operation: Operation
    collection: str
    shape: Shape
    floor: int
    moment: int
    rows: Sequence[bytes]
    size: int

    @property
    def name(self) -> str:
        """The collection's name without its database."""
        return self.collection.partition("/")[2]

    def written(self) -> list[WrittenByQuery]:
        """Return the documents that it wrote. Raise ValueError if that cannot be read."""
        try:
            found = [_WRITTEN.decode(row) for row in self.rows]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError("rows that cannot be read") from error
        return [one for one in found if one.key is not None]


class ChosenQuery:
    """One query under way. take: queues what was observed. without: counts that there will be no verdict."""

    __slots__ = ("_bytes", "_collection", "_floor", "_moment", "_operation", "_rows", "_shape", "_take", "_without")

    def __init__(
        self,
        operation: Operation,
        collection: str,
        shape: Shape,
        floor: int,
        moment: int,
        take: Callable[[ObservedQuery], None],
        without: Callable[[NoVerdict], None],
    ) -> None:
        self._operation = operation
        self._collection = collection
        self._shape = shape
        self._floor = floor
        self._moment = moment
        self._take = take
        self._without = without
        self._rows: list[bytes] = []
        self._bytes = 0

    def unseen(self) -> None:
        """Count a query that cannot be made to show what it writes."""
        self._without(NoVerdict(NOT_REWRITTEN))

    def refused(self) -> None:
        """Count a query that failed: what it met is not known."""
        self._without(NoVerdict(REFUSED))

    def wrote(self, rows: Sequence[bytes]) -> None:
        """Take note of what one batch of the answer shows: `[key, old, new]` each."""
        if len(self._rows) <= _MOST and self._bytes <= _MOST_BYTES:
            self._rows += rows
            self._bytes += sum(map(len, rows))

    def answered(self) -> None:
        """Queue it: the whole answer was read."""
        if len(self._rows) > _MOST or self._bytes > _MOST_BYTES:
            self._without(NoVerdict(LARGE))
            return
        size = len(self._operation.body) + self._bytes
        self._take(
            ObservedQuery(self._operation, self._collection, self._shape, self._floor, self._moment, self._rows, size)
        )
