"""Permission of a client to read a collection: ArangoDB decides, and a yes is cached for a while (DESIGN section 13).

A read that PostgreSQL serves is allowed exactly if ArangoDB would allow it: the client's own Authorization header is
sent to ArangoDB with a request for the collection, which needs read permission on database and collection. A yes holds
for a minute; never longer than the token itself, and not beyond a change of users or rights that goes through this
proxy. A no is never cached.

**An ArangoDB that hangs delays no read that PostgreSQL serves.** While it does not answer, the old yes holds for an
hour at most, and no read waits for it: one probe at a time runs in the background until it answers again. Two probes
for the same thing never run concurrently. Credentials are kept hashed with a key of this process; they never reach
logs.
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
from proxy.base.waits import timed_wait
from proxy.model.message import Request
from proxy.stores.arango import Requester
from proxy.wire.auth import expiry_of

_LIMIT: Final = 10_000
_TIMEOUT: Final = 2.0  # seconds after which an ArangoDB that hangs counts as unreachable
_PROMPT: Final = 0.25  # seconds that a read waits for a new answer, if there is an old one
_PAUSE: Final = 1.0  # seconds between two probes of an ArangoDB that does not answer


@dataclass(frozen=True, slots=True)
class _Yes:
    """asked: when, by the monotonic clock. until: when the token itself expires, in seconds since the epoch."""

    asked: float
    until: float


class Credentials:
    """A bounded cache: (credentials, what is requested) -> yes."""

    def __init__(
        self,
        origin: Requester,
        *,
        seconds: float = 60.0,
        grace: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """seconds: how long a yes holds; grace: how long it holds while the origin does not answer."""
        self._origin = origin
        self._seconds = seconds
        self._grace = grace
        self._clock = clock
        self._now = now
        self._salt = secrets.token_bytes(16)
        self._allowed: OrderedDict[bytes, _Yes] = OrderedDict()
        self._version = 0
        self._probes: dict[bytes, asyncio.Task[bool | None]] = {}  # by what is requested
        self._silent = False  # the origin did not answer the last probe
        self._silent_until = 0.0

    async def may_read(self, authorization: bytes | None, collection: str) -> bool:
        """Return True if ArangoDB lets these credentials read `database/name`.

        False means only that the origin must answer this request itself, with its own error.
        """
        database, _, name = collection.partition("/")
        path = f"/_db/{quote(database, safe='')}/_api/collection/{quote(name, safe='')}/count"
        return await self._may(authorization, path)

    async def may_enter(self, authorization: bytes | None, database: str) -> bool:
        """Return True if ArangoDB knows these credentials and lets them into the database. Else as `may_read`."""
        return await self._may(authorization, f"/_db/{quote(database, safe='')}/_api/database/current")

    def forget(self) -> None:
        """Forget every yes, and every probe under way: users or rights have changed, or may have."""
        self._allowed.clear()
        for probe in self._probes.values():  # reads that wait for one go to the origin
            probe.cancel()
        self._probes.clear()
        self._version += 1

    async def close(self) -> None:
        """End the probes under way."""
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

    @timed_wait("rights")
    async def _renewed(self, key: bytes, authorization: bytes | None, path: str, *, old: bool) -> bool:
        """Ask again. old: there is a yes that may still hold."""
        probe = self._probes.get(key)
        if probe is None and self._silent and (self._probes or self._clock() < self._silent_until):
            return old  # another probe finds out whether the origin answers again
        if probe is None:
            probe = asyncio.create_task(self._probe(key, authorization, path, self._version), name="rights")
            self._probes[key] = probe
            probe.add_done_callback(functools.partial(self._ended, key))
        if old and self._silent:
            return True
        done, _ = await asyncio.wait({probe}, timeout=_PROMPT if old else _TIMEOUT)
        if not done:
            self._silent = True
            return old
        said = False if probe.cancelled() else probe.result()
        return old if said is None else said

    async def _probe(self, key: bytes, authorization: bytes | None, path: str, version: int) -> bool | None:
        """Return the origin's answer, and cache a yes; None if it does not answer."""
        began = self._clock()
        status = await self._ask(authorization, path)
        self._silent = status is None
        if version != self._version:  # rights changed meanwhile: the answer may be about those before
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
        """Return ArangoDB's status; None if it does not answer."""
        headers = [(b"authorization", authorization)] if authorization is not None else []
        try:
            async with asyncio.timeout(_TIMEOUT):
                response = await self._origin.request(Request("GET", path.encode(), headers), idempotent=True)
                if not isinstance(response.body, bytes):
                    async for _ in response.body:
                        pass
        except (UpstreamError, TimeoutError):
            return None
        return response.status
