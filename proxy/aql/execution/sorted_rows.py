"""Rows put into an order: in memory, or as sorted runs on disk that are merged, if they are many."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, Final

from proxy.aql.compiled_types import Frame
from proxy.aql.execution.held_rows import HeldRows
from proxy.aql.query_context import QueryContext, weight_of

_RUN: Final = 8 << 20  # bytes of the rows of one run, nearly
_PAGE: Final = 64 << 10  # bytes of a page of one: the merge holds a page of each
_MOST: Final = 5_000  # rows of one run: sorting them takes some milliseconds
_SAMPLED: Final = 8  # of so many rows, one is weighed
Decorated = tuple[list[Any], Frame]


class Sorter:
    """Puts rows into the order of their keys; equal ones stay as they came. ascending: for each key."""

    def __init__(self, context: QueryContext, ascending: list[bool]) -> None:
        self._context = context
        self._ascending = ascending
        self._apart = context.options.spools is not None
        self._counts = not self._apart or context.options.counts_spooled
        self._rows: list[Decorated] = []
        self._weight = 0
        self._runs: list[HeldRows] = []

    def add(self, keys: list[Any], frame: Frame) -> None:
        """Add a row. Raise ArangoError 32 beyond the memory limit, or if the spools are full."""
        self._rows.append((keys, frame))
        if self._counts:
            self._context.count_memory(1)
        if not self._apart:
            return
        if len(self._rows) % _SAMPLED == 1:
            self._weight += _SAMPLED * sum(map(weight_of, frame))
        if self._weight > _RUN or len(self._rows) == _MOST:
            self._end_run()

    def ordered(self) -> Iterator[Decorated]:
        """Yield the rows with their keys."""
        if not self._runs:
            _sort(self._rows, self._ascending)
            return iter(self._rows)
        self._end_run()
        orders = set(self._ascending)
        key: Callable[[Decorated], Any] = itemgetter(0)
        if len(orders) > 1:
            key = self._mixed
        runs = [((row[0], row[1:]) for row in run) for run in self._runs]
        return heapq.merge(*runs, key=key, reverse=orders == {False})

    def _end_run(self) -> None:
        rows, self._rows, self._weight = self._rows, [], 0
        if not rows:
            return
        _sort(rows, self._ascending)
        run = HeldRows(self._context, in_memory=0, page_size=_PAGE, counted=True)
        for keys, frame in rows:
            run.append([keys, *frame])
        run.end_page()
        self._runs.append(run)

    def _mixed(self, row: Decorated) -> list[Any]:
        return [
            value if ascending else _Descending(value) for value, ascending in zip(row[0], self._ascending, strict=True)
        ]


class _Descending:
    """A sort key in the opposite order."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    def __hash__(self) -> int:
        return hash(self.value)


def _sort(rows: list[Decorated], ascending: Iterable[bool]) -> None:
    """Sort by all keys; by one key after the other if their directions differ."""
    orders = list(ascending)
    if len(set(orders)) == 1:
        rows.sort(key=itemgetter(0), reverse=not orders[0])
    for position in range(len(orders) - 1, -1, -1) if len(set(orders)) > 1 else ():
        rows.sort(key=lambda entry: entry[0][position], reverse=not orders[position])
