"""Answers about flipped collections wait for both databases, or until this proxy has no lease to read PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.base.config import Settings
from proxy.base.errors import DatabaseUnavailable
from proxy.capture.context import WriteContext
from proxy.model.stages import CollectionState, Snapshot, Stage

BOOKS = "db/books"


@dataclass
class Lease:
    """A lease whose state the test sets."""

    snapshot: Snapshot
    own_lease_expired: bool = False
    alone: int = 0
    given_up: str = ""

    def record_origin_only_ack(self) -> None:
        assert self.own_lease_expired
        self.alone += 1

    def give_up(self, reason: str) -> None:
        self.given_up = reason


def kit(lease: Lease, settings: Settings | None = None) -> WriteContext:
    parts: Any = (settings or Settings(), None, None, lease, None, None, None)
    return WriteContext(*parts)


@pytest.fixture
def lease() -> Lease:
    return Lease(Snapshot(collections={BOOKS: CollectionState(Stage.FLIPPED, 100)}))


async def still(waiting: asyncio.Task[Any]) -> None:
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done


async def test_it_waits_until_postgresql_has_it(lease: Lease) -> None:
    both = asyncio.Event()
    waiting = asyncio.create_task(kit(lease).wait_for_replica(both.wait(), BOOKS))
    await still(waiting)
    both.set()
    await waiting
    assert (lease.alone, lease.given_up) == (0, "")


async def test_it_answers_alone_only_when_the_own_lease_has_run_out_and_notes_it(lease: Lease) -> None:
    waiting = asyncio.create_task(kit(lease).wait_for_replica(asyncio.Event().wait(), BOOKS))
    await still(waiting)
    assert lease.alone == 0
    lease.own_lease_expired = True
    await waiting
    assert lease.alone == 1


async def test_it_waits_no_longer_once_the_flip_is_taken_back(lease: Lease) -> None:
    waiting = asyncio.create_task(kit(lease).wait_for_replica(asyncio.Event().wait(), BOOKS))
    await still(waiting)
    lease.snapshot = Snapshot(collections={BOOKS: CollectionState(Stage.SHADOW)})
    await waiting
    assert lease.alone == 0


async def test_what_fails_or_drags_on_is_given_up_and_still_waits_for_the_lease(lease: Lease) -> None:
    async def fails() -> None:
        raise DatabaseUnavailable("the disk is full")

    quick = Settings(heartbeat=0.01, lease=0.02)
    for what in (fails, asyncio.Event().wait):
        lease.given_up, lease.own_lease_expired = "", False
        waiting = asyncio.create_task(kit(lease, quick).wait_for_replica(what(), BOOKS))
        while not lease.given_up:
            await still(waiting)
        lease.own_lease_expired = True
        await waiting
    assert lease.alone == 2
