"""Whether a client may read a collection: ArangoDB says so, and the answer is kept for a while (DESIGN section 13).

A read that PostgreSQL serves is allowed exactly where ArangoDB would have allowed it: the client's own Authorization
header is shown to ArangoDB with a request for the collection, which needs read permission on database and collection.
A yes holds for a minute; never longer than the token itself, and not beyond a change of users or rights that goes
through this proxy. A no is never kept.

**An ArangoDB that hangs costs a served read nothing.** While it does not answer, the old yes stands for an hour at
most, and no read waits for it: one question at a time is asked, beside the reads, until it answers again. Nothing is
asked twice at once. Credentials are kept hashed with a key of this process; they never reach logs.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from proxy.base.errors import UpstreamError
from proxy.base.waits import counted
from proxy.model.message import Request
from proxy.stores.arango import Requester
from proxy.wire.auth import expiry_of

_LIMIT: Final = 10_000
_PATIENCE: Final = 2.0  # seconds: an ArangoDB that hangs counts as one that is away
_PROMPT: Final = 0.25  # seconds that a read waits for a new answer, where there is an old one
_PAUSE: Final = 1.0  # seconds between two questions to an ArangoDB that does not answer


@dataclass(frozen=True, slots=True)
class _Yes:
    """asked: when, by the monotonic clock. until: seconds since the epoch after which the token itself is over."""

    asked: float
    until: float


class Credentials:
    """A bounded cache of (credentials, what is asked for) -> yes."""

    def __init__(
        self,
        origin: Requester,
        *,
        seconds: float = 60.0,
        grace: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """seconds: how long an answer holds; grace: how long it holds on while the origin does not answer."""
        self._origin = origin
        self._seconds = seconds
        self._grace = grace
        self._clock = clock
        self._now = now
        self._salt = secrets.token_bytes(16)
        self._allowed: OrderedDict[bytes, _Yes] = OrderedDict()
        self._version = 0
        self._probes: dict[bytes, asyncio.Task[bool | None]] = {}  # one for each thing that is asked
        self._silent = False  # the origin was asked, and has not answered since
        self._silent_until = 0.0

    async def may_read(self, authorization: bytes | None, collection: str) -> bool:
        """True where ArangoDB lets these credentials read `database/name`.

        False says nothing but that the origin must answer this request itself, with its own error.
        """
        database, _, name = collection.partition("/")
        path = f"/_db/{quote(database, safe='')}/_api/collection/{quote(name, safe='')}/count"
        return await self._may(authorization, path)

    async def may_enter(self, authorization: bytes | None, database: str) -> bool:
        """True where ArangoDB knows these credentials and lets them into the database. Else as `may_read`."""
        return await self._may(authorization, f"/_db/{quote(database, safe='')}/_api/database/current")

    def forget(self) -> None:
        """Users or rights have changed, or may have: everybody is asked about again, also who is being asked about."""
        self._allowed.clear()
        for probe in self._probes.values():  # whoever waits for one goes to the origin
            probe.cancel()
        self._probes.clear()
        self._version += 1

    async def close(self) -> None:
        """Ends what is still being asked."""
        for probe in (probes := list(self._probes.values())):
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    async def _may(self, authorization: bytes | None, path: str) -> bool:
        given = b"\0".join((authorization or b"", path.encode()))
        key = hashlib.blake2b(given, key=self._salt, digest_size=16).digest()
        known = self._allowed.get(key)
        if known is not None and self._now() >= known.until:
            known = None
        age = math.inf if known is None else self._clock() - known.asked
        if age < self._seconds:
            return True
        return await self._renewed(key, authorization, path, old=age < self._grace)

    @counted("rights")
    async def _renewed(self, key: bytes, authorization: bytes | None, path: str, *, old: bool) -> bool:
        """Asks again; old: what was said then may stand for a while."""
        probe = self._probes.get(key)
        if probe is None and self._silent and (self._probes or self._clock() < self._silent_until):
            return old  # somebody is asking already whether the origin is back
        if probe is None:
            probe = asyncio.create_task(self._probe(key, authorization, path, self._version), name="rights")
            self._probes[key] = probe
            probe.add_done_callback(functools.partial(self._ended, key))
        if old and self._silent:
            return True
        done, _ = await asyncio.wait({probe}, timeout=_PROMPT if old else _PATIENCE)
        if not done:
            self._silent = True
            return old
        said = False if probe.cancelled() else probe.result()
        return old if said is None else said

    async def _probe(self, key: bytes, authorization: bytes | None, path: str, version: int) -> bool | None:
        """What the origin says now, kept where it is a yes; None where it does not answer."""
        began = self._clock()
        status = await self._ask(authorization, path)
        self._silent = status is None
        if version != self._version:  # changed meanwhile: what was said may be what was before
            return False
        if status is None:
            self._silent_until = self._clock() + _PAUSE
            return None
        if status != 200:
            self._allowed.pop(key, None)
            return False
        self._allowed[key] = _Yes(began, expiry_of(authorization) or math.inf)
        self._allowed.move_to_end(key)
        while len(self._allowed) > _LIMIT:
            self._allowed.popitem(last=False)
        return True

    def _ended(self, key: bytes, probe: asyncio.Task[bool | None]) -> None:
        if self._probes.get(key) is probe:
            del self._probes[key]

    async def _ask(self, authorization: bytes | None, path: str) -> int | None:
        """ArangoDB's status; None where it does not answer."""
        headers = [(b"authorization", authorization)] if authorization is not None else []
        try:
            async with asyncio.timeout(_PATIENCE):
                response = await self._origin.request(Request("GET", path.encode(), headers), idempotent=True)
                if not isinstance(response.body, bytes):
                    async for _ in response.body:
                        pass
        except (UpstreamError, TimeoutError):
            return None
        return response.status
