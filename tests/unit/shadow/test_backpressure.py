"""The shadow's work waits while turns of the loop are long: up to a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from proxy.shadow.backpressure import LONG_PIECE, MAX_WAIT, PIECE, SHORT, Backpressure


class Clock:
    """Each turn of the loop takes the next of these times; the last one is repeated."""

    def __init__(self, turns: Iterable[float]) -> None:
        self._turns = iter(turns)
        self._now = 0.0
        self.asked = -1  # the first tells when waiting began

    def __call__(self) -> float:
        self.asked += 1
        if self.asked:
            self._now += next(self._turns)
        return self._now


LONG, QUICK = SHORT * 10, SHORT / 2


async def turns(lengths: list[float], fill_level: float = 0.0, due: float = 0.0) -> int:
    clock = Clock(lengths)
    await Backpressure(lambda: fill_level, clock).wait_turn(due)
    return clock.asked


async def test_one_short_turn_is_enough() -> None:
    assert await turns([QUICK]) == 1


async def test_long_turns_are_waited_for() -> None:
    assert await turns([LONG, LONG, LONG, QUICK]) == 4


@pytest.mark.parametrize("late", [0.0, MAX_WAIT / 2, MAX_WAIT, 10 * MAX_WAIT])
async def test_the_wait_ends_with_the_age_of_the_work(late: float) -> None:
    """I8: what is compared late has changed meanwhile. However much waits before it, nothing waits longer than that."""
    waited = await turns([LONG] * 100, due=-late) * LONG
    left = max(0.0, MAX_WAIT - late)
    assert left <= waited <= left + 2 * LONG


@pytest.mark.parametrize("fill_level", [0.25, 0.9])
async def test_nobody_waits_where_reads_would_be_skipped(fill_level: float) -> None:
    """I2: the queue is bounded."""
    assert await turns([LONG] * 100, fill_level) == 1


@pytest.mark.parametrize(("fill_level", "piece"), [(0.0, PIECE), (0.24, PIECE), (0.25, LONG_PIECE), (1.0, LONG_PIECE)])
async def test_pieces_are_longer_where_reads_would_be_skipped(fill_level: float, piece: float) -> None:
    assert await Backpressure(lambda: fill_level, lambda: 7.0).wait_turn(7.0) == 7.0 + piece


async def test_one_piece_of_work_follows_the_other() -> None:
    """The second to ask continues after a later turn than the first."""
    order: list[tuple[str, int]] = []
    turn = 0
    backpressure = Backpressure(lambda: 0.0, lambda: 0.0)

    async def work(name: str) -> None:
        await backpressure.wait_turn(0.0)
        order.append((name, turn))

    working = asyncio.gather(work("first"), work("second"), work("third"))
    while not working.done():
        await asyncio.sleep(0)
        turn += 1
    assert [name for name, _ in order] == ["first", "second", "third"]
    assert len({at for _, at in order}) == 3
