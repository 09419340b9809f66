"""Requests with `x-arango-async`: answered immediately, carried out as jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from proxy.devserver.store.handlers import jobs
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome


def is_asynchronous(operation: Operation) -> bool:
    """Return True if the client does not wait for the result."""
    return bool(operation.headers) and operation.headers.get("x-arango-async") in ("true", "store")


class AsyncRequests:
    """The jobs of one process that are running."""

    def __init__(self) -> None:
        self._jobs: set[asyncio.Task[Outcome]] = set()

    async def start(
        self, server: ServerState, operation: Operation, carry_out: Callable[[Operation], Awaitable[Outcome]]
    ) -> Outcome:
        """Begin an operation as a job; return the answer, with the job's number if its result is kept."""
        headers = {name: value for name, value in operation.headers.items() if name != "x-arango-async"}
        plain = msgspec.structs.replace(operation, headers=headers)
        # before the job begins: nothing may fail after that
        number = server.identifier(server.ids.jobs) if operation.headers["x-arango-async"] == "store" else None

        async def work() -> Outcome:
            return await carry_out(plain)

        job = asyncio.get_running_loop().create_task(work(), name="job")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        await asyncio.sleep(0)  # a job that need not wait has ended after this
        return jobs.accepted(server, operation, job, number)

    async def close(self) -> None:
        """Cancel the jobs that are running."""
        for job in (running := list(self._jobs)):
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)
