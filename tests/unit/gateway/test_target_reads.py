"""Reads on PostgreSQL: why the origin answers instead, and how long its answer is held then (mirror-protocol, 7)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.base.config import Settings
from proxy.base.errors import ArangoError, DatabaseUnavailable, OverLimit, Unsupported
from proxy.control.read_stats import Readings
from proxy.gateway.target_reads import FallbackReason, TargetReads
from proxy.model.operations import Operation, Outcome
from proxy.wire.endpoints import named

READ = Operation(named("document.read"), "GET", "db", "books", "a")
BOOKS = ("db/books",)


@dataclass
class Lease:
    """A lease as a read sees it; a test decides when the control row was read, and when the lease has expired."""

    may_read_target: bool = True
    own_lease_expired: bool = False
    last_heartbeat: float = 0.0
    asked: int = 0
    alone: int = 0

    def heartbeat_now(self) -> None:
        self.asked += 1

    def record_origin_only_ack(self) -> None:
        assert self.own_lease_expired
        self.alone += 1


@dataclass
class Target:
    """A store whose next answer, or error, is given."""

    gives: Any = field(default_factory=lambda: Outcome(200, b"{}"))

    async def fenced(self, _: Operation, generation: int) -> Outcome | None:
        assert generation == 7
        if isinstance(self.gives, BaseException):
            raise self.gives
        if self.gives == "never":
            await asyncio.Event().wait()
        found: Outcome | None = self.gives
        return found


@dataclass
class Rights:
    allowed: bool = True

    async def may_read(self, *_: object) -> bool:
        return self.allowed


def serving(
    lease: Lease, target: Target, *, rights: Rights | None = None, readings: Readings | None = None
) -> TargetReads:
    made: Any = (Settings(), target, lease, rights or Rights(), readings or Readings())
    return TargetReads(*made)


@pytest.mark.parametrize(
    ("gives", "expected", "trouble"),
    [
        (None, FallbackReason.FENCE, False),
        (Unsupported("traversals"), FallbackReason.UNSUPPORTED, False),
        (ArangoError(4), FallbackReason.REFUSED, False),
        (OverLimit("query over the limits of evaluation (time)"), FallbackReason.LIMIT, True),
        (DatabaseUnavailable("no connection is free"), FallbackReason.UNAVAILABLE, True),
    ],
)
async def test_what_is_no_answer_of_the_targets(gives: object, expected: FallbackReason, trouble: bool) -> None:
    found = await serving(Lease(), Target(gives)).answer(READ, BOOKS, 7, None)
    assert found is expected
    assert expected.trouble is trouble


async def test_what_stands_before_the_statement() -> None:
    assert await serving(Lease(may_read_target=False), Target()).answer(READ, BOOKS, 7, None) is FallbackReason.LEASE
    refused = serving(Lease(), Target(), rights=Rights(allowed=False))
    assert await refused.answer(READ, BOOKS, 7, None) is FallbackReason.PERMISSION
    assert isinstance(await serving(Lease(), Target()).answer(READ, BOOKS, 7, None), Outcome)


async def test_the_wait_is_bounded_and_counted_for_automatic_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.gateway.target_reads._LEAST_LIMIT", 0.02)
    readings = Readings()
    readings.watch({"db/books": 1.0})
    slow = serving(Lease(), Target("never"), readings=readings)
    slow._time_limit = 0.02
    assert await slow.answer(READ, BOOKS, 7, None) is FallbackReason.SLOW
    for gives in (
        None,
        Unsupported("x"),
        OverLimit("y"),
        Outcome(200, b"{}"),
    ):  # all but the last are nothing that PostgreSQL did badly
        await serving(Lease(), Target(gives), readings=readings).answer(READ, BOOKS, 7, None)
    seen = readings.figures("db/books")
    assert (seen.reads, seen.errors) == (2, 1)


async def test_after_trouble_an_answer_is_held_until_a_look_that_began_later_succeeds() -> None:
    lease = Lease(last_heartbeat=time.monotonic())  # one that began before says nothing
    held = asyncio.create_task(serving(lease, Target()).reached_again())
    done, _ = await asyncio.wait({held}, timeout=0.1)
    assert not done
    assert lease.asked == 1
    lease.last_heartbeat = time.monotonic()
    await held
    assert lease.alone == 0


async def test_or_until_the_own_lease_has_run_out_and_then_it_is_noted() -> None:
    lease = Lease()
    held = asyncio.create_task(serving(lease, Target()).reached_again())
    done, _ = await asyncio.wait({held}, timeout=0.1)
    assert not done
    lease.own_lease_expired = True
    await held
    assert lease.alone == 1


async def test_a_read_that_hangs_is_let_go_when_the_own_lease_has_run_out() -> None:
    """An outage costs one pause of about a lease, not all the time that a read may take."""
    lease = Lease()
    store = serving(lease, Target("never"))
    await store.start()
    try:
        reads = [asyncio.create_task(store.answer(READ, BOOKS, 7, None)) for _ in range(3)]
        done, _ = await asyncio.wait(reads, timeout=0.15)
        assert not done
        lease.own_lease_expired = True
        assert set(await asyncio.gather(*reads)) == {FallbackReason.SLOW}
    finally:
        await store.close()
