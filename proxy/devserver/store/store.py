"""MemoryStore: carries out every endpoint over the state of one server. `wire` over it is the development ArangoDB."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from proxy.base.errors import ArangoError, Unsupported
from proxy.devserver.store import access, collection_lookup, expiry
from proxy.devserver.store.command_table import COMMANDS
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers import documents, jobs
from proxy.devserver.store.request_params import flag
from proxy.devserver.store.state.running_query import PausedError, RunningQuery
from proxy.devserver.store.state.server import RecordedCall, ServerState
from proxy.devserver.store.write_document import LockedError
from proxy.devserver.store.write_rules import ConflictError
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import Clock
from proxy.wire.encode import error_outcome
from proxy.wire.velocypack import to_json

_RETRY: Final = 1.0  # seconds between two checks for abandoned transactions, which nothing announces
_DIRTY: Final = ((b"x-arango-potential-dirty-read", b"true"),)


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
        self._jobs: set[asyncio.Task[Outcome]] = set()

    @property
    def name(self) -> str:
        return "memory"

    async def execute(self, operation: Operation) -> Outcome:
        """Carry out an operation; errors are outcomes too. Wait for locks, and while a query sleeps.

        A request with `x-arango-async` is answered immediately, and continues as a job.
        """
        wish = operation.headers.get("x-arango-async") if operation.headers else None
        if wish not in ("true", "store"):
            return await self._carry_out(operation)
        refused = self._refusal(operation, _command(operation))
        if refused is not None:
            return refused
        headers = {name: value for name, value in operation.headers.items() if name != "x-arango-async"}
        work = self._carry_out(msgspec.structs.replace(operation, headers=headers))
        job = asyncio.get_running_loop().create_task(work, name="job")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        await asyncio.sleep(0)  # a job that need not wait has ended after this
        return jobs.accepted(self.server, operation, job, store=wish == "store")

    async def close(self) -> None:
        """Cancel the jobs that are running."""
        for job in (running := list(self._jobs)):
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def expire(self) -> int:
        """Remove the documents that TTL indexes have expired; return how many."""
        return expiry.remove_expired(self.server)

    def run(self, operation: Operation, running: RunningQuery | None = None) -> Outcome:
        """Carry out an operation without an event loop: a lock is an error without waiting.

        Raise PausedError if a query sleeps; `running` is one that has slept before.
        """
        self.server.resumed = running
        command = _command(operation)
        return self._refusal(operation, command) or self._answer(operation, command)

    async def _carry_out(self, operation: Operation) -> Outcome:
        running: RunningQuery | None = None
        try:
            while True:
                try:
                    return await self._unlocked(operation, running)
                except PausedError as paused:
                    running = paused.running
                    self.server.running[running.id] = running
                    await running.sleep()
        finally:
            if running is not None:
                del self.server.running[running.id]

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

    def _refusal(self, operation: Operation, command: EndpointCommand) -> Outcome | None:
        """Return the answer to a request that its user may not make; None if it may be made."""
        if not self.server.accounts.limited:
            return None
        try:
            command.access(self.server, operation)
        except access.Unauthorized as error:
            return error_outcome(error, access.CHALLENGES)
        except ArangoError as error:
            return error_outcome(error)
        return None

    def _answer(self, operation: Operation, command: EndpointCommand) -> Outcome:
        self.server.calls.append(RecordedCall(self.server.now(), operation.method, operation.database, operation.path))
        try:
            self.server.database(operation)  # an unknown one answers no request, not even for the version
            if operation.headers and "velocypack" in operation.headers.get("content-type", ""):
                operation = msgspec.structs.replace(operation, body=to_json(operation.body) if operation.body else b"")
            outcome = command.run(self.server, operation)
        except ConflictError as error:
            if self.server.patient and isinstance(error, LockedError):
                raise
            if operation.key is not None and command.shows_conflict:
                return documents.conflict_outcome(operation.collection or "", error)
            return error_outcome(error)
        except ArangoError as error:
            return error_outcome(error)
        if command.dirty_read and flag(operation.headers, "x-arango-allow-dirty-read"):
            return msgspec.structs.replace(outcome, headers=(*outcome.headers, *_DIRTY))
        return outcome


def _command(operation: Operation) -> EndpointCommand:
    return COMMANDS.get(operation.endpoint.name, _UNSUPPORTED)


def _unsupported(_server: ServerState, operation: Operation) -> Outcome:
    raise Unsupported(operation.endpoint.name)


_UNSUPPORTED: Final = EndpointCommand(_unsupported)
