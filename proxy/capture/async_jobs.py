"""Asynchronous jobs of requests that write: run here as plain requests, so that what they write is captured.

The client gets 202 immediately, with an id that this proxy made if it wants the result later (`x-arango-async: store`).
Results are kept in memory, bounded; another instance has none of them. A job is its user's: nothing that others ask for
changes it. Other jobs are ArangoDB's own; lists and deletions concern both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from proxy.base import failpoints
from proxy.base.errors import ArangoError
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext, same_user
from proxy.model.endpoint import Family
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.model.own_ids import JOBS
from proxy.wire.encode import encode, error_outcome, json_outcome

log = structlog.get_logger(__name__)

_MOST = 1000  # jobs under route, and results that wait
_BYTES = 32 << 20  # of results
_CLOSING = 5.0  # seconds for jobs under way when the proxy stops
_LISTS = frozenset({"done", "pending", "all", "expired"})


@dataclass(slots=True)
class _Job:
    authorization: bytes | None
    result: Response | None = None
    ended: float = 0.0  # wall time
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Jobs:
    """Owns the tasks of those under route. `handle`: carries out a plain request."""

    def __init__(self, context: WriteContext, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._context = context
        self._handle = handle
        self._jobs: dict[str, _Job] = {}
        self._loose: set[asyncio.Task[None]] = set()
        self._size = 0

    async def close(self) -> None:
        """Give those under way some seconds to end, then cancel them."""
        tasks = [*self._loose, *(task for job in self._jobs.values() for task in job.tasks)]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_CLOSING)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    @staticmethod
    def wanted(operation: Operation) -> bool:
        """Return True if a request is to be answered before it is carried out."""
        return operation.headers.get("x-arango-async", "") in ("true", "store")

    async def accept(self, request: Request, operation: Operation) -> Response:
        """Answer 202 and run the request. Raise ArangoError 21003 if too many run."""
        if len(self._jobs) + len(self._loose) >= _MOST and not self._forget_one():
            raise ArangoError(21003, "queue is full", status=503)
        kept = [pair for pair in request.headers if pair[0].lower() != b"x-arango-async"]
        body = await collect(request.body, self._context.settings.max_captured_body)
        plain = Request(request.method, request.target, kept, body, request.version, request.peer)
        loop = asyncio.get_running_loop()
        if operation.headers["x-arango-async"] == "true":
            task = loop.create_task(self._run(plain, None), name="job")
            self._loose.add(task)
            task.add_done_callback(self._loose.discard)
            return encode(Outcome(202, b"", (), b"text/plain"))
        number = JOBS.make()
        job = self._jobs[number] = _Job(request.header(b"authorization"))
        job.tasks.append(loop.create_task(self._run(plain, job), name="job"))
        return encode(Outcome(202, b"", ((b"x-arango-async-id", number.encode()),), b"text/plain"))

    async def _run(self, request: Request, job: _Job | None) -> None:
        failpoints.reach("job-begun")
        try:
            response = await self._handle(request)
            response = Response(response.status, response.headers, await collect(response.body), response.reason)
        except ArangoError as error:
            response = encode(error_outcome(error))
        except Exception:
            log.exception("job_failed")
            response = encode(error_outcome(ArangoError(500, "internal error", status=500)))
        if job is not None:
            job.result, job.ended = response, time.time()
            self._size += len(response.body) if isinstance(response.body, bytes) else 0
            while self._size > _BYTES and self._forget_one():
                pass

    def _forget_one(self) -> bool:
        """Drop the oldest result; return False if there is none."""
        for number, job in self._jobs.items():
            if job.result is not None:
                self._drop(number)
                return True
        return False

    def _drop(self, number: str) -> None:
        result = self._jobs.pop(number).result
        if result is not None and isinstance(result.body, bytes):
            self._size -= len(result.body)

    # ---- what the client asks of jobs

    @staticmethod
    def owns(operation: Operation) -> bool:
        """Return True if a request concerns a job of this proxy, or all jobs."""
        if operation.endpoint.family is not Family.JOB or len(operation.path) < 3:
            return False
        return operation.path[2] in _LISTS or JOBS.owns(operation.path[2])

    async def answer(self, request: Request, operation: Operation) -> Response:
        """Answer a request that `owns` claims. Raise ArangoError 404, UpstreamError."""
        name, authorization = operation.path[2], request.header(b"authorization")
        if name in _LISTS:
            return await self._of_all(request, operation, name, authorization)
        job = self._jobs.get(name)
        if job is None or not await self._context.owned(request, job.authorization, operation.database):
            raise ArangoError(404, "not found")
        if self._jobs.get(name) is not job:  # fetched or dropped meanwhile
            raise ArangoError(404, "not found")
        shown = ((b"x-arango-async-id", name.encode()),)
        if operation.method == "DELETE" or operation.path[3:] == ("cancel",):
            for task in job.tasks if operation.method == "PUT" else ():
                task.cancel()
            self._drop(name)
            return encode(json_outcome(200, {"result": True}))
        if job.result is None:  # drivers take the id for a sign that the result is there
            return encode(Outcome(204, b"", shown if operation.method == "GET" else (), b"text/plain"))
        if operation.method == "GET":
            return encode(Outcome(200, b"", shown, b"text/plain"))
        result = job.result
        self._drop(name)
        return Response(result.status, [*result.headers, *shown], result.body, result.reason)

    async def _of_all(self, request: Request, operation: Operation, name: str, authorization: bytes | None) -> Response:
        response = await self._context.origin.request(request)
        body = await collect(response.body)
        mine = [number for number, job in self._jobs.items() if same_user(job.authorization, authorization)]
        if operation.method == "DELETE" and response.status < 400:
            stamp = float(operation.params.get("stamp", "0") or 0)
            for number in mine:
                ended = self._jobs[number].ended
                if ended and (name == "all" or ended <= stamp):
                    self._drop(number)
        elif operation.method == "GET" and response.status == 200:
            wanted = [number for number in mine if (self._jobs[number].result is not None) == (name == "done")]
            count = int(operation.params.get("count", "100") or 100)
            body = msgspec.json.encode([*msgspec.json.decode(body, type=list[str]), *wanted][:count])
        return Response(response.status, response.headers, body, response.reason)
