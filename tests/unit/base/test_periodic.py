"""Repeated work: its interval, its end, and outages of PostgreSQL."""

from __future__ import annotations

import asyncio

from proxy.base.errors import DatabaseUnavailable
from proxy.base.periodic import Periodic


class _Work:
    def __init__(self, *, broken: int = 0) -> None:
        self.calls = 0
        self._broken = broken
        self.enough = asyncio.Event()

    async def __call__(self) -> None:
        self.calls += 1
        if self.calls >= self._broken + 2:
            self.enough.set()
        if self.calls <= self._broken:
            raise DatabaseUnavailable("away")


async def test_work_is_repeated_and_tried_again_after_a_database_error() -> None:
    first, work = _Work(broken=1), _Work(broken=2)
    periodic = Periodic(work, "test", 0.001, first=first)
    periodic.start()
    await work.enough.wait()
    await periodic.close()
    calls = work.calls
    await asyncio.sleep(0.01)
    assert (first.calls, work.calls) == (1, calls)


async def test_the_last_work_is_done_at_the_end_though_it_was_never_started() -> None:
    work = _Work()
    await Periodic(work, "test", 1.0).finish(work)
    assert work.calls == 1


async def test_an_end_without_postgresql_raises_nothing() -> None:
    work = _Work(broken=1)
    await Periodic(work, "test", 1.0).finish(work)
    assert work.calls == 1
