"""The parent's side: `await lane.run(function, …)` calls a function in a worker process, with limits.

One template process (`template`) is started a moment after its owner, and workers are forked from it as they are
needed. A *lane* is a number of workers for one kind of work, so that no kind waits for another: a few pieces of work
may wait in each, further ones are refused immediately (`IsolationError`, "busy"). A worker that takes too long is
killed, and so is one whose caller was cancelled; the next piece of work gets a new one. Workers have a lower priority
than their parent, which serves clients.

Small work is not worth the transfer: `Lane.run_if_large` carries it out in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar, overload

import structlog

from proxy.base import metrics
from proxy.base.errors import IsolationError
from proxy.isolation.frames import BORN, COUNT, FORK, KILL, LENGTH, ORDER, PIECE, Frame, head, load, question

log = structlog.get_logger(__name__)
T = TypeVar("T")

# bytes: work on fewer takes a millisecond or two, about as much as the transfer to a worker
INLINE_LIMIT: Final = 16 << 10
_NICE: Final = 5  # added to the niceness, for the template
_WARM: Final = 1.0  # seconds after the start: a short-lived process needs no workers
_START: Final = 30.0  # seconds that a worker may take to start
_USES: Final = 500  # pieces of work before a worker is replaced, which frees its memory
_MEMORY: Final = 384 << 20  # bytes that one worker may take beyond what it begins with


class _Worker:
    """The connection to one worker."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.uses = 0
        self._reader = reader
        self._writer = writer

    @property
    def ended(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    async def ask(self, frame: Frame) -> Any:
        """Return (value, error, limit). Raise OSError, IncompleteReadError if the worker ends."""
        self.uses += 1
        self._writer.write(head(frame))
        for text in frame:
            for begin in range(0, len(text), PIECE):
                self._writer.write(text if len(text) <= PIECE else text[begin : begin + PIECE])
                await self._writer.drain()
        (count,) = COUNT.unpack(await self._reader.readexactly(COUNT.size))
        lengths = await self._reader.readexactly(count * LENGTH.size)
        return load([await self._text(length) for (length,) in LENGTH.iter_unpack(lengths)])

    async def _text(self, length: int) -> bytes:
        pieces = [await self._reader.readexactly(min(PIECE, length - begin)) for begin in range(0, length, PIECE)]
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def close(self) -> None:
        self._writer.close()


def _below_this(nice: int) -> int:
    """Return the niceness of a process that has a lower priority than this one by `nice` steps."""
    return os.getpriority(os.PRIO_PROCESS, 0) + nice


class _Template:
    """The process that workers are forked from; started again if it has ended."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._turn = asyncio.Lock()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def warm(self) -> None:
        async with self._turn:
            if not self.running:
                await self._start()

    async def fork(self, nice: int, memory: int) -> _Worker:
        """Return a new worker. Raise OSError, TimeoutError."""
        ours, theirs = socket.socketpair()
        try:
            async with self._turn, asyncio.timeout(_START):
                if not self.running:
                    await self._start()
                assert self._control is not None
                socket.send_fds(self._control, [ORDER.pack(FORK, _below_this(nice), memory)], [theirs.fileno()])
                pid = await self._born(self._control)
            ours.setblocking(False)  # noqa: FBT003 - the standard library's interface
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException as error:
            ours.close()
            if not isinstance(error, asyncio.CancelledError):
                await self.close()
            raise
        finally:
            theirs.close()
        return _Worker(pid, reader, writer)

    def kill(self, worker: _Worker) -> None:
        worker.close()
        if self._control is not None:
            with contextlib.suppress(OSError):  # the template has ended, and its workers with it
                self._control.send(ORDER.pack(KILL, worker.pid, 0))

    async def _start(self) -> None:
        await self.close()
        ours, theirs = socket.socketpair()
        try:
            command = [sys.executable, "-m", "proxy.isolation.template", *self._modules]
            # subprocess uses vfork; uvloop's fork would copy page tables and block all clients for tens of milliseconds
            self._process = subprocess.Popen(command, stdin=theirs.fileno())  # noqa: ASYNC220, S603 - no longer than exec; our own command
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's interface
        self._control = ours
        with contextlib.suppress(OSError):  # from the start, since its imports would delay clients
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _below_this(_NICE))

    async def _born(self, control: socket.socket) -> int:
        loop, found = asyncio.get_running_loop(), b""
        while len(found) < BORN.size:
            part = await loop.sock_recv(control, BORN.size - len(found))
            if not part:
                raise ConnectionResetError("the process that forks workers has ended")
            found += part
        return int(BORN.unpack(found)[0])

    async def close(self) -> None:
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()  # its workers end when their sockets are closed
            await asyncio.to_thread(process.wait)


class Lane:
    """The workers for one kind of work."""

    def __init__(self, template: _Template, name: str, workers: int, waiting: int, nice: int, memory: int) -> None:
        self.name = name
        self._template = template
        self._room = asyncio.Semaphore(workers)
        self._waiting = 0
        self._most = waiting
        self._nice = nice
        self._memory = memory
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The process ids of its workers."""
        return [worker.pid for worker in (*self._idle, *self._busy)]

    @overload
    async def run(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, seconds: float) -> T: ...
    @overload
    async def run(self, function: Callable[..., T], *arguments: Any, seconds: float) -> T: ...
    async def run(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
        """Return the result of `function(*arguments)` in a worker, which awaits a coroutine; or raise its error.

        function: one at the top level of its module. seconds: its time limit, without the wait for a worker. Raise
        IsolationError, whose reason is "time", "memory", "ended" (the worker ended, for any cause) or "busy".
        """
        if self._closed:
            raise self._over("ended")
        if self._waiting >= self._most:
            raise self._over("busy")
        frame = question(function, arguments, seconds)
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._ask(frame, seconds)
        finally:
            self._room.release()

    async def run_if_large(
        self, function: Callable[..., T], *arguments: Any, size: int, seconds: float, inline_limit: int = INLINE_LIMIT
    ) -> T:
        """As `run`, but in this process if `size`, the bytes that the effort grows with, is small."""
        if size <= inline_limit:
            return function(*arguments)
        return await self.run(function, *arguments, seconds=seconds)

    async def _ask(self, frame: Frame, seconds: float) -> Any:
        try:
            worker = await self._idle_worker() or await self._template.fork(self._nice, self._memory)
        except (OSError, TimeoutError) as error:
            log.warning("worker_unavailable", lane=self.name, error=type(error).__name__)
            raise self._over("ended") from error
        self._busy.add(worker)
        well = False
        try:
            async with asyncio.timeout(seconds):
                value, raised, over = await worker.ask(frame)
            well = not over
        except TimeoutError as late:
            raise self._over("time") from late
        except (OSError, RuntimeError, asyncio.IncompleteReadError) as gone:
            # RuntimeError: raised by uvloop if the reader of a socket is gone
            raise self._over("ended") from gone
        finally:
            self._busy.discard(worker)
            if well and worker.uses < _USES:
                self._idle.append(worker)
            else:  # also if the caller was cancelled: the next caller would get its answer
                self._template.kill(worker)
        if over:
            raise self._over(over)
        if raised is not None:
            raise raised
        return value

    def _over(self, reason: str) -> IsolationError:
        """Count the limit and return its error."""
        metrics.WORKER_LIMITS.labels(self.name, reason).inc()
        return IsolationError(reason)

    async def _idle_worker(self) -> _Worker | None:
        """Return an idle worker; None if there is none."""
        for _ in range(2 if self._idle else 0):  # let the event loop notice that a worker has ended
            await asyncio.sleep(0)
        while self._idle:
            worker = self._idle.pop()
            if not worker.ended:
                return worker
            self._template.kill(worker)
        return None

    def close(self) -> None:
        self._closed = True
        for worker in (*self._idle, *self._busy):
            self._template.kill(worker)
        self._idle.clear()


class Isolation:
    """The owner of the template and the lanes. Start and close it; work before `start` starts the template as well.

    modules: what the template imports for all workers.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._template = _Template(modules)
        self._lanes: list[Lane] = []
        self._warming: asyncio.Task[None] | None = None

    def lane(self, name: str, *, workers: int, waiting: int, nice: int, memory: int = _MEMORY) -> Lane:
        """Return a lane for one kind of work. nice: added to the niceness; memory: bytes that one worker may take."""
        made = Lane(self._template, name, workers, waiting, nice, memory)
        self._lanes.append(made)
        return made

    async def start(self) -> None:
        self._warming = asyncio.create_task(self._warm(), name="workers: warm")

    async def _warm(self) -> None:
        await asyncio.sleep(_WARM)
        try:
            await self._template.warm()
        except OSError as error:
            log.warning("workers_not_started", error=type(error).__name__)

    async def close(self) -> None:
        """End every worker; their work is abandoned."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        for lane in self._lanes:
            lane.close()
        await self._template.close()
