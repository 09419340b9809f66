"""Find the items of a batch that a database refuses, among those that it takes.

`bisect` writes a batch, and halves of it if it is refused because of an item, until each refused item is alone.

`isolate_refused` does so for rows that PostgreSQL keeps refusing with an error that is usually transient. Most
SQLSTATEs are about the moment (a conflict, a full disk, a terminated session) or about the whole table (a privilege, a
name), and the same rows are tried again. But a trigger may raise any of them, and a document may exhaust the memory of
a session or crash its process: then the same row would be refused for ever, and everything queued after it would wait.

The rule: a batch that was refused ENOUGH times is written in halves. A row that is refused alone as often again is a
dead letter with its reason, provided that PostgreSQL is healthy: at that moment it takes another row of the same table,
and a dead letter. If it is not healthy (read-only, full, a table that is locked or refuses every row), no row becomes a
dead letter and everything is kept; likewise if the table has no other row to try, and refuses more than a few. A wrong
guess ends a flip, and heals: dead letters are tried again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from proxy.base.errors import CrossfadeError, DatabaseError, StatementError
from proxy.base.sqlstates import of_a_document

ENOUGH: Final = 3  # refusals of a batch before its rows are tried apart
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4)  # seconds before each further attempt with a single row
_RECOVERY: Final = 10.0  # seconds that PostgreSQL has to recover from what one row did to it
_POLL: Final = 0.1
_FEW: Final = 10  # rows that may all be refused in a table that has no others
_REMEMBERED: Final = 10_000  # rows whose refusals are counted

Item = TypeVar("Item")
Row_contra = TypeVar("Row_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class RefusedItem(Generic[Item]):
    """An item that is refused alone, and why."""

    item: Item
    error: CrossfadeError

    @property
    def reason(self) -> str:
        """The error as a readable text, after its SQLSTATE if it has one."""
        sqlstate = self.error.sqlstate if isinstance(self.error, DatabaseError) else ""
        return f"{sqlstate}: {self.error}" if sqlstate else str(self.error)


async def bisect(
    items: Sequence[Item],
    write: Callable[[Sequence[Item]], Awaitable[object]],
    is_of_an_item: Callable[[CrossfadeError], bool],
) -> list[RefusedItem[Item]]:
    """Write all items, in halves if one of them is refused. Return those that are refused alone, in their order.

    A write that raises must have had no effect. Raise the errors that are not about an item.
    """
    refused: list[RefusedItem[Item]] = []
    waiting = [items] if items else []
    while waiting:
        part = waiting.pop()
        try:
            await write(part)
        except CrossfadeError as error:
            if not is_of_an_item(error):
                raise
            if len(part) == 1:
                refused.append(RefusedItem(part[0], error))
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
    return refused


def is_of_a_document(error: CrossfadeError) -> bool:
    """Return True if PostgreSQL refused a statement because of what a document holds, and would take others."""
    return isinstance(error, StatementError) and of_a_document(error.sqlstate)


class RefusalCounts:
    """Counts for each row the refused batches that it was in, since a batch with them was taken."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[str, str], int] = OrderedDict()

    def refused(self, collection: str, keys: Iterable[str]) -> bool:
        """Count a refused batch. Return True if its rows are to be tried apart."""
        worst = 0
        for key in keys:
            number = self._refused.pop((collection, key), 0) + 1
            self._refused[collection, key] = number
            worst = max(worst, number)
        while len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)
        return worst >= ENOUGH

    def taken(self, collection: str, keys: Iterable[str]) -> None:
        """Forget the rows of a batch that was taken, or whose rows are dead letters now."""
        if self._refused:
            for key in keys:
                self._refused.pop((collection, key), None)


class RowsTable(Protocol[Row_contra]):
    """The table that the rows are for. Each method raises DatabaseError."""

    async def write(self, rows: Sequence[Row_contra]) -> None:
        """Apply the rows, all or perhaps some of them, and keep what became of them."""

    async def is_healthy(self) -> bool:
        """Return True if the table has another row to try. Raise if PostgreSQL refuses that, or a dead letter."""

    async def make_dead_letter(self, row: Row_contra, reason: str) -> None:
        """Make the row a dead letter."""


async def isolate_refused(table: RowsTable[Item], rows: Sequence[Item]) -> None:
    """Apply each of the rows, or make it a dead letter. Raise DatabaseError if PostgreSQL is not healthy."""

    async def write(some: Sequence[Item]) -> None:
        await _write_in_a_session(table, some)

    others = await table.is_healthy()
    alone = await bisect(rows, write, _of_statement)
    if not others and len(alone) == len(rows) > _FEW:
        raise alone[0].error
    for pause in _PAUSES:
        if alone:
            await asyncio.sleep(pause)
        alone = [again for one in alone for again in await bisect([one.item], write, _of_statement)]
    for one in alone:
        await _until_healthy(table.is_healthy)
        await table.make_dead_letter(one.item, one.reason)


def _of_statement(error: CrossfadeError) -> bool:
    return isinstance(error, DatabaseError) and error.of_statement


async def _write_in_a_session(table: RowsTable[Item], rows: Sequence[Item]) -> None:
    """Write the rows, again if there was no session: the row before may have ended all of them."""
    for number in range(1, ENOUGH + 1):
        try:
            await table.write(rows)
        except DatabaseError as error:
            if error.of_statement or number == ENOUGH:
                raise
            await _until_healthy(table.is_healthy)
        else:
            return


async def _until_healthy(is_healthy: Callable[[], Awaitable[bool]]) -> None:
    until = asyncio.get_running_loop().time() + _RECOVERY
    while True:
        try:
            await is_healthy()
        except DatabaseError as error:
            if error.of_statement or asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(_POLL)
        else:
            return
