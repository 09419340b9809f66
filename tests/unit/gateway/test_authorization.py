"""Permission to read: ArangoDB is asked once, a yes is cached, never beyond what ends it (DESIGN section 13)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from proxy.base.errors import UpstreamUnavailable
from proxy.gateway.authorization import Credentials
from proxy.model.message import Request, Response
from proxy.wire.auth import expiry_of, make_token

BASIC = b"Basic YWRhOnNlY3JldA=="


@dataclass
class Origin:
    """Answers as the test sets it, and counts the requests."""

    status: int = 200
    away: bool = False
    asked: list[bytes] = field(default_factory=list)
    wait: asyncio.Event | None = None

    async def request(self, request: Request, *, idempotent: bool = False) -> Response:
        assert idempotent
        self.asked.append(request.target)
        if self.wait is not None:
            await self.wait.wait()
        if self.away:
            raise UpstreamUnavailable("away")
        return Response(self.status, [], b"{}")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def made(origin: Origin, clock: Clock, wall: Clock | None = None) -> Credentials:
    return Credentials(origin, seconds=60, grace=3600, clock=clock, now=wall or clock)


async def test_a_yes_is_asked_for_once_a_minute_and_a_no_each_time() -> None:
    origin, clock = Origin(), Clock()
    credentials = made(origin, clock)
    assert await credentials.may_read(BASIC, "shop/orders")
    assert await credentials.may_read(BASIC, "shop/orders")
    assert origin.asked == [b"/_db/shop/_api/collection/orders/count"]
    clock.now += 61
    origin.status = 403
    assert not await credentials.may_read(BASIC, "shop/orders")
    assert not await credentials.may_read(BASIC, "shop/orders")
    assert len(origin.asked) == 3


async def test_each_is_asked_for_by_itself() -> None:
    """Another user, no credentials, another collection, the database alone: none is concluded from another."""
    origin = Origin()
    credentials = made(origin, Clock())
    for authorization in (BASIC, b"Basic Ym9iOnNlY3JldA==", None):
        for name in ("shop/orders", "shop/users", "other/orders"):
            assert await credentials.may_read(authorization, name)
        assert await credentials.may_enter(authorization, "shop")
    assert len(origin.asked) == 12


async def test_a_token_is_believed_no_longer_than_it_lasts() -> None:
    """Also while ArangoDB is away."""
    origin, clock, wall = Origin(), Clock(), Clock(5000.0)
    credentials = made(origin, clock, wall)
    token = f"bearer {make_token('ada', b'x', wall.now, lifetime=10)}".encode()
    assert await credentials.may_read(token, "shop/orders")
    wall.now += 11
    origin.away = True
    assert not await credentials.may_read(token, "shop/orders")


async def test_while_arangodb_is_away_a_yes_holds_for_an_hour() -> None:
    origin, clock = Origin(), Clock()
    credentials = made(origin, clock)
    assert await credentials.may_read(BASIC, "shop/orders")
    origin.away = True
    clock.now += 3500
    assert await credentials.may_read(BASIC, "shop/orders")
    assert not await credentials.may_read(BASIC, "shop/users")
    clock.now += 200
    assert not await credentials.may_read(BASIC, "shop/orders")


async def test_while_arangodb_hangs_one_question_at_a_time_is_asked_and_nobody_waits_for_it() -> None:
    """Reads that PostgreSQL serves go on as before, whatever they read; an old yes stands for an hour and no longer."""
    origin, clock = Origin(), Clock()
    credentials = made(origin, clock)
    names = [f"shop/{number}" for number in range(20)]
    for name in names:
        assert await credentials.may_read(BASIC, name)
    origin.wait = asyncio.Event()
    clock.now += 61
    assert await credentials.may_read(BASIC, names[0]), "after a moment: nobody knew that it hangs"
    for name in names * 3:
        assert await credentials.may_read(BASIC, name)
        assert not await credentials.may_read(BASIC, "shop/never asked")
    assert len(origin.asked) == 21
    clock.now += 3600
    assert not await credentials.may_read(BASIC, names[1])
    assert len(origin.asked) == 21
    origin.wait.set()
    while not await credentials.may_read(BASIC, names[1]):
        clock.now += 2  # an answer that came too late is asked for again
        await asyncio.sleep(0)
    await credentials.close()


async def test_a_right_that_was_taken_away_is_found_out_beside_the_reads() -> None:
    origin, clock = Origin(), Clock()
    credentials = made(origin, clock)
    assert await credentials.may_read(BASIC, "shop/orders")
    origin.wait = asyncio.Event()
    origin.status = 403
    clock.now += 61
    assert await credentials.may_read(BASIC, "shop/orders")
    origin.wait.set()
    while await credentials.may_read(BASIC, "shop/orders"):
        clock.now += 2
        await asyncio.sleep(0)


async def test_nothing_is_asked_twice_at_once() -> None:
    origin = Origin(wait=asyncio.Event())
    credentials = made(origin, Clock())
    asking = [asyncio.create_task(credentials.may_read(BASIC, "shop/orders")) for _ in range(20)]
    while not origin.asked:
        await asyncio.sleep(0)
    assert origin.wait is not None
    origin.wait.set()
    assert await asyncio.gather(*asking) == [True] * 20
    assert len(origin.asked) == 1


async def test_a_change_of_rights_ends_what_was_believed_and_what_is_being_asked() -> None:
    origin = Origin()
    credentials = made(origin, Clock())
    assert await credentials.may_read(BASIC, "shop/orders")
    credentials.forget()
    origin.wait = asyncio.Event()
    asking = asyncio.create_task(credentials.may_read(BASIC, "shop/orders"))
    while len(origin.asked) < 2:
        await asyncio.sleep(0)
    credentials.forget()  # the answer that is under way may be of before
    origin.wait.set()
    assert not await asking
    assert await credentials.may_read(BASIC, "shop/orders")
    assert len(origin.asked) == 3


async def test_memory_is_bounded() -> None:
    origin = Origin()
    credentials = made(origin, Clock())
    for number in range(10_001):
        await credentials.may_read(b"Basic %d" % number, "shop/orders")
    assert await credentials.may_read(b"Basic 10000", "shop/orders")
    assert len(origin.asked) == 10_001
    assert await credentials.may_read(b"Basic 0", "shop/orders")
    assert len(origin.asked) == 10_002


def test_when_a_token_ends() -> None:
    assert expiry_of(f"bearer {make_token('ada', b'x', 100, lifetime=10)}".encode()) == 110
    for other in (None, b"", BASIC, b"bearer", b"bearer x", b"bearer a.%%.c", b"bearer a.e30.c"):
        assert expiry_of(other) is None
