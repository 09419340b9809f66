"""State that the clients of one listener share, and what the listener needs of each of them, whatever its protocol."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from proxy.http.limits import HttpLimits
from proxy.model.message import Handler


class ClientConnection(Protocol):
    """One client's connection, as its listener sees it."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that answers its requests, once there may be any."""

    def enforce_timeouts(self, ticks: int) -> None:
        """Enforce the time limits; called at each tick of the listener."""

    def drain(self) -> None:
        """Accept no further request: close immediately if nothing is under way."""


@dataclass(slots=True)
class ListenerState:
    """ticks: the coarse clock that the connections' time limits are read from."""

    handler: Handler
    limits: HttpLimits
    tls: bool = False
    ticks: int = 0
    draining: bool = False
    connections: set[ClientConnection] = field(default_factory=set)
