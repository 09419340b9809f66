"""Turns of queries that write the same documents."""

from __future__ import annotations

import asyncio

from proxy.stores.postgres.modifications.turns import Turns
from tests.harness import eventually


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def most_at_once(turns: Turns, *, text: str = "q", met: bool = False, binds: list[str]) -> int:
    """Return how many of some queries were under way at the same time. binds: of each."""
    running = most = 0

    async def query(bind: str) -> None:
        nonlocal running, most
        async with turns.taken(["_system/c"], text, {"k": bind}, met=met):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*map(query, binds))
    return most


async def test_queries_run_concurrently_until_one_has_met_another() -> None:
    turns, same = Turns(), ["k"] * 5
    assert await most_at_once(turns, binds=same) == 5
    assert await most_at_once(turns, binds=same, met=True) == 1
    assert await most_at_once(turns, binds=same) == 1


async def test_other_queries_are_not_concerned() -> None:
    turns = Turns()
    await most_at_once(turns, binds=["k"], met=True)
    assert await most_at_once(turns, binds=["a", "b"]) == 2
    assert await most_at_once(turns, text="r", binds=["k", "k"]) == 2
    long = ["x" * 2000] * 2
    await most_at_once(turns, binds=long, met=True)
    assert await most_at_once(turns, binds=long) == 2


async def test_a_query_that_has_met_no_other_one_for_a_second_needs_no_turn() -> None:
    clock = Clock()
    turns, same = Turns(clock), ["k"] * 3
    await most_at_once(turns, binds=same, met=True)
    clock.now = 1.5
    assert await most_at_once(turns, binds=same) == 3


async def test_a_query_that_is_cancelled_gives_its_turn_back() -> None:
    turns, inside = Turns(), asyncio.Event()

    async def query() -> None:
        async with turns.taken(["_system/c"], "q", {}, met=True):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(query())
    await asyncio.wait_for(inside.wait(), 10)
    task.cancel()
    await eventually(task.done, "the end of the query")
    assert await most_at_once(turns, binds=["k"], met=True) == 1
