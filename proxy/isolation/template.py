"""The process that workers are forked from: it has imported what they need, so that a fork takes milliseconds.

`python -m proxy.isolation.template MODULE…` with a socket as standard input, over which its parent asks for workers,
each with one end of a dedicated socket, and has them killed. It runs no event loop and no thread, which would not
survive a fork. It ends with its parent, however that ends, and takes its workers along.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import inspect
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

from proxy.isolation.frames import BORN, COUNT, FORK, KILL, LENGTH, MEMORY, ORDER, Frame, answer, head, load

_GRACE: Final = 2.0  # seconds after its limit at which a worker ends by itself: its parent must be gone
_children: set[int] = set()


def main(modules: list[str]) -> None:
    """Fork and kill workers as requested until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the proxy
    control = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)  # else every worker would keep this line open, and its end would not be noticed
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    while True:
        message, fds, _, _ = socket.recv_fds(control, ORDER.size, 1)
        while message and len(message) < ORDER.size:
            more = control.recv(ORDER.size - len(message))
            message = message + more if more else b""
        if not message:
            break
        what, number, memory = ORDER.unpack(message)
        if what == FORK:
            control.sendall(BORN.pack(_fork(control, fds[0], number, memory)))
        elif what == KILL and number in _children:
            os.kill(number, signal.SIGKILL)
    for child in tuple(_children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            _children.discard(ended)


def _fork(control: socket.socket, fd: int, nice: int, memory: int) -> int:
    # a child that ends immediately is recorded before it is reaped
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            control.close()
            work(socket.socket(fileno=fd), nice, memory)
        finally:
            os._exit(0)
    _children.add(pid)
    os.close(fd)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return pid


def work(line: socket.socket, nice: int, memory: int) -> None:
    """Carry out one piece of work after the other until the parent closes the line: the worker."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(OSError, ValueError):
        limit = memory + _mapped()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
        while (texts := _read(line)) is not None:
            reply, fit = _carried_out(runner, texts)
            texts.clear()
            line.sendall(head(reply))
            for text in reply:
                line.sendall(text)
            if not fit:
                return


def _carried_out(runner: asyncio.Runner, texts: list[bytes]) -> tuple[Frame, bool]:
    """Return the answer to one piece of work, and True if the worker may carry out another."""
    try:
        function, arguments, seconds = load(texts)
        signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)  # its default action ends the process
        value: Any = function(*arguments)
        if inspect.iscoroutine(value):
            value = runner.run(value)
        return answer(value), True
    except MemoryError:
        return answer(over=MEMORY), False
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        return answer(error=error), True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _read(line: socket.socket) -> list[bytes] | None:
    """Return the texts of the next frame; None if there are no more."""
    count = _exactly(line, COUNT.size)
    if count is None:
        return None
    lengths = _exactly(line, COUNT.unpack(count)[0] * LENGTH.size)
    if lengths is None:
        return None
    texts = []
    for (length,) in LENGTH.iter_unpack(lengths):
        text = _exactly(line, length)
        if text is None:
            return None
        texts.append(text)
    return texts


def _exactly(line: socket.socket, size: int) -> bytes | None:
    found = bytearray(size)
    view, at = memoryview(found), 0
    while at < size:
        try:
            got = line.recv_into(view[at:])
        except ConnectionError:
            return None
        if got == 0:
            return None
        at += got
    return bytes(found)


def _mapped() -> int:
    """Return the bytes of address space already in use, which the limit does not include."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 512 << 20


if __name__ == "__main__":
    main(sys.argv[1:])
