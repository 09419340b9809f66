"""Examples of reads by shape, so that `crossfade shadow replay` can send rare ones again.

Of each shape the first few requests are kept, and then one in `_AFTERWARDS`, the newest replacing the oldest, with
their keys and bind variables, which are values. If samples are redacted no example is kept at all. What finds no room
in memory is not kept: examples are best effort.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Final, NamedTuple

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import DatabaseError
from proxy.base.periodic import Periodic
from proxy.base.sql_values import columns
from proxy.model import json_values
from proxy.model.operations import Operation
from proxy.routing.query_shapes import NOT_UNDERSTOOD, OTHER, Shape
from proxy.shadow.samples import MAX_TEXT, Redaction, request_of

_AFTERWARDS: Final = 500  # reads of a shape, of which one becomes an example once there are enough
_MOST_SHAPES: Final = 5000
_WAITING: Final = 500  # examples that wait to be written
# shapes that represent many kinds of requests: no example is typical
_NO_EXAMPLE: Final = frozenset({OTHER.name, NOT_UNDERSTOOD.name})


class _Example(NamedTuple):
    shape: Shape
    collections: tuple[str, ...]
    operation: Operation


class Examples:
    """Keeps examples without blocking; `flush` writes. Start and close it with its owner."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        interval: float = 2.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._each = 0 if settings.redact or settings.redact_paths else settings.examples
        self._days = settings.sample_days
        self._chance = chance
        self._counts: dict[str, int] = {}
        self._waiting: list[_Example] = []
        self._periodic = Periodic(self.flush, "examples", interval)

    def offer(self, shape: Shape, collections: tuple[str, ...], operation: Operation) -> None:
        """Offer a read that is compared. On the request path: one look-up in a dictionary."""
        count = self._counts.get(shape.name, 0)
        if count >= self._each and (not self._each or self._chance() * _AFTERWARDS >= 1):
            return
        if len(self._waiting) >= _WAITING or len(operation.body) > MAX_TEXT or shape.name in _NO_EXAMPLE:
            return
        if not count and len(self._counts) >= _MOST_SHAPES:
            return
        self._counts[shape.name] = count + 1
        self._waiting.append(_Example(shape, collections, operation))

    async def flush(self) -> None:
        """Write the examples. Raise DatabaseError, and then keep them."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        rows = {(row[0], row[1]): row for row in map(_row, waiting)}
        shapes = sorted({shape for shape, _ in rows})
        try:
            await self._database.execute(sql.examples.ADD, *columns(rows.values()))
            await self._database.execute(sql.examples.TRIM, shapes, self._each, self._days)
        except DatabaseError:
            self._waiting = waiting[: _WAITING - len(self._waiting)] + self._waiting
            raise

    async def start(self) -> None:
        self._periodic.start()

    async def close(self) -> None:
        """Flush once more."""
        await self._periodic.finish(self.flush)


def _row(example: _Example) -> tuple[str, str, str, str]:
    request = json_values.dump(request_of(example.operation, example.shape.text, Redaction())).decode(
        "utf-8", "replace"
    )
    digest = hashlib.blake2b(request.encode(), digest_size=12).hexdigest()
    return example.shape.name, digest, "\n".join(example.collections), request
