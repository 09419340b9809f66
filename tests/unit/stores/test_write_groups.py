"""Which writes are executed together, and what becomes of their results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from proxy.stores.postgres.writes import write_groups
from proxy.stores.postgres.writes.write_groups import WriteGroups


@pytest.fixture(autouse=True)
def _one_group_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_groups, "_CONCURRENT", 1)


class Runs:
    """Executes groups of numbers: each ends when it may; its results are ten times the numbers."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_end = asyncio.Event()

    async def __call__(self, members: Sequence[int]) -> list[int]:
        self.groups.append(list(members))
        await self.may_end.wait()
        if -13 in members:
            raise ValueError("thirteen")
        return [10 * one for one in members]


async def test_writes_that_come_meanwhile_share_a_group_in_their_order() -> None:
    runs = Runs()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = [asyncio.create_task(groups.execute("c", number)) for number in range(70)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert runs.groups == [[0]]
    runs.may_end.set()
    assert await asyncio.gather(*tasks) == [10 * number for number in range(70)]
    assert runs.groups == [[0], list(range(1, 65)), list(range(65, 70))]


async def test_each_place_has_groups_of_its_own() -> None:
    runs = Runs()
    runs.may_end.set()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    assert await asyncio.gather(*(groups.execute(place, place) for place in range(5))) == [0, 10, 20, 30, 40]
    assert runs.groups == [[0], [1], [2], [3], [4]]


async def test_every_member_of_a_group_that_fails_gets_the_exception_and_others_continue() -> None:
    runs = Runs()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = [asyncio.create_task(groups.execute("c", number)) for number in (0, 12, -13, 14)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    runs.may_end.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == 0
    assert [str(one) for one in results[1:]] == ["thirteen"] * 3
    assert await groups.execute("c", 7) == 70


async def test_a_member_that_is_cancelled_while_it_waits_is_left_out_as_a_leader() -> None:
    runs = Runs()
    groups: WriteGroups[int, int] = WriteGroups(runs)
    tasks = [asyncio.create_task(groups.execute("c", number)) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    runs.may_end.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert (results[0], results[2]) == (0, 20)
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
