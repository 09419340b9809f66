"""Which writes are executed together, and what becomes of their results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from proxy.stores.postgres.writes.write_groups import WriteGroups


class Runs:
    """Executes groups of numbers; its results are ten times the numbers.

    Each group is prepared when it may be, and ends when it may.
    """

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.written: list[Callable[[], None]] = []
        self.may_commit = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, members: Sequence[int], written: Callable[[], None]) -> list[int]:
        self.groups.append(list(members))
        self.written.append(written)
        await self.may_commit.wait()
        if -13 in members:
            raise ValueError("thirteen")
        written()
        await self.may_end.wait()
        return [10 * one for one in members]

    def go(self) -> None:
        """Let all groups end."""
        self.may_commit.set()
        self.may_end.set()


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_writes_that_come_while_a_group_is_prepared_share_the_next_in_their_order() -> None:
    runs = Runs()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = [asyncio.create_task(groups.execute("c", number)) for number in range(70)]
    await settled()
    assert runs.groups == [list(range(64))]
    tasks += [asyncio.create_task(groups.execute("c", number)) for number in range(70, 75)]
    await settled()
    assert runs.groups == [list(range(64))]
    runs.go()
    assert await asyncio.gather(*tasks) == [10 * number for number in range(75)]
    assert runs.groups == [list(range(64)), list(range(64, 75))]


async def test_a_group_begins_while_others_commit_unless_there_are_too_many() -> None:
    runs = Runs()
    runs.may_commit.set()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = []
    for number in range(6):
        tasks.append(asyncio.create_task(groups.execute("c", number)))
        await settled()
    assert runs.groups == [[0], [1], [2], [3]]
    runs.may_end.set()
    assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40, 50]
    assert runs.groups == [[0], [1], [2], [3], [4, 5]]


async def test_each_place_has_groups_of_its_own() -> None:
    runs = Runs()
    runs.go()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    assert await asyncio.gather(*(groups.execute(place, place) for place in range(5))) == [0, 10, 20, 30, 40]
    assert runs.groups == [[0], [1], [2], [3], [4]]


async def test_every_member_of_a_group_that_fails_gets_the_exception_and_others_continue() -> None:
    runs = Runs()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    first = asyncio.create_task(groups.execute("c", 0))
    await settled()
    tasks = [asyncio.create_task(groups.execute("c", number)) for number in (12, -13, 14)]
    await settled()
    runs.go()
    assert await first == 0
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(one) for one in results] == ["thirteen"] * 3
    assert await groups.execute("c", 7) == 70


async def test_a_member_that_is_cancelled_while_it_waits_is_left_out_as_a_leader() -> None:
    runs = Runs()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = [asyncio.create_task(groups.execute("c", 0))]
    await settled()
    tasks += [asyncio.create_task(groups.execute("c", number)) for number in (1, 2)]
    await settled()
    tasks[1].cancel()
    await settled()
    runs.go()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == (0, 20)
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]


async def test_a_member_that_is_cancelled_when_its_turn_to_lead_comes_passes_it_on() -> None:
    runs = Runs()
    runs.may_end.set()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = [asyncio.create_task(groups.execute("c", 0))]
    await settled()
    tasks += [asyncio.create_task(groups.execute("c", number)) for number in (1, 2)]
    await settled()
    runs.written[0]()
    tasks[1].cancel()
    runs.may_commit.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == (0, 20)
