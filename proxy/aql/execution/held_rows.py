"""Rows that a statement must hold until it has all of them: in memory, or on disk if they are many.

A page is a number of rows that are written and read together. A value that all rows of a page have in common, such as
that of an outer variable, stays in memory once.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from proxy.aql import ast
from proxy.aql.compiled_types import Frame
from proxy.aql.execution.compiler import ProgramCompiler
from proxy.aql.query_context import QueryContext, weight_of
from proxy.base.spool import Spool

_ROWS: Final = 256  # of a page, at most
_PAGE: Final = 1 << 20  # bytes of a page in memory, nearly
_SAMPLED: Final = 8  # of so many rows, one is weighed
IN_MEMORY: Final = 4 << 20  # bytes of the pages that stay in memory, nearly


@dataclass(frozen=True, slots=True)
class _WrittenPage:
    """Where a page is on disk. common: the values that all its rows have, by their places."""

    begin: int
    end: int
    width: int
    common: dict[int, Any]


class HeldRows:
    """Rows of equal length, in the order in which they were appended.

    in_memory: bytes that may stay there, page_size: bytes of a page; both nearly. counted: the rows count as memory
    already.
    """

    def __init__(
        self, context: QueryContext, in_memory: int | None = None, page_size: int = _PAGE, *, counted: bool = False
    ) -> None:
        self._page_size = page_size
        self._in_memory = IN_MEMORY if in_memory is None else in_memory
        self._context = context
        self._spools = context.options.spools
        self._counts = not counted and (self._spools is None or context.options.counts_spooled)
        self._spool: Spool | None = None
        self._pages: list[list[Frame] | _WrittenPage] = []
        self._page: list[Frame] = []
        self._weight = 0  # of the last page
        self._held = 0  # bytes of the pages in memory
        self.count = 0

    def append(self, row: Frame) -> None:
        """Add a row. Raise ArangoError 32 beyond the memory limit, or if the spools are full."""
        page = self._page
        page.append(row)
        self.count += 1
        if self._counts:
            self._context.count_memory(1)
        if self._spools is None:
            return
        if len(page) % _SAMPLED == 1:
            first = page[0] if len(page) > 1 else ()
            self._weight += _SAMPLED * _weight(row, first)
        if len(page) == _ROWS or self._weight > self._page_size:
            self.end_page()

    def end_page(self) -> None:
        """Let the next row begin a new page."""
        page, self._page = self._page, []
        weight, self._weight = self._weight, 0
        if not page:
            return
        if self._spools is None or self._held + weight <= self._in_memory:
            self._held += weight
            self._pages.append(page)
            return
        if self._spool is None:
            self._spool = self._spools.new()
        self._pages.append(_written(page, self._spool))

    def pages(self) -> Iterator[list[Frame]]:
        """Yield the rows, page by page."""
        self.end_page()
        for page in self._pages:
            yield page if isinstance(page, list) else _read(page, self._spool)

    def __iter__(self) -> Iterator[Frame]:
        for page in self.pages():
            yield from page


def _weight(row: Frame, first: Iterable[Any]) -> int:
    """Return the bytes of a row, without the values that the first one of its page has as well."""
    shared = {id(value) for value in first}
    return 64 + 8 * len(row) + sum(weight_of(value) for value in row if id(value) not in shared)


def _written(page: list[Frame], spool: Spool) -> _WrittenPage:
    first, begin = page[0], spool.size
    common = {place: value for place, value in enumerate(first) if all(row[place] is value for row in page)}
    apart = [place for place in range(len(first)) if place not in common]
    spool.append(pickle.dumps([[row[place] for place in apart] for row in page], pickle.HIGHEST_PROTOCOL))
    return _WrittenPage(begin, spool.size, len(first), common)


def _read(page: _WrittenPage, spool: Spool | None) -> list[Frame]:
    assert spool is not None
    apart = [place for place in range(page.width) if place not in page.common]
    rows: list[Frame] = []
    for values in pickle.loads(spool.read(page.begin, page.end)):  # noqa: S301 - written by this object
        row: Frame = [page.common.get(place) for place in range(page.width)]
        for place, value in zip(apart, values, strict=True):
            row[place] = value
        rows.append(row)
    return rows


def unneeded_slots(c: ProgramCompiler, statements: Iterable[ast.Statement]) -> list[int]:
    """Return the slots of the variables that none of these statements names: what they hold need not be kept."""
    needed: set[str] = set()
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Variable):
                needed.add(node.name)
            elif isinstance(node, ast.Collect):
                needed.update(node.ends, node.keep or ())
    return c.slots_except(needed)
