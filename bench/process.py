"""Processes to measure: started on a dedicated core, their CPU time and memory read from /proc."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROXY_CORE, OTHER_CORE = 0, 1
_CORES = sorted(os.sched_getaffinity(0))  # before this process is pinned to one


def pin(core: int, pid: int = 0) -> None:
    """Keep a process on one core if there are two or more: the proxy on one, load and origin on the other."""
    if len(_CORES) > 1:
        os.sched_setaffinity(pid, {_CORES[core % len(_CORES)]})


def ahead(pid: int = 0) -> None:
    """Give that process and its later children priority on their core, if the system permits it.

    Clients and origin then wait only for each other, as if PostgreSQL, which shares their core, had its own machine.
    """
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        print("clients share their core with PostgreSQL on equal terms: latencies contain its turns", file=sys.stderr)


class Process:
    """A child process and its own children (nginx's workers)."""

    def __init__(
        self, command: Sequence[str], *, core: int, env: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._log = log.open("wb") if log is not None else None
        self._popen = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdout=self._log or subprocess.DEVNULL,
            stderr=subprocess.STDOUT if self._log else subprocess.DEVNULL,
        )
        pin(core, self._popen.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def everywhere(self) -> None:
        """Let it run on every core."""
        os.sched_setaffinity(self._popen.pid, set(_CORES))

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def _pids(self) -> Iterator[int]:
        yield self._popen.pid
        with contextlib.suppress(OSError):
            for pid in Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children").read_text().split():
                yield int(pid)

    def cpu(self) -> float:
        """Return seconds of CPU, of all threads and children."""
        total = 0.0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                times = [Path(task, "schedstat").read_text().split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
                total += sum(map(int, times)) / 1e9
        return total

    def memory(self) -> float:
        """Return the greatest resident memory so far, in MiB, of the process and its children together."""
        total = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        total += int(line.split()[1])
        return total / 1024

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it does not end."""
        if self.alive:
            self._popen.terminate()
            try:
                self._popen.wait(20)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        if self._log is not None:
            self._log.close()


def wait_for_port(port: int, process: Process, seconds: float = 30) -> None:
    """Wait until a process listens on the port. Raise RuntimeError if the process ends first, or never listens."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not process.alive:
            raise RuntimeError(f"the process that should listen on port {port} has ended")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise RuntimeError(f"no process listens on port {port}")
