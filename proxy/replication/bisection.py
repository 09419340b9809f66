"""Rows that PostgreSQL goes on refusing with an error that passes elsewhere: found one by one, and put aside.

Most SQLSTATEs speak of the moment (a conflict, a full disk, a session that was ended) or of the whole table (a right, a
name), and the same rows are tried again. But a trigger may raise any of them, a document may take all the memory that a
session has, or bring its process down: then the same row would be refused for ever, and with it whatever waits behind.

The rule: what was refused several times over is tried apart, in halves and then alone. A row that is refused alone as
often again is a dead letter with its reason, provided that PostgreSQL is sound: it takes another row of the same table,
and the note, at that moment. Where it is not sound (read-only, full, a table that is locked or refuses every row)
nothing is put aside and everything is kept; likewise where the table has no other row to tell by, and refuses more than
a few. A wrong guess costs a flip, and heals: dead letters are tried again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from proxy.base.errors import DatabaseError

ENOUGH: Final = 3  # refusals of a batch before its rows are tried apart
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4)  # seconds before each further try of a row alone
_RECOVERS: Final = 10.0  # seconds that PostgreSQL has to come back from what one row did to it
_LOOK: Final = 0.1
_FEW: Final = 10  # rows of a table that has no others
_MOST: Final = 10_000  # rows that are counted

Item = TypeVar("Item")
Taken_contra = TypeVar("Taken_contra", contravariant=True)


class Suspects:
    """How often rows have been in a batch that was refused, since one with them was taken."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[str, str], int] = OrderedDict()

    def refused(self, collection: str, keys: Iterable[str]) -> bool:
        """A batch was; whether that is enough to try its rows apart."""
        worst = 0
        for key in keys:
            number = self._refused.pop((collection, key), 0) + 1
            self._refused[collection, key] = number
            worst = max(worst, number)
        while len(self._refused) > _MOST:
            self._refused.popitem(last=False)
        return worst >= ENOUGH

    def taken(self, collection: str, keys: Iterable[str]) -> None:
        """A batch was taken, or its rows put aside."""
        if self._refused:
            for key in keys:
                self._refused.pop((collection, key), None)


class Table(Protocol[Taken_contra]):
    """Where the rows go. Each method raises DatabaseError."""

    async def once(self, rows: Sequence[Taken_contra]) -> None:
        """Applies them, all or perhaps some; what became of them is kept there."""

    async def sound(self) -> bool:
        """Whether the table has another row that can tell. Raises where PostgreSQL does not take that, or no note."""

    async def put_aside(self, row: Taken_contra, error: DatabaseError) -> None: ...


async def apart(table: Table[Item], rows: Sequence[Item]) -> None:
    """Each of the rows is applied, or put aside. Raises DatabaseError where PostgreSQL is not sound."""
    others = await table.sound()
    alone: list[Item] = []
    refusals: dict[int, DatabaseError] = {}
    waiting = [rows]
    while waiting:
        some = waiting.pop()
        error = await _refusal(table, some)
        if error is None:
            continue
        if len(some) > 1:
            middle = len(some) // 2
            waiting += [some[middle:], some[:middle]]
        else:
            alone.append(some[0])
            refusals[id(some[0])] = error
    if not others and len(alone) == len(rows) > _FEW:
        raise refusals[id(rows[0])]
    for pause in _PAUSES:
        left: list[Item] = []
        if alone:
            await asyncio.sleep(pause)
        for row in alone:
            error = await _refusal(table, [row])
            if error is not None:
                refusals[id(row)] = error
                left.append(row)
        alone = left
    for row in alone:
        await _patiently(table.sound)
        await table.put_aside(row, refusals[id(row)])


async def _refusal(table: Table[Item], rows: Sequence[Item]) -> DatabaseError | None:
    """The error of these rows themselves. Raises DatabaseError where PostgreSQL does not come back."""
    for number in range(1, ENOUGH + 1):
        try:
            await table.once(rows)
        except DatabaseError as error:
            if error.of_statement:
                return error
            if number == ENOUGH:
                raise
            await _patiently(table.sound)  # there was no session: the last row may have ended all of them
        else:
            return None
    raise AssertionError("unreachable")


async def _patiently(sound: Callable[[], Awaitable[bool]]) -> None:
    until = asyncio.get_running_loop().time() + _RECOVERS
    while True:
        try:
            await sound()
        except DatabaseError as error:
            if error.of_statement or asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(_LOOK)
        else:
            return
