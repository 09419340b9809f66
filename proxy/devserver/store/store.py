"""MemoryStore: carries out every endpoint over the state of one server. `wire` over it is the development ArangoDB."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from proxy.devserver.store import collection_lookup, dispatch, expiry
from proxy.devserver.store.async_requests import AsyncRequests, is_asynchronous
from proxy.devserver.store.command_table import COMMANDS
from proxy.devserver.store.state.locks import LockedError
from proxy.devserver.store.state.running_query import RunningQuery, with_pauses
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import Clock

_RETRY: Final = 1.0  # seconds between two checks for abandoned transactions, which nothing announces


class MemoryStore:
    """An ArangoDB server in memory, with the Store protocol. One event loop; each operation is atomic.

    clock: source of revisions. now: seconds since the epoch. lock_wait: seconds that a request waits for what a running
    transaction has locked; None waits as ArangoDB does (a second for a key, lockTimeout for a collection).
    """

    def __init__(
        self, clock: Clock | None = None, now: Callable[[], float] = time.time, *, lock_wait: float | None = None
    ) -> None:
        self.server = ServerState(clock or Clock(), now)
        self._lock_wait = lock_wait
        self._requests = AsyncRequests()

    @property
    def name(self) -> str:
        return "memory"

    async def execute(self, operation: Operation) -> Outcome:
        """Carry out an operation; errors are outcomes too. Wait for locks, and while a query sleeps.

        A request with `x-arango-async` is answered immediately, and continues as a job.
        """
        if not is_asynchronous(operation):
            return await self._carry_out(operation)
        refused = dispatch.refusal(self.server, operation, dispatch.command_of(COMMANDS, operation))
        return refused or await self._requests.start(self.server, operation, self._carry_out)

    async def close(self) -> None:
        """Cancel the jobs that are running."""
        await self._requests.close()

    def expire(self) -> int:
        """Remove the documents that TTL indexes have expired; return how many."""
        return expiry.remove_expired(self.server)

    def run(self, operation: Operation, running: RunningQuery | None = None) -> Outcome:
        """Carry out an operation without an event loop: a lock is an error without waiting.

        Raise PausedError if a query sleeps; `running` is one that has slept before.
        """
        self.server.resumed = running
        command = dispatch.command_of(COMMANDS, operation)
        refused = dispatch.refusal(self.server, operation, command)
        return refused or dispatch.answer(self.server, operation, command)

    async def _carry_out(self, operation: Operation) -> Outcome:
        return await with_pauses(self.server.running, lambda running: self._unlocked(operation, running))

    async def _unlocked(self, operation: Operation, running: RunningQuery | None) -> Outcome:
        """Run an operation as soon as what it needs is unlocked, or its time is up. Raise PausedError."""
        try:
            return self._try(operation, running)
        except LockedError as error:
            seconds = error.seconds if self._lock_wait is None else self._lock_wait
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await self.server.unlocked(min(left, _RETRY))
            collection_lookup.expire_transactions(self.server)
            try:
                return self._try(operation, running)
            except LockedError:
                continue
        return self.run(operation, running)

    def _try(self, operation: Operation, running: RunningQuery | None) -> Outcome:
        """Run an operation. Raise LockedError, with nothing done, if a lock forbids it."""
        self.server.patient = True
        try:
            return self.run(operation, running)
        finally:
            self.server.patient = False
