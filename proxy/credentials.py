"""Whether a client may read a collection: ArangoDB says so, and the answer is kept for a while (DESIGN section 13).

A read that PostgreSQL serves is allowed exactly where ArangoDB would have allowed it: the client's own Authorization
header is shown to ArangoDB with a request for the collection, which needs read permission on database and collection.
Credentials are kept hashed with a key of this process; they never reach logs.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from urllib.parse import quote

from proxy.errors import UpstreamError
from proxy.stores.arango import Requester
from proxy.wire.message import Request

_LIMIT = 10_000
_PATIENCE = 2.0  # seconds: an ArangoDB that hangs counts as one that is away


class Credentials:
    """A bounded cache of (credentials, database, collection) -> allowed until."""

    def __init__(self, origin: Requester, *, seconds: float = 60.0, grace: float = 3600.0) -> None:
        """seconds: how long an answer holds; grace: how long it holds on while the origin does not answer."""
        self._origin = origin
        self._seconds = seconds
        self._grace = grace
        self._salt = secrets.token_bytes(16)
        self._allowed: OrderedDict[bytes, float] = OrderedDict()

    async def may_read(self, authorization: bytes | None, collection: str) -> bool:
        """True where ArangoDB lets these credentials read `database/name`.

        False says nothing but that the origin must answer this request itself, with its own error.
        """
        key = hashlib.blake2b(
            b"\0".join((authorization or b"", collection.encode())), key=self._salt, digest_size=16
        ).digest()
        now = time.monotonic()
        asked = self._allowed.get(key)
        if asked is not None and now - asked < self._seconds:
            return True
        database, _, name = collection.partition("/")
        target = f"/_db/{quote(database, safe='')}/_api/collection/{quote(name, safe='')}/count"
        headers = [(b"authorization", authorization)] if authorization is not None else []
        try:
            async with asyncio.timeout(_PATIENCE):
                response = await self._origin.request(Request("GET", target.encode(), headers), idempotent=True)
                if not isinstance(response.body, bytes):
                    async for _ in response.body:
                        pass
        except (UpstreamError, TimeoutError):
            return asked is not None and now - asked < self._grace
        if response.status != 200:
            self._allowed.pop(key, None)
            return False
        self._allowed[key] = now
        self._allowed.move_to_end(key)
        while len(self._allowed) > _LIMIT:
            self._allowed.popitem(last=False)
        return True
