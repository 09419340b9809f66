"""Clients that send Crossfade's own ArangoDB account: it keeps the rights that a promotion takes from all others.

Whoever has it could write to promoted collections around the proxies, and PostgreSQL would never have that. A request
that passes a proxy with this account shows that others know it; so each is counted.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Final

from proxy.model.message import Handler, Request, Response
from proxy.wire.auth import user_of

_KNOWN: Final = 4096  # headers that are remembered; clients send few different ones


class OwnAccountWatch:
    """Counts requests by their `Authorization` header. user: Crossfade's own."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._known: dict[bytes, bool] = {}
        self._since = time.monotonic()
        self.requests = 0

    def see(self, authorization: bytes | None) -> None:
        """Count a request. On the request path: a look at a dictionary."""
        if authorization is None:
            return
        own = self._known.get(authorization)
        if own is None:
            own = user_of(authorization.decode("latin-1")) == self._user
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[authorization] = own
        if own:
            self.requests += 1

    def watching(self, handle: Handler) -> Handler:
        """Return a handler that counts each request before it is handled."""

        def handler(request: Request) -> Awaitable[Response]:
            self.see(request.header(b"authorization"))
            return handle(request)

        return handler

    def figures(self) -> dict[str, object]:
        """Return what `/check` shows: how many requests, in how many seconds."""
        return {"requests": self.requests, "seconds": time.monotonic() - self._since}
